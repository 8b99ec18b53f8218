"""Making the clips of a data set, in worker processes. Nothing that this imports knows of JAX.

A raw clip is read once: its frames go into the plane file that all its encodings are made from and
compared with, then through a lossless encoder into the store. A compressed clip is encoded from
that plane file and decoded once, into its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.data.jobs import ClipJob
from vqe_jax.data.pair import PairInfo, video_info
from vqe_jax.data.parallel import map_clips
from vqe_jax.data.planes import PlaneFile, decoded_frames
from vqe_jax.data.store import Store
from vqe_jax.data.stored import move_sealed
from vqe_jax.data.variants import Variant, vary, vary_info
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.video import (
    Frame,
    VideoInfo,
    codec_name,
    frame_qps,
    mean_p_qp,
    nominal_qp,
    open_reader,
    open_writer,
)

__all__ = ["encode_clips", "make_compressed", "make_raw"]

# x264 without loss is smaller and quicker than FFV1 on camera video; a bare bitstream, because a
# container has the date in it, and equal clips shall have equal bytes.
_LOSSLESS = {"qp": "0", "preset": "superfast"}
_BITSTREAM_SUFFIXES = {".bin": ".hevc", ".h265": ".hevc", ".265": ".hevc", ".264": ".h264"}
_NOT_CODED = ("rawvideo", "png")
_DECODED = "compressed.lossless.h264"
_UNKNOWN_QP = -1


def encode_clips(
    jobs: Sequence[ClipJob], store: Store, *, label: str, workers: int | None, quiet: bool
) -> list[PairInfo]:
    """Makes pairs, each raw and each compressed clip once, however many pairs share it.

    Args:
      workers: processes; None: as many as there are cores.

    Raises:
      UserError: clips that could not be made; the others are kept.
    """
    first = {job.raw_key: job for job in jobs}
    # What is told of a failure is the name of the clip, not of one of its encodings.
    named = [dataclasses.replace(job, name=job.clip or job.name) for job in first.values()]
    options: dict[str, Any] = {"workers": workers, "quiet": quiet}
    raw = map_clips(make_raw, [(j, store) for j in named], label=f"{label}: reading", **options)
    facts = dict(zip(first, raw, strict=True))
    # Two processes that make the same clip would take each other's folder away.
    once = {job.key: job for job in jobs}
    work = [(job, store, facts[job.raw_key]) for job in once.values()]
    made = map_clips(make_compressed, work, label=f"{label}: encoding", **options)
    coded = dict(zip(once, made, strict=True))
    return [_pair_info(job, facts[job.raw_key] | coded[job.key]) for job in jobs]


def _pair_info(job: ClipJob, facts: dict[str, Any]) -> PairInfo:
    qp = facts["qp"] if job.qp is None else job.qp
    return PairInfo.from_json({**facts, "name": job.name, "qp": qp})


@contextlib.contextmanager
def _workshop(store: Store, key: str) -> Iterator[Path]:
    """An empty folder that is gone afterwards; a full disk is told as such."""
    folder = store.workshop(key)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EnvironmentFailure(
            f"{store.folder}: no space left on the disk; free some and run again: what is built "
            "is kept"
        ) from err
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _raw_planes(facts: dict[str, Any], folder: Path) -> PlaneFile:
    size = (facts["width"], facts["height"], facts["frames"])
    return PlaneFile.of(folder, facts["raw_sha256"], *size)


def make_raw(job: ClipJob, store: Store) -> dict[str, Any]:
    """Makes the raw clip of a job, unless it is there and whole, and its planes.

    Returns:
      Fields of :class:`PairInfo`.

    Raises:
      UserError: the source is unreadable; the message names the file.
      EnvironmentFailure: the disk is full.
    """
    facts = store.facts(job.raw_key)
    if facts is not None:
        planes = _raw_planes(facts, store.planes)
        if not planes.exists:
            name = f"{facts['raw_sha256'][:32]}.{facts['raw_format']}"
            planes.write(decoded_frames(store.stream(name), planes))
        return facts
    with _workshop(store, job.raw_key) as folder:
        facts = _make_raw(job, store, folder)
        store.keep_facts(job.raw_key, facts)
    return facts


def _make_raw(job: ClipJob, store: Store, folder: Path) -> dict[str, Any]:
    info, frames = job.origin.open()
    variant = job.variant(info)
    info = vary_info(info, variant)
    written, stream = folder / "raw.yuv", folder / "raw.h264"
    seen = _Duplicates()
    with (
        written.open("wb") as planes,
        open_writer(stream, info, codec="libx264", options=_LOSSLESS) as writer,
    ):
        for frame in vary(frames, variant, folder / "spool"):
            seen.look_at(frame)
            for plane in frame.planes:
                planes.write(np.ascontiguousarray(plane).data)
            writer.write(dataclasses.replace(frame, pts=None, duration=None))
    if not writer.written:
        raise UserError(f"{job.origin.source} holds no frames")
    sha, suffix, size = store.take_in(stream)
    facts = {
        "width": info.width,
        "height": info.height,
        "frames": writer.written,
        "frame_rate": str(info.frame_rate) if info.frame_rate else "",
        "duplicates": seen.numbers,
        "source": job.origin.source,
        "variant": json.dumps(dataclasses.asdict(variant)) if variant != Variant() else "",
        "color": json.dumps(dataclasses.asdict(info.color)),
        "raw_format": suffix,
        "raw_bytes": size,
        "raw_sha256": sha,
    }
    move_sealed(written, _raw_planes(facts, store.planes).path)
    return facts


class _Duplicates:
    """Finds the frames that equal the one before them."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self._count = 0
        self._last: Frame | None = None

    def look_at(self, frame: Frame) -> None:
        last = self._last
        if last is not None and all(map(np.array_equal, frame.planes, last.planes)):
            self.numbers.append(self._count)
        self._count += 1
        self._last = frame


def make_compressed(job: ClipJob, store: Store, raw: dict[str, Any]) -> dict[str, Any]:
    """Makes the compressed clip of a job, unless it is there and whole, and its planes.

    Args:
      raw: of :func:`make_raw`.

    Returns:
      Fields of :class:`PairInfo`.

    Raises:
      UserError: the given stream is unreadable, or does not fit the raw clip; names the file.
      EnvironmentFailure: the disk is full.
    """
    facts = store.facts(job.key)
    if facts is not None:
        planes = _compressed_planes(facts, raw, store)
        if not planes.exists:
            name = f"{facts['compressed_sha256'][:32]}.{facts['compressed_format']}"
            planes.write(decoded_frames(store.stream(name), planes, cut=job.cut))
        return facts
    with _workshop(store, job.key) as folder:
        facts = _make_compressed(job, store, raw, folder)
        store.keep_facts(job.key, facts)
    return facts


def _compressed_planes(facts: dict[str, Any], raw: dict[str, Any], store: Store) -> PlaneFile:
    size = (raw["width"], raw["height"], raw["frames"])
    return PlaneFile.of(store.planes, facts["compressed_sha256"], *size)


def _make_compressed(
    job: ClipJob, store: Store, raw: dict[str, Any], folder: Path
) -> dict[str, Any]:
    planes = _raw_planes(raw, store.planes)
    if job.recipe is not None and job.recipe.encoder.family == "none":
        return _same_as_raw(raw, str(job.recipe))
    info = video_info(raw)
    if job.recipe is not None:
        stream = job.recipe.encode(planes, folder / "compressed", info)
    else:
        stream = _take_stream(job, folder, info, planes)
    decoded = dataclasses.replace(planes, path=folder / "decoded.yuv")
    try:
        psnr, types = _decode_and_compare(stream, planes, decoded, cut=job.cut)
    except UserError as err:
        raise UserError(str(err).replace(str(stream), job.compressed or str(job.recipe))) from err
    facts = _stream_facts(stream, types, job.recipe.encoder.family if job.recipe else None)
    sha, suffix, size = store.take_in(stream)
    facts |= {
        "quality": job.recipe.quality if job.recipe else "",
        "recipe": str(job.recipe or f"given: {Path(str(job.compressed)).name}"),
        "psnr_y": psnr,
        "compressed_format": suffix,
        "compressed_bytes": size,
        "compressed_sha256": sha,
    }
    move_sealed(decoded.path, _compressed_planes(facts, raw, store).path)
    return facts


def _same_as_raw(raw: dict[str, Any], recipe: str) -> dict[str, Any]:
    """A clip of which nothing was lost shares the raw one's stream and planes."""
    count = raw["frames"]
    return {
        **{f"compressed_{what}": raw[f"raw_{what}"] for what in ("format", "bytes", "sha256")},
        "qp": _UNKNOWN_QP,
        "frame_types": "?" * count,
        "frame_qps": [_UNKNOWN_QP] * count,
        "codec": "none",
        "quality": "",
        "recipe": recipe,
        "psnr_y": 100.0,
    }


def _take_stream(job: ClipJob, folder: Path, info: VideoInfo, like: PlaneFile) -> Path:
    """Puts a given stream into the folder: bitstreams as they are, decoded files without loss."""
    given = Path(str(job.compressed))
    with open_reader(given) as reader:
        codec = reader.info.codec
    if codec not in _NOT_CODED:
        suffix = given.suffix.lower()
        target = folder / f"compressed{_BITSTREAM_SUFFIXES.get(suffix, suffix)}"
        shutil.copyfile(given, target)
        return target
    lossless = folder / _DECODED
    with open_writer(lossless, info, codec="libx264", options=_LOSSLESS) as writer:
        for frame in decoded_frames(given, like, cut=job.cut):
            writer.write(dataclasses.replace(frame, pts=None, duration=None))
    return lossless


def _decode_and_compare(
    stream: Path, raw: PlaneFile, target: PlaneFile, *, cut: bool
) -> tuple[float, str]:
    """Decodes a stream into a file.

    Returns:
      The mean of its frames' PSNR on luma at 8 bits, where a frame without any error counts as
      100 dB, and the frames' types as the decoder tells them.
    """
    total, types = 0.0, ""

    def compared() -> Iterator[Frame]:
        nonlocal total, types
        frames = decoded_frames(stream, raw, cut=cut)
        for original, frame in zip(raw.luma(), frames, strict=False):
            error = original.astype(np.int16) - frame.planes[0]
            squares = float(np.mean(np.square(error, dtype=np.int32)))
            total += 100.0 if squares == 0 else min(100.0, 10 * np.log10(255.0**2 / squares))
            types += frame.pict_type or "?"
            yield frame
        for _ in frames:  # a clip that is too long is found at its end
            pass

    target.write(compared())
    return total / raw.frames, types


def _stream_facts(stream: Path, types: str, codec: str | None) -> dict[str, Any]:
    """Codec, and a letter and a QP for each frame, where the stream tells."""
    count = len(types)
    unknown = [_UNKNOWN_QP] * count
    if stream.name == _DECODED:  # that we coded it without loss says nothing about it
        return {"codec": "", "qp": -1, "frame_types": "?" * count, "frame_qps": unknown}
    if codec is None:
        with open_reader(stream) as reader:
            codec = codec_name(reader.info.codec)
    if codec not in ("hevc", "h264"):
        return {"codec": codec, "qp": -1, "frame_types": types, "frame_qps": unknown}
    found = frame_qps(stream)[:count]
    mean = mean_p_qp(found)
    return {
        "codec": codec,
        "qp": _UNKNOWN_QP if mean is None else nominal_qp(mean),
        "frame_types": "".join(f.frame_type or "?" for f in found),
        "frame_qps": [_UNKNOWN_QP if f.qp is None else f.qp for f in found],
    }
