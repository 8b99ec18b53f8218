"""Enhancing a video file: in comes any video, out comes the same one, better.

Frames stream through :func:`vqe_jax.inference.stream.enhance_frames` one by one. A luma network
changes the Y plane and nothing else; an RGB network's changes are converted and added. Sound,
subtitles, time stamps, bit depth and colour tags come out as they went in.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.inference.resolve import Model, Ready, resolve
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.inference.source_qp import choose_qp, measured_qp, mismatch
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.inference.target import converter, target_info
from vqe_jax.video import (
    Frame,
    PixelFormat,
    Reader,
    VideoInfo,
    Writer,
    from_rgb,
    luma,
    open_reader,
    open_writer,
    to_rgb,
    with_luma,
)
from vqe_jax.video.mux import DEFAULT_OPTIONS
from vqe_jax.weights import ModelFile, load_model

__all__ = ["Enhanced", "Job", "enhance_video", "prepare", "run", "trial"]


# Frames of a trial together have about this many pixels.
_TRIAL_PIXELS = 16 * 416 * 240
_QUALITY = ("crf", "qp", "b", "bitrate", "lossless", "global_quality", "q")


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that is decided before the first frame is computed.

    Attributes:
      reader: the source.
      dst: the file or folder to write.
      target: size, format and colour of what is written.
      ready: the network with its variables.
      colour: ``"luma"`` or ``"rgb"``: what the network works on.
      codec: FFmpeg's name of the encoder.
      encoder_options: of the encoder, defaults included.
      source_qp: mean QP of the source's P frames; None where it does not tell.
      qp: what the network is told; None for networks that do not ask.
      frames: how many there will be, as far as is known.
      preview: seconds to enhance; None for all.
      limit: frames to enhance at most; None for all.
    """

    reader: Reader
    dst: Path
    target: VideoInfo
    ready: Ready
    colour: str
    codec: str
    encoder_options: Mapping[str, str]
    source_qp: float | None
    qp: int | None
    frames: int | None
    preview: float | None
    limit: int | None = None


@dataclasses.dataclass(frozen=True)
class Enhanced:
    """What was done.

    Attributes:
      path: the file or folder that was written.
      frames: how many.
      seconds: that it took, compilation included.
      source_qp: mean QP of the source's P frames; None where it does not tell.
    """

    path: Path
    frames: int
    seconds: float
    source_qp: float | None


def prepare(
    reader: Reader,
    dst: Path,
    *,
    model: Model,
    qp: int | str | None = None,
    codec: str = "libx265",
    encoder_options: Mapping[str, str] | None = None,
    preview: float | None = None,
) -> Job:
    """Opens the model and decides how the target will look; writes nothing.

    Args:
      reader: the source.
      dst: the file or folder to write.
      model: as :func:`enhance_video`, like all that follow.
      qp: see there.
      codec: see there.
      encoder_options: see there.
      preview: see there.

    Raises:
      UserError: whatever can be known to be wrong beforehand.
    """
    src, info = reader.path, reader.info
    if dst.exists() and src.samefile(dst):
        raise UserError(f"{dst} is the source itself; name another file")
    model = load_model(model) if isinstance(model, (str, os.PathLike)) else model
    ready = resolve(model)
    colour = _colour(model, ready)
    scale = ready.network.context.scale
    if scale != 1 and colour == "luma":
        raise UserError(f"the model enlarges luma {scale} times, but chroma would stay small")
    mean = measured_qp(src) if src.is_file() else None
    if isinstance(model, ModelFile) and (message := mismatch(mean, model.qp)):
        warnings.warn(message, stacklevel=2)
    for message in _concerns(info, dst):
        warnings.warn(message, stacklevel=2)
    return Job(
        reader=reader,
        dst=dst,
        target=target_info(dst, info, codec=codec, scale=scale),
        ready=ready,
        colour=colour,
        codec=codec,
        encoder_options=_encoder_options(codec, encoder_options or {}),
        source_qp=mean,
        qp=choose_qp(qp, mean, ready.network),
        frames=_expected_frames(info, preview),
        preview=preview,
    )


def enhance_video(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    model: Model = "vig_qp37",
    qp: int | str | None = None,
    codec: str = "libx265",
    encoder_options: Mapping[str, str] | None = None,
    preview: float | None = None,
    split: bool = False,
    size: tuple[int, int] | None = None,
    pixel_format: PixelFormat | None = None,
    keep_damaged: bool = False,
    scene_cut: SceneCut | None = SceneCut(),  # noqa: B008 (frozen)
    progress: Callable[[int, int | None], None] | None = None,
    **options: Any,
) -> Enhanced:
    """Enhances a video file, a raw ``.yuv`` or ``.y4m``, or a folder of PNG.

    Args:
      src: the video.
      dst: where to; the suffix says what: a container (``.mkv``, ``.mp4``, ...), ``.yuv``,
        ``.y4m``, or no suffix for a folder of PNG. It appears only when it is whole.
      model: a packaged name, a path to a model file, a loaded one, or ``(module, variables)``.
      qp: the source's nominal QP, for networks conditioned on it; ``"auto"`` or None to read it
        from the stream.
      codec: FFmpeg's name of the encoder; ``"ffv1"`` in ``.mkv`` is lossless.
      encoder_options: by FFmpeg's names, added to the defaults: libx265 at CRF 12, which is
        visually lossless. Another quality setting (``crf``, ``qp``, ``b``) takes its place.
      preview: enhance only so many seconds from the start.
      split: leave the left half as it was, with a line between, to compare.
      size: (width, height) of a raw file whose name does not say it.
      pixel_format: of a raw file.
      keep_damaged: go on over damaged frames and a missing end.
      scene_cut: where the network forgets what it saw; None for never.
      progress: called after each frame with (frames done, frames expected or None).
      **options: those of :func:`vqe_jax.inference.stream.enhance_frames` (tiling, chunk, ...).

    Returns:
      What was done.

    Raises:
      UserError: a source that cannot be read to its end, a target that cannot be written, an
        unknown model or option.
    """
    reader = open_reader(src, size=size, pixel_format=pixel_format, keep_damaged=keep_damaged)
    job = prepare(
        reader,
        Path(dst),
        model=model,
        qp=qp,
        codec=codec,
        encoder_options=encoder_options,
        preview=preview,
    )
    return run(job, split=split, progress=progress, scene_cut=scene_cut, **options)


def run(
    job: Job,
    *,
    split: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    **options: Any,
) -> Enhanced:
    """Does what :func:`prepare` decided.

    Args:
      job: as prepared.
      split: see :func:`enhance_video`.
      progress: see there.
      **options: those of :func:`vqe_jax.inference.stream.enhance_frames`.
    """
    start = time.monotonic()
    with _memory_in_words(), _open(job) as writer:
        for frame in _enhanced(job, split, options):
            writer.write(frame)
            if progress:
                progress(writer.written, job.frames)
    return Enhanced(job.dst, writer.written, time.monotonic() - start, job.source_qp)


def trial(job: Job, **options: Any) -> float:
    """Frames per second of the network on the first frames, once it is compiled; writes nothing.

    Args:
      job: as prepared.
      **options: those of :func:`vqe_jax.inference.stream.enhance_frames`.
    """
    count = max(3, min(16, _TRIAL_PIXELS // (job.target.width * job.target.height)))
    short = dataclasses.replace(job, limit=count)
    with _memory_in_words():
        for _ in range(2):
            start = time.monotonic()
            done = sum(1 for _ in _enhanced(short, False, options))
    return done / (time.monotonic() - start)


@contextlib.contextmanager
def _memory_in_words() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as err:
        if "RESOURCE_EXHAUSTED" not in str(err):
            raise
        raise EnvironmentFailure(
            "the device's memory is full; work on tiles, as with --tile 512"
        ) from err


def _open(job: Job) -> Writer:
    return open_writer(
        job.dst,
        job.target,
        codec=job.codec,
        options=job.encoder_options,
        copy_from=job.reader.path if job.reader.is_container else None,
        copy_seconds=job.preview,
    )


def _colour(model: Model, ready: Ready) -> str:
    if isinstance(model, ModelFile):
        return model.colour
    return "rgb" if getattr(ready.network, "channels", 1) == 3 else "luma"


def _encoder_options(codec: str, given: Mapping[str, str]) -> dict[str, str]:
    """The defaults with what was given; only one setting may decide on the quality."""
    options = dict(DEFAULT_OPTIONS.get(codec, {}))
    words = [*given, *(word.partition("=")[0] for word in given.get("x265-params", "").split(":"))]
    if any(word in _QUALITY for word in words):
        options.pop("crf", None)
    return options | dict(given)


def _concerns(info: VideoInfo, dst: Path) -> Iterator[str]:
    """What the user should know before the work begins."""
    if info.interlaced:
        yield "the source is interlaced; deinterlace it first, or fields will be mixed"
    if info.rotation and dst.suffix.lower() in ("", ".yuv", ".y4m"):
        yield f"{dst} cannot say that the picture is to be turned by {info.rotation} degrees"


def _expected_frames(info: VideoInfo, preview: float | None) -> int | None:
    total = info.frames
    if total is None and info.duration and info.frame_rate:
        total = round(info.duration * info.frame_rate)
    if preview is None or not info.frame_rate:
        return total
    wanted = max(1, round(preview * info.frame_rate))
    return wanted if total is None else min(total, wanted)


def _source(job: Job) -> Iterator[Frame]:
    """The frames to enhance: all, or those shown in the first seconds."""
    rate = float(job.reader.info.frame_rate or 25)
    first = 0.0
    for index, frame in enumerate(itertools.islice(job.reader, job.limit)):
        shown = index / rate if frame.seconds is None else frame.seconds
        first = first if index else shown
        if job.preview is not None and index and shown - first >= job.preview:
            return
        yield frame


def _enhanced(job: Job, split: bool, options: dict[str, Any]) -> Iterator[Frame]:
    """The frames to write."""
    info = job.reader.info
    pixels = _luma_pixels if job.colour == "luma" else to_rgb
    scale = job.ready.network.context.scale
    convert = converter(
        dataclasses.replace(job.target, pixel_format=info.pixel_format, color=info.color),
        job.target,
    )
    for frame, values in _pairs(job, pixels, options):
        if split and scale == 1:
            values = _split(pixels(frame, info), values)
        if job.colour == "luma":
            yield convert(with_luma(frame, values[..., 0]))
        elif scale == 1:
            yield convert(from_rgb(np.clip(values, 0, 1), info, like=frame))
        else:
            yield _enlarged(values, job.target, frame)


def _luma_pixels(frame: Frame, info: VideoInfo) -> np.ndarray:
    return luma(frame, info)[..., None]


def _pairs(
    job: Job, pixels: Callable[[Frame, VideoInfo], np.ndarray], options: dict[str, Any]
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame with its enhanced values.

    Frames wait until the network, which may look ahead, is done with them. A bidirectional
    network looks at all of them first: then the source is read a second time instead.
    """
    info = job.reader.info
    if job.ready.network.context.recurrence == "both":
        values = (pixels(frame, info) for frame in _source(job))
        yield from zip(_source(job), _run(job, values, options), strict=True)
        return
    waiting: collections.deque[Frame] = collections.deque()

    def feed() -> Iterator[np.ndarray]:
        for frame in _source(job):
            waiting.append(frame)
            yield pixels(frame, info)

    for enhanced in _run(job, feed(), options):
        yield waiting.popleft(), enhanced


def _run(job: Job, frames: Iterable[np.ndarray], options: dict[str, Any]) -> Iterator[np.ndarray]:
    return enhance_frames(job.ready, frames, qp=job.qp, **options)


def _split(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    half = before.shape[1] // 2
    result = after.copy()
    result[:, :half] = before[:, :half]
    result[:, half : half + 1] = 1.0
    return result


def _enlarged(values: np.ndarray, target: VideoInfo, like: Frame) -> Frame:
    made = from_rgb(values, target)
    return dataclasses.replace(like, planes=made.planes, pixel_format=made.pixel_format)
