"""Reading videos frame by frame: :func:`open_reader` finds the reader for a file or folder."""

from __future__ import annotations

import abc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import Frame, VideoInfo

__all__ = ["Reader", "open_reader", "read_frames"]


class Reader(abc.ABC):
    """A video that can be walked through any number of times, one frame in memory at a time.

    Attributes:
      path: the file or folder.
      info: what is known about it without decoding it all.
      is_container: the file may hold sound and subtitles beside the video.
    """

    path: Path
    info: VideoInfo
    is_container = False

    @abc.abstractmethod
    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames in display order.

        Args:
          start: index of the first frame wanted; those before it are skipped.
        """

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: Any) -> None:  # noqa: B027
        """Files are open only while frames are read, so there is nothing to close."""


def open_reader(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    pixel_format: PixelFormat | None = None,
    keep_damaged: bool = False,
) -> Reader:
    """Opens a video: any container FFmpeg decodes, raw ``.yuv``, ``.y4m`` or a folder of PNG.

    Args:
      path: the file or folder.
      size: (width, height) of a raw file whose name does not say it.
      pixel_format: of a raw file; 8-bit 4:2:0 unless its name says otherwise.
      keep_damaged: go on over frames that the decoder had to patch up and accept a file that
        ends early, instead of raising.

    Raises:
      UserError: missing, empty, truncated or undecodable; no picture in it; a raw file whose
        size is not known or does not fit.
    """
    from vqe_jax.video.container import ContainerReader
    from vqe_jax.video.png import PngReader
    from vqe_jax.video.raw import RawReader
    from vqe_jax.video.y4m import Y4mReader

    path = Path(path)
    if path.is_dir():
        return PngReader(path)
    suffix = path.suffix.lower()
    if suffix == ".yuv":
        return RawReader(path, size=size, pixel_format=pixel_format)
    if suffix == ".y4m":
        return Y4mReader(path)
    return ContainerReader(path, keep_damaged=keep_damaged)


def read_frames(
    path: str | os.PathLike[str], start: int = 0, count: int | None = None, **options: Any
) -> list[Frame]:
    """A few frames of a video as a list.

    Args:
      path: as :func:`open_reader` takes it.
      start: index of the first.
      count: how many at most; None for all that follow.
      **options: as :func:`open_reader` takes them.
    """
    with open_reader(path, **options) as reader:
        return list(itertools.islice(reader.frames(start), count))
