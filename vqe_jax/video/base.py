"""What every reader and every writer of videos promises, whatever the format."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.video.files import discard, publish, translated, unfinished
from vqe_jax.video.info import Frame, VideoInfo

__all__ = ["Reader", "Writer"]


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


class Writer(abc.ABC):
    """A video being written: under ``.part`` until the ``with`` block ends without an exception.

    Attributes:
      path: the final name.
      part: where it is until it is whole.
      written: frames so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = unfinished(path)
        self.written = 0
        if not path.parent.is_dir():
            raise UserError(f"{path}: the folder {path.parent} does not exist; make it first")

    def write(self, frame: Frame) -> None:
        """Appends a frame.

        Args:
          frame: of the size and format the writer was opened for.
        """
        with translated(self.path, "written"):
            self._write(frame)
        self.written += 1

    @abc.abstractmethod
    def _write(self, frame: Frame) -> None: ...

    @abc.abstractmethod
    def _close(self, *, whole: bool) -> None:
        """Closes the files; ``whole`` is False where they are about to be thrown away."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: Any) -> None:
        try:
            with translated(self.path, "written"):
                self._close(whole=kind is None)
                if kind is None:
                    publish(self.part, self.path)
        finally:
            discard(self.part)
