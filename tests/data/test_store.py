"""What is stored: damage is noticed, and a description survives JSON."""

import dataclasses
import json
from pathlib import Path

from vqe_jax.data.pair import PairInfo
from vqe_jax.data.store import Store, file_sha256

INFO = PairInfo(
    name="a",
    qp=37,
    width=8,
    height=8,
    frames=2,
    frame_rate="25",
    frame_types="IP",
    frame_qps=(36, 45),
    duplicates=(1,),
    source="a.mkv",
    codec="hevc",
    quality="qp 37",
    recipe="low_delay_p qp 37",
    variant="",
    color='{"matrix": 1}',
    psnr_y=30.0,
    raw_format="h264",
    raw_bytes=8,
    raw_sha256="0" * 64,
    compressed_format="hevc",
    compressed_bytes=9,
    compressed_sha256="1" * 64,
)


def test_facts_are_known_while_their_stream_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path, "clips")
    file = tmp_path / "clip.h264"
    file.write_bytes(b"bitstream")
    sha = file_sha256(file)
    assert store.take_in(file) == (sha, "h264", 9)
    assert not file.exists()
    facts = {"raw_sha256": sha, "raw_format": "h264"}
    assert store.facts("key") is None
    store.keep_facts("key", facts)
    assert store.facts("key") == facts
    stream = store.stream(f"{sha[:32]}.h264")
    stream.write_bytes(b"bitstreaM")
    assert store.facts("key") is None
    stream.unlink()
    assert store.facts("key") is None
    stream.write_bytes(b"bitstream")
    assert store.facts("key") == facts
    (tmp_path / "clips" / ".facts" / "key.json").write_text('{"raw_sha')
    assert store.facts("key") is None


def test_figures_that_follow() -> None:
    assert INFO.kbps == 9 * 8 / 1000 / (2 / 25)
    assert dataclasses.replace(INFO, frame_rate="").fps == 0
    assert PairInfo.from_json(json.loads(json.dumps(dataclasses.asdict(INFO)))) == INFO
