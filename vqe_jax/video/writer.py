"""Writing videos frame by frame: :func:`open_writer` finds the writer for a name."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.video.files import discard, publish, translated, unfinished
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.png import encode_png
from vqe_jax.video.raw import write_planes
from vqe_jax.video.y4m import y4m_header

__all__ = ["Writer", "open_writer"]


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


class _PlanesWriter(Writer):
    """``.yuv``, and ``.y4m`` with its header lines."""

    def __init__(self, path: Path, header: bytes = b"", before_frame: bytes = b"") -> None:
        super().__init__(path)
        self._before_frame = before_frame
        with translated(path, "written"):
            self._file = self.part.open("wb")
            self._file.write(header)

    def _write(self, frame: Frame) -> None:
        self._file.write(self._before_frame)
        write_planes(self._file, frame)

    def _close(self, *, whole: bool) -> None:
        try:
            self._file.close()
        except OSError:
            if whole:
                raise


class _PngWriter(Writer):
    """A folder of ``00000000.png`` and so on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; expected the name of a folder for PNG frames")
        if path.is_dir() and any(f.suffix != ".png" for f in path.iterdir()):
            raise UserError(f"{path} holds files that are not PNG; name an empty or new folder")
        discard(self.part)
        with translated(path, "written"):
            self.part.mkdir()

    def _write(self, frame: Frame) -> None:
        (self.part / f"{self.written:08d}.png").write_bytes(encode_png(frame))

    def _close(self, *, whole: bool) -> None: ...


def open_writer(
    path: str | os.PathLike[str],
    info: VideoInfo,
    *,
    codec: str = "libx265",
    options: Mapping[str, str] | None = None,
    copy_from: str | os.PathLike[str] | None = None,
    copy_seconds: float | None = None,
) -> Writer:
    """Opens a video for writing; what it is follows from the name.

    ``.yuv`` and ``.y4m`` are raw, a name without a suffix is a folder of PNG, anything else a
    container (``.mkv``, ``.mp4``, ``.mov``, ``.hevc``, ...).

    Args:
      path: the final name.
      info: size, pixel format, colour tags and timing; frames must fit it.
      codec: FFmpeg's name of an encoder, for containers.
      options: of the encoder, by FFmpeg's names; None for the defaults in
        :data:`vqe_jax.video.mux.DEFAULT_OPTIONS`.
      copy_from: a file whose sound, subtitles, attachments, chapters and metadata come along.
      copy_seconds: how much of its sound and subtitles; None for all.

    Raises:
      UserError: a folder that is not there, a name, codec, option or pixel format that cannot be.
    """
    from vqe_jax.video.mux import ContainerWriter

    path = Path(path)
    suffix = path.suffix.lower()
    if not suffix or path.is_dir():
        return _PngWriter(path)
    if suffix == ".yuv":
        return _PlanesWriter(path)
    if suffix == ".y4m":
        return _PlanesWriter(path, y4m_header(info), b"FRAME\n")
    source = None if copy_from is None else Path(copy_from)
    return ContainerWriter(
        path, info, codec=codec, options=options, copy_from=source, copy_seconds=copy_seconds
    )
