"""What every reader and every writer of videos promises, whatever the format."""

from __future__ import annotations

import abc
import os
import warnings
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.video.files import claim, discard, publish, translated, unfinished
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.rates import Steps

__all__ = ["PictureChanges", "Reader", "Writer"]


class PictureChanges(UserError):
    """From here on a video has pictures of another size or format; those before are whole."""


class Reader(abc.ABC):
    """A video that can be walked through any number of times, one frame in memory at a time.

    Attributes:
      info: what is known about it without decoding it all.
      is_container: the file may hold sound and subtitles beside the video.
      times: when its frames are shown, in seconds, once :meth:`concerns` was asked; empty where
        they have no times.
    """

    path: Path
    info: VideoInfo
    is_container = False
    times: Sequence[Fraction] = ()

    @abc.abstractmethod
    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames in display order.

        Args:
          start: index of the first frame wanted; those before it are skipped.
        """

    def concerns(self, seconds: float | None = None) -> list[str]:
        """What is odd about the file, one line each: found without decoding it.

        Args:
          seconds: look at so much of its beginning; None for all.
        """
        return []

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: Any) -> None:  # noqa: B027
        """Files are open only while frames are read, so there is nothing to close."""


class Writer(abc.ABC):
    """A video being written: under ``.part`` until the ``with`` block ends without an exception."""

    def __init__(self, path: Path, rate: Fraction | None = None) -> None:
        self.path = path
        self.part = unfinished(path)
        self.written = 0
        self._steps = Steps(rate)
        self._claimed: int | None = None
        if not path.parent.is_dir():
            raise UserError(f"{path}: the folder {path.parent} does not exist; make it first")

    def write(self, frame: Frame) -> None:
        """Appends a frame.

        Args:
          frame: of the size and format the writer was opened for.
        """
        with translated(self.path, "written"):
            self._write(frame)
        self._steps.note(frame.seconds)
        self.written += 1

    def foresee(self, times: Sequence[Fraction]) -> list[str]:
        """What would be said at the end of frames shown at these times; for a rehearsal."""
        for time in times:
            self._steps.note(float(time))
        return [message] if (message := self._steps.uneven(self.path)) else []

    def cancel(self) -> None:
        """Gives up: what was written so far is thrown away."""
        try:
            self._close(whole=False)
        finally:
            self._release()
            discard(self.part)

    @abc.abstractmethod
    def _write(self, frame: Frame) -> None: ...

    @abc.abstractmethod
    def _close(self, *, whole: bool) -> None:
        """Closes the files; ``whole`` is False where they are about to be thrown away."""

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: Any) -> None:
        published = False
        try:
            with translated(self.path, "written"):
                self._close(whole=kind is None)
                if kind is None:
                    publish(self.part, self.path)
                    published = True
        finally:
            self._release()
            if not published:
                discard(self.part)
        if published and (message := self._steps.uneven(self.path)):
            warnings.warn(message, stacklevel=2)

    def _claim(self) -> None:
        """Makes the unfinished file this process's own."""
        with translated(self.path, "written"):
            self._claimed = claim(self.part)

    def _release(self) -> None:
        if self._claimed is not None:
            os.close(self._claimed)
            self._claimed = None
