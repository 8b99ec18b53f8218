"""Making one pair, in a worker process. Neither this nor what it imports knows of JAX."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path

import numpy as np

from vqe_jax.data.jobs import ClipJob
from vqe_jax.data.parts import file_sha256, load_part, write_manifest
from vqe_jax.data.planes import MappedFrames, decode, luma_view, open_planes, plane_file
from vqe_jax.data.record import UNKNOWN_QP, PairInfo, color_json
from vqe_jax.data.variants import Variant, vary, vary_info
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.video import (
    VideoInfo,
    encode_hevc,
    frame_qps,
    frame_types,
    open_reader,
    open_writer,
)

__all__ = ["encode_clip"]

# x264 without loss is smaller and quicker than FFV1 on camera video; a bare bitstream, because a
# container has the date in it, and equal clips shall have equal bytes.
_LOSSLESS = {"qp": "0", "preset": "superfast"}
_LARGEST = 2_000_000_000
_BITSTREAM_SUFFIXES = {".bin": ".hevc", ".h265": ".hevc", ".265": ".hevc", ".264": ".h264"}
_NOT_CODED = ("rawvideo", "png")
_DECODED = "compressed.lossless.h264"


def encode_clip(job: ClipJob, store: Path, planes: Path | None) -> PairInfo:
    """Makes a pair, unless it is there and whole.

    Args:
      job: what to make.
      store: folder of the parts; the pair's folder is named after the job's key.
      planes: folder for decoded planes; None: they are not kept.

    Raises:
      UserError: the source or the given stream is unreadable, or they do not fit each other; the
        message names the file.
      EnvironmentFailure: the disk is full.
    """
    folder = store / job.key
    done = load_part(folder)
    if done is not None:
        return done.info
    shutil.rmtree(folder, ignore_errors=True)
    unfinished = store / f"{job.key}.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        info = _make(job, unfinished, planes)
        write_manifest(unfinished, info)
        unfinished.rename(folder)
    except OSError as err:
        if err.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise EnvironmentFailure(
            f"{store}: no space left on the disk; free some and run again: what is built is kept"
        ) from err
    return info


def _make(job: ClipJob, folder: Path, planes: Path | None) -> PairInfo:
    raw = folder / "raw.h264"
    info, variant, count = _write_raw(job, raw)
    if raw.stat().st_size > _LARGEST:
        raise UserError(
            f"{job.origin.source} has {raw.stat().st_size / 1e9:.1f} GB when coded without loss; a "
            "record holds 2; cut it into several clips, or use fewer frames (--frames)"
        )
    raw_sha = file_sha256(raw)
    size = (info.width, info.height, count)
    raw_planes = _planes(raw, raw_sha, size, planes or folder)
    frames = MappedFrames(raw_planes, info.width, info.height)
    if job.recipe is not None:
        compressed = folder / "compressed.hevc"
        encode_hevc(frames, compressed, info, job.recipe.build())
    else:
        compressed = _take_stream(job, folder, info, count)
    sha = file_sha256(compressed)
    try:
        decoded = _planes(compressed, sha, size, planes or folder, cut=job.cut)
    except UserError as err:
        raise UserError(
            str(err).replace(str(compressed), job.compressed or str(job.recipe))
        ) from err
    types, qps = _frame_data(compressed, count)
    changed = dataclasses.asdict(variant) if variant != Variant() else None
    psnr = _mean_psnr(*(luma_view(p, info.width, info.height) for p in (raw_planes, decoded)))
    if planes is None:
        plane_file(folder, raw_sha, *size).unlink()
        plane_file(folder, sha, *size).unlink(missing_ok=True)
    return PairInfo(
        name=job.name,
        qp=job.qp,
        width=info.width,
        height=info.height,
        frames=count,
        frame_rate=str(info.frame_rate) if info.frame_rate else "",
        frame_types=types,
        frame_qps=qps,
        source=job.origin.source,
        recipe=str(job.recipe) if job.recipe else f"given: {Path(str(job.compressed)).name}",
        variant=json.dumps(changed) if changed else "",
        color=color_json(info.color),
        psnr_y=psnr,
        raw_format="h264",
        raw_bytes=raw.stat().st_size,
        raw_sha256=raw_sha,
        compressed_format=compressed.name.removeprefix("compressed."),
        compressed_bytes=compressed.stat().st_size,
        compressed_sha256=sha,
    )


def _planes(
    video: Path, sha: str, size: tuple[int, int, int], folder: Path, *, cut: bool = False
) -> np.ndarray:
    """Decodes a clip, which proves that it can be, unless its planes are there already."""
    target = plane_file(folder, sha, *size)
    mapped = open_planes(target, *size)
    if mapped is None:
        decode(video, target, *size, cut=cut)
        mapped = open_planes(target, *size)
    assert mapped is not None
    return mapped


def _write_raw(job: ClipJob, target: Path) -> tuple[VideoInfo, Variant, int]:
    info, frames, about = job.origin.open()
    variant = job.variant(info, about)
    info = vary_info(info, variant)
    if job.recipe and job.recipe.name == "two_pass" and info.frame_rate is None:
        raise UserError(
            f"{job.origin.source} does not say its frame rate, which a bit rate needs; give it: "
            "--frame-rate 25"
        )
    with open_writer(target, info, codec="libx264", options=_LOSSLESS) as writer:
        for frame in vary(frames, variant, target.with_suffix(".spool")):
            writer.write(dataclasses.replace(frame, pts=None, duration=None))
    if not writer.written:
        raise UserError(f"{job.origin.source} holds no frames")
    return info, variant, writer.written


def _take_stream(job: ClipJob, folder: Path, info: VideoInfo, count: int) -> Path:
    """Puts a given stream into the folder: bitstreams as they are, decoded files without loss."""
    given = Path(str(job.compressed))
    with open_reader(given) as reader:
        codec = reader.info.codec
    if codec not in _NOT_CODED:
        suffix = given.suffix.lower()
        target = folder / f"compressed{_BITSTREAM_SUFFIXES.get(suffix, suffix)}"
        shutil.copyfile(given, target)
        return target
    decoded, lossless = folder / "compressed.yuv", folder / _DECODED
    decode(given, decoded, info.width, info.height, count, cut=job.cut)
    planes = open_planes(decoded, info.width, info.height, count)
    assert planes is not None
    with open_writer(lossless, info, codec="libx264", options=_LOSSLESS) as writer:
        for frame in MappedFrames(planes, info.width, info.height):
            writer.write(frame)
    decoded.unlink()
    return lossless


def _frame_data(stream: Path, count: int) -> tuple[str, tuple[int, ...]]:
    """A letter and a QP for each frame, where the stream tells."""
    unknown = (UNKNOWN_QP,) * count
    if stream.name == _DECODED:
        return "?" * count, unknown  # that we coded it without loss says nothing about it
    with open_reader(stream) as reader:
        codec = reader.info.codec
    if codec not in ("hevc", "h264"):
        return "".join(t or "?" for t in frame_types(stream)[:count]), unknown
    found = frame_qps(stream)[:count]
    qps = tuple(UNKNOWN_QP if f.qp is None else f.qp for f in found)
    return "".join(f.frame_type or "?" for f in found), qps


def _mean_psnr(raw: np.ndarray, compressed: np.ndarray) -> float:
    """Mean of the frames' PSNR at 8 bits; a frame without any error counts as 100 dB."""
    total = 0.0
    for a, b in zip(raw, compressed, strict=True):
        error = np.mean(np.square(a.astype(np.float32) - b.astype(np.float32)))
        total += 100.0 if error == 0 else min(100.0, 10 * np.log10(255.0**2 / float(error)))
    return total / len(raw)
