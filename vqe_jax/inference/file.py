"""Enhancing a video file: in comes any video, out comes the same one, better.

Frames stream through :func:`vqe_jax.inference.stream.enhance_frames` one by one. A luma network
changes the Y plane and nothing else; an RGB network's changes are converted and added. Sound,
subtitles, time stamps, bit depth and color tags come out as they went in.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.inference.concerns import concerns
from vqe_jax.inference.duplicates import Copies
from vqe_jax.inference.job import Job, enhanced
from vqe_jax.inference.options import StreamOptions, sorted_out
from vqe_jax.inference.resolve import Model, resolve
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.inference.source_frames import Peaks, source_frames
from vqe_jax.inference.source_qp import choose_qp, doubt, measured_qp
from vqe_jax.inference.target import target_info
from vqe_jax.video import PixelFormat, Reader, VideoInfo, Writer, open_reader, open_writer
from vqe_jax.video.encoders import default_encoder, encoder_name, with_defaults
from vqe_jax.weights import ModelFile, load_model, packaged_for

__all__ = ["Enhanced", "Job", "Reading", "Request", "enhance_video", "prepare", "run", "trial"]


# Frames of a trial together have about this many pixels.
_TRIAL_PIXELS = 16 * 416 * 240


@dataclasses.dataclass(frozen=True)
class Enhanced:
    """What was done.

    Attributes:
      path: the file or folder that was written.
      frames: how many.
      seconds: that it took, compilation included.
      source_qp: mean QP of the source's P frames; None where it does not tell.
      copies: frames that equal the one before to the bit and got its result; None where they were
        not looked for.
    """

    path: Path
    frames: int
    seconds: float
    source_qp: float | None
    copies: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """How the source is read.

    Attributes:
      size: (width, height) of a raw file whose name does not say it.
      pixel_format: of a raw file.
      keep_damaged: go on over damaged frames and a missing end.
    """

    size: tuple[int, int] | None = None
    pixel_format: PixelFormat | None = None
    keep_damaged: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
      model: a packaged name, a path to a model file, a loaded one, or ``(module, variables)``;
        None: the packaged one that is measured best for the source's codec and QP.
      qp: the source's nominal QP, for networks conditioned on it; ``"auto"`` or None to read it
        from the stream.
      peaks: how networks that look at peak-quality frames are told which they are: ``"qp"`` by
        the bitstream, ``"measure"`` from the pictures, or a number: every n-th frame.
      codec: FFmpeg's name of the encoder; ``"ffv1"`` in ``.mkv`` is lossless. None for the usual
        one of the container: libx265, libvpx-vp9 in ``.webm``, libx264 in ``.avi`` and for
        interlaced pictures.
      encoder_options: by FFmpeg's names, added to the defaults: libx265 at CRF 12, which is
        visually lossless. Another quality setting (``crf``, ``qp``, ``b``) takes its place.
      preview: enhance only so many seconds from the start.
      split: leave the left half as it was, with a line between, to compare.
      force: go on where the model is not meant for such a source, or all sound would be lost.
      skip_duplicates: exact copies of the frame before are enhanced once and get its result; the
        network does not see them. What it says of single frames counts without them.
    """

    model: Model | None = None
    qp: int | str | None = None
    peaks: Peaks = "qp"
    codec: str | None = None
    encoder_options: Mapping[str, str] | None = None
    preview: float | None = None
    split: bool = False
    force: bool = False
    skip_duplicates: bool = False


def prepare(reader: Reader, dst: Path, request: Request) -> Job:
    """Opens the model, decides how the target will look and makes every check; writes nothing.

    What will be left out, and what speaks against the job, is said in warnings.

    Raises:
      UserError: whatever can be known to be wrong beforehand.
    """
    src, info = reader.path, reader.info
    qp, preview, force = request.qp, request.preview, request.force
    _check_names(src, dst)
    mean = measured_qp(src)
    model = packaged_for(info.codec, mean) if request.model is None else request.model
    name = str(model) if isinstance(model, (str, os.PathLike)) else None
    model = load_model(name) if name is not None else model
    ready = resolve(model)
    color = model.color if isinstance(model, ModelFile) else ready.network.color
    scale = ready.network.context.scale
    if scale != 1 and color == "luma":
        raise UserError(f"the model enlarges luma {scale} times, but chroma would stay small")
    codec = encoder_name(request.codec) if request.codec else default_encoder(dst, info)
    job = Job(
        reader=reader,
        model=name,
        dst=dst,
        target=target_info(dst, info, codec=codec, scale=scale),
        ready=ready,
        color=color,
        codec=codec,
        encoder_options=with_defaults(codec, request.encoder_options or {}),
        source_qp=mean,
        qp=choose_qp(qp, mean, ready.network),
        infos=source_frames(
            src, ready.network, request.peaks, qp=qp if isinstance(qp, int) else None
        ),
        frames=_expected_frames(info, preview),
        preview=preview,
        split=request.split,
        force=force,
        skip_duplicates=request.skip_duplicates,
    )
    said = [*reader.concerns(preview), *concerns(reader, job.target, dst, codec), *_rehearse(job)]
    if isinstance(model, ModelFile) and not force:
        why = doubt(info.codec, mean, model, asked=qp)
        said += [why] if why else []
    for message in said:
        warnings.warn(message, stacklevel=2)
    return dataclasses.replace(job, said=frozenset(said))


def _check_names(src: Path, dst: Path) -> None:
    if str(dst) == "-":
        raise UserError("'-' is no file: nothing is written to standard output; name a file")
    if dst.exists() and src.samefile(dst):
        raise UserError(f"{dst} is the source itself; name another file")


def _rehearse(job: Job) -> list[str]:
    """Opens the output and throws it away: what cannot be written is known before any work."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        writer = _open(job)
        try:
            foreseen = writer.foresee(job.reader.times)
        finally:
            writer.cancel()
    return [*(str(warning.message) for warning in said), *foreseen]


def enhance_video(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    model: Model | None = None,
    progress: Callable[[int, int | None], None] | None = None,
    **options: Any,
) -> Enhanced:
    """Enhances a video file, a raw ``.yuv`` or ``.y4m``, or a folder of PNG.

    Args:
      src: the video.
      dst: where to; the suffix says what: a container (``.mkv``, ``.mp4``, ...), ``.yuv``,
        ``.y4m``, or no suffix for a folder of PNG. It appears only when it is whole.
      model: see :class:`Request`.
      progress: called after each frame with (frames done, frames expected or None).
      **options: what else is asked for, by the names of :class:`Request` (``qp``, ``codec``,
        ``preview``, ...); how the source is read, by those of :class:`Reading` (``size``, ...); how
        the network runs, by those of :class:`vqe_jax.inference.StreamOptions` (``tiling``, ...).

    Returns:
      What was done.

    Raises:
      UserError: a source that cannot be read to its end, a target that cannot be written, an
        unknown model or option.
    """
    asked = {"model": model, "scene_cut": SceneCut(), **options}
    reading, request, how = sorted_out("enhance_video", asked, Reading, Request, StreamOptions)
    job = prepare(open_reader(src, **vars(reading)), Path(dst), request)
    return run(job, how, progress=progress)


def run(
    job: Job,
    how: StreamOptions = StreamOptions(),
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Enhanced:
    """Does what :func:`prepare` decided.

    Args:
      progress: see :func:`enhance_video`.

    Raises:
      UserError: the source cannot be read, or changes the size of its pictures within; in the
        latter case the target holds all that comes before.
    """
    start = time.monotonic()
    count = Copies() if job.skip_duplicates else None
    with _said_before(job), _memory_in_words(), _open_again(job) as writer:
        for frame in enhanced(job, how, count):
            writer.write(frame)
            if progress:
                progress(writer.written, job.frames)
        if progress and job.frames != writer.written:  # a header's word
            progress(writer.written, writer.written)
    if job.stopped:
        raise UserError(f"{job.stopped[0]}; {job.dst} holds the {writer.written} frames before it")
    seconds, copies = time.monotonic() - start, count.copies if count else None
    return Enhanced(job.dst, writer.written, seconds, job.source_qp, copies)


def trial(job: Job, how: StreamOptions) -> float:
    """Frames per second of the network on the first frames, once it is compiled; writes nothing."""
    count = max(3, min(16, _TRIAL_PIXELS // (job.target.width * job.target.height)))
    short = dataclasses.replace(job, limit=count, split=False)
    with _memory_in_words():
        for _ in range(2):
            start = time.monotonic()
            done = sum(1 for _ in enhanced(short, how))
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


@contextlib.contextmanager
def _said_before(job: Job) -> Iterator[None]:
    """Keeps back what was foreseen and said when the job was prepared."""
    with warnings.catch_warnings():
        for text in job.said:
            warnings.filterwarnings("ignore", message=re.escape(text))
        yield


def _open(job: Job) -> Writer:
    return open_writer(
        job.dst,
        job.target,
        codec=job.codec,
        options=job.encoder_options,
        copy_from=job.reader.path if job.reader.is_container else None,
        copy_seconds=job.preview,
        force=job.force,
    )


def _open_again(job: Job) -> Writer:
    """The output, whose warnings were said when the job was prepared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _open(job)


def _expected_frames(info: VideoInfo, preview: float | None) -> int | None:
    total = info.frames
    if total is None and info.duration and info.frame_rate:
        total = round(info.duration * info.frame_rate)
    if preview is None or not info.frame_rate:
        return total
    wanted = max(1, round(preview * info.frame_rate))
    return wanted if total is None else min(total, wanted)
