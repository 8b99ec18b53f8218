"""Encoded clips on disk: what is damaged is not taken."""

import dataclasses
import hashlib
from pathlib import Path

from vqe_jax.data.parts import load_part, salvage, write_manifest
from vqe_jax.data.record import PairInfo
from vqe_jax.data.records import Records
from vqe_jax.errors import UserError

RAW, COMPRESSED = b"raw clip", b"bitstream"
INFO = PairInfo(
    name="a",
    qp=37,
    width=8,
    height=8,
    frames=2,
    frame_rate="25",
    frame_types="IP",
    frame_qps=(36, 45),
    source="a.mkv",
    recipe="low_delay_p qp 37",
    variant="",
    color='{"matrix": 1}',
    psnr_y=30.0,
    raw_format="h264",
    raw_bytes=len(RAW),
    raw_sha256=hashlib.sha256(RAW).hexdigest(),
    compressed_format="hevc",
    compressed_bytes=len(COMPRESSED),
    compressed_sha256=hashlib.sha256(COMPRESSED).hexdigest(),
)


def _folder(path: Path) -> Path:
    path.mkdir()
    (path / "raw.h264").write_bytes(RAW)
    (path / "compressed.hevc").write_bytes(COMPRESSED)
    write_manifest(path, INFO)
    return path


def test_whole_parts_are_found(tmp_path: Path) -> None:
    part = load_part(_folder(tmp_path / "k"))
    assert part is not None
    assert part.info == INFO
    assert part.raw.read_bytes() == RAW


def test_damage_is_noticed(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "k")
    (folder / "compressed.hevc").write_bytes(b"bitstreaM")
    assert load_part(folder) is None
    (folder / "compressed.hevc").unlink()
    assert load_part(folder) is None
    (folder / "compressed.hevc").write_bytes(COMPRESSED)
    assert load_part(folder) is not None
    (folder / "part.json").write_text('{"name": ')
    assert load_part(folder) is None
    assert load_part(tmp_path / "none") is None


class _Records(Records):
    """One whole record, one damaged."""

    def __init__(self) -> None: ...

    def __contains__(self, name: str) -> bool:
        return name in ("a", "b")

    def info(self, name: str) -> PairInfo:
        return dataclasses.replace(INFO, name=name)

    def read(self, name: str) -> dict[str, bytes]:
        if name == "b":
            raise UserError("damaged")
        return {"raw": RAW, "compressed": COMPRESSED}


def test_whole_records_are_taken_apart_again(tmp_path: Path) -> None:
    assert salvage(_Records(), {"a": "key", "b": "other", "c": "third"}, tmp_path) == 1
    part = load_part(tmp_path / "key")
    assert part is not None and part.info == INFO


def test_figures_that_follow(tmp_path: Path) -> None:
    assert INFO.kbps == 9 * 8 / 1000 / (2 / 25)
    assert dataclasses.replace(INFO, frame_rate="").fps == 0
    assert PairInfo.from_json(INFO.to_json()) == INFO
