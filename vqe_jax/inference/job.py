"""A file's enhancement as decided (:class:`Job`), and the frames that come of it."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from vqe_jax.inference.duplicates import Copies, each_once
from vqe_jax.inference.options import StreamOptions
from vqe_jax.inference.resolve import Ready
from vqe_jax.inference.source_frames import unending
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.inference.target import converter
from vqe_jax.models.side import FrameInfo
from vqe_jax.video import (
    Frame,
    PictureChanges,
    Reader,
    VideoInfo,
    from_rgb,
    luma,
    to_rgb,
    with_luma,
)

__all__ = ["Job", "enhanced"]


@dataclasses.dataclass(frozen=True)
class Job:
    """Everything that is decided before the first frame is computed.

    Attributes:
      model: its name, where it has one.
      target: size, format and color of what is written.
      color: ``"luma"`` or ``"rgb"``: what the network works on.
      encoder_options: of the encoder, defaults included.
      source_qp: mean QP of the source's P frames; None where it does not tell.
      qp: what the network is told; None for networks that do not ask.
      infos: what it is told of each frame; None for networks that do not ask.
      frames: how many there will be, as far as is known.
      preview: seconds to enhance; None for all.
      split: whether the left half stays as it was, with a line between.
      skip_duplicates: whether exact copies of the frame before get its result.
      limit: frames to enhance at most; None for all.
      said: the warnings that were given when it was prepared.
      stopped: why the frames end before the file does, once they have.
    """

    reader: Reader
    dst: Path
    target: VideoInfo
    ready: Ready
    color: str
    codec: str
    encoder_options: Mapping[str, str]
    source_qp: float | None
    qp: int | None
    frames: int | None
    preview: float | None
    infos: list[FrameInfo] | None = None
    limit: int | None = None
    split: bool = False
    force: bool = False
    skip_duplicates: bool = False
    said: frozenset[str] = frozenset()
    model: str | None = None
    stopped: list[PictureChanges] = dataclasses.field(default_factory=list)


def _source(job: Job) -> Iterator[Frame]:
    """The frames to enhance: all, or those shown in the first seconds."""
    rate = float(job.reader.info.frame_rate or 25)
    first = 0.0
    for index, frame in enumerate(_alike(job)):
        shown = index / rate if frame.seconds is None else frame.seconds
        first = first if index else shown
        if job.preview is not None and index and shown - first >= job.preview:
            return
        yield frame


def _alike(job: Job) -> Iterator[Frame]:
    """The frames up to where the pictures change, if they do; then ``job.stopped`` says so."""
    try:
        yield from itertools.islice(job.reader, job.limit)
    except PictureChanges as err:
        job.stopped[:] = [err]


def enhanced(job: Job, how: StreamOptions, count: Copies | None = None) -> Iterator[Frame]:
    """The frames to write, in order.

    Args:
      count: enhance exact copies of the frame before once, and count them; None: enhance all.
    """
    info = job.reader.info
    pixels = _luma_pixels if job.color == "luma" else to_rgb
    scale = job.ready.network.context.scale
    convert = converter(
        dataclasses.replace(job.target, pixel_format=info.pixel_format, color=info.color),
        job.target,
    )
    run = functools.partial(_run, job, how, count)
    for frame, values in _pairs(job, pixels, run):
        if job.split and scale == 1:
            values = _split(pixels(frame, info), values)
        if job.color == "luma":
            yield convert(with_luma(frame, values[..., 0]))
        elif scale == 1:
            yield convert(from_rgb(np.clip(values, 0, 1), info, like=frame))
        else:
            yield _enlarged(values, job.target, frame)


def _luma_pixels(frame: Frame, info: VideoInfo) -> np.ndarray:
    return luma(frame, info)[..., None]


def _pairs(
    job: Job,
    pixels: Callable[[Frame, VideoInfo], np.ndarray],
    run: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]],
) -> Iterator[tuple[Frame, np.ndarray]]:
    """Each frame with its enhanced values.

    Frames wait until the network, which may look ahead, is done with them. A bidirectional
    network looks at all of them first: then the source is read a second time instead.
    """
    info = job.reader.info
    if job.ready.network.context.recurrence == "both":
        values = (pixels(frame, info) for frame in _source(job))
        yield from zip(_source(job), run(values), strict=True)
        return
    waiting: collections.deque[Frame] = collections.deque()

    def feed() -> Iterator[np.ndarray]:
        for frame in _source(job):
            waiting.append(frame)
            yield pixels(frame, info)

    for enhanced in run(feed()):
        yield waiting.popleft(), enhanced


def _run(
    job: Job, how: StreamOptions, count: Copies | None, frames: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    enhance: Callable[..., Iterator[np.ndarray]] = functools.partial(
        enhance_frames, job.ready, qp=job.qp, **vars(how)
    )
    infos = unending(job.infos)
    if count is None:
        return enhance(frames, infos=infos)
    return each_once(enhance, frames, infos=infos, count=count)


def _split(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    half = before.shape[1] // 2
    result = after.copy()
    result[:, :half] = before[:, :half]
    result[:, half : half + 1] = 1.0
    return result


def _enlarged(values: np.ndarray, target: VideoInfo, like: Frame) -> Frame:
    made = from_rgb(values, target)
    alpha = like.alpha
    if alpha is not None:
        across, down = target.width // alpha.shape[1], target.height // alpha.shape[0]
        alpha = alpha.repeat(down, 0).repeat(across, 1)
    return dataclasses.replace(
        like, planes=made.planes, pixel_format=made.pixel_format, alpha=alpha
    )
