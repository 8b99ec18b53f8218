"""Finds the reader or the writer for a name: the one place that knows all formats."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.video.base import Reader, Writer
from vqe_jax.video.container import ContainerReader
from vqe_jax.video.encoders import CONTAINERS
from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.mux import ContainerWriter
from vqe_jax.video.png import PngReader, PngWriter
from vqe_jax.video.raw import PlanesWriter, RawReader
from vqe_jax.video.y4m import Y4mReader, y4m_header

__all__ = ["open_reader", "open_writer", "read_frames"]


def open_reader(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    pixel_format: PixelFormat | None = None,
    keep_damaged: bool = False,
) -> Reader:
    """Opens a video: any container FFmpeg decodes, raw ``.yuv``, ``.y4m`` or a folder of PNG.

    Args:
      size: (width, height) of a raw file whose name does not say it.
      pixel_format: of a raw file; 8-bit 4:2:0 unless its name says otherwise.
      keep_damaged: go on over frames that the decoder had to patch up and accept a file that
        ends early, instead of raising.

    Raises:
      UserError: missing, empty, truncated or undecodable; no picture in it; a raw file whose
        size is not known or does not fit.
    """
    path = Path(path)
    if path.is_dir():
        return PngReader(path)
    suffix = path.suffix.lower()
    if suffix == ".yuv":
        return RawReader(path, size=size, pixel_format=pixel_format, keep_damaged=keep_damaged)
    if suffix == ".y4m":
        return Y4mReader(path, keep_damaged=keep_damaged)
    return ContainerReader(path, keep_damaged=keep_damaged)


def read_frames(
    path: str | os.PathLike[str], start: int = 0, count: int | None = None, **options: Any
) -> list[Frame]:
    """A few frames of a video as a list.

    Args:
      path: as :func:`open_reader` takes it.
      count: how many at most; None for all that follow.
      **options: as :func:`open_reader` takes them.
    """
    with open_reader(path, **options) as reader:
        return list(itertools.islice(reader.frames(start), count))


def open_writer(
    path: str | os.PathLike[str],
    info: VideoInfo,
    *,
    codec: str | None = None,
    options: Mapping[str, str] | None = None,
    copy_from: str | os.PathLike[str] | None = None,
    copy_seconds: float | None = None,
    force: bool = False,
) -> Writer:
    """Opens a video for writing; what it is follows from the name.

    ``.yuv`` and ``.y4m`` are raw, a name without a suffix is a folder of PNG, anything else a
    container (``.mkv``, ``.mp4``, ``.mov``, ``.hevc``, ...).

    Args:
      info: size, pixel format, color tags and timing; frames must fit it.
      codec: FFmpeg's name of an encoder, for containers; None for the usual one (libx265,
        libvpx-vp9 in ``.webm``, libx264 in ``.avi``).
      options: of the encoder, by FFmpeg's names; None for the defaults in
        :data:`vqe_jax.video.encoders.DEFAULT_OPTIONS`.
      copy_from: a file whose sound, subtitles, attachments, chapters and metadata come along.
      copy_seconds: how much of its sound and subtitles; None for all.
      force: go on where all sound of that file would be lost.

    Raises:
      UserError: a folder that is not there, a name, codec, option or pixel format that cannot be.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir() and (suffix in CONTAINERS or suffix in (".yuv", ".y4m")):
        raise UserError(f"{path} is a folder; expected the name of a file, or one without suffix")
    if not suffix or path.is_dir():
        return PngWriter(path, info.frame_rate)
    if suffix == ".yuv":
        return PlanesWriter(path, rate=info.frame_rate)
    if suffix == ".y4m":
        return PlanesWriter(path, y4m_header(info), b"FRAME\n", info.frame_rate)
    source = None if copy_from is None else Path(copy_from)
    return ContainerWriter(
        path,
        info,
        codec=codec,
        options=options,
        copy_from=source,
        copy_seconds=copy_seconds,
        force=force,
    )
