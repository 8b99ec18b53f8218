"""Reading containers (MP4, Matroska, MPEG-TS, raw bitstreams, ...) through PyAV."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from vqe_jax.errors import UserError
from vqe_jax.video.base import Reader
from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.formats import ColorTags
from vqe_jax.video.hdr import parse_hdr
from vqe_jax.video.headers import TRACEABLE, trace
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.planes import from_av_frame, side_data
from vqe_jax.video.truncation import bytes_missing

__all__ = ["ContainerReader", "video_stream"]

# chroma_sample_loc_type of the HEVC and H.264 VUI.
_SITING = ("left", "center", "topleft", "top", "bottomleft", "bottom")
# One packet is one picture in these.
_BITSTREAMS = ("hevc", "h264")
# Bitstreams do not say how long they are; up to this size their packets are counted.
_COUNTED_BYTES = 1 << 26


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video stream that is not a cover picture.

    Args:
      container: open for reading.
      path: for the message.

    Raises:
      UserError: there is none.
    """
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            return stream
    kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
    raise UserError(f"{path} holds no video, only {kinds}; expected a file with moving pictures")


class ContainerReader(Reader):
    """Frames of the first video stream of a file.

    Args:
      path: the file.
      keep_damaged: go on over damaged frames and a missing end.
    """

    is_container = True

    def __init__(self, path: Path, *, keep_damaged: bool = False) -> None:
        self.path = path
        self.keep_damaged = keep_damaged
        size = readable_file(path, "a video")
        short = bytes_missing(path)
        if short and not keep_damaged:
            raise UserError(
                f"{path} is cut short: {short} bytes are missing at its end; get the whole file, "
                "or use what is there (enhance.py --keep-damaged)"
            )
        with translated(path, "read"), av.open(str(path)) as container:
            stream = video_stream(container, path)
            first = next(self._pictures(container, stream), None)
            if first is None:
                raise UserError(f"{path}: no frame could be decoded; is the file damaged?")
            self.info = _describe(container, stream, first, self._siting(stream))
            bare = container.format.name in _BITSTREAMS
        if bare and size <= _COUNTED_BYTES:
            self.info = dataclasses.replace(self.info, frames=self._count())

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on; those before are decoded and dropped, as they must be.

        Args:
          start: index of the first frame wanted.
        """
        index = -1
        with translated(self.path, "read"), av.open(str(self.path)) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "AUTO"
            for index, picture in enumerate(self._pictures(container, stream)):
                if (picture.width, picture.height) != (self.info.width, self.info.height):
                    raise UserError(
                        f"{self.path}: the picture changes from {self.info.width}x"
                        f"{self.info.height} to {picture.width}x{picture.height} at frame {index}; "
                        "cut the file there"
                    )
                if picture.is_corrupt and not self.keep_damaged:
                    raise UserError(self._damaged(f"frame {index} is damaged"))
                if index >= start:
                    yield from_av_frame(picture)

    def _count(self) -> int:
        with av.open(str(self.path)) as container:
            stream = video_stream(container, self.path)
            return sum(packet.size > 0 for packet in container.demux(stream))

    def _damaged(self, what: str) -> str:
        return (
            f"{self.path}: {what}; get an undamaged file, or go on regardless "
            "(enhance.py --keep-damaged)"
        )

    def _pictures(
        self, container: av.container.InputContainer, stream: av.VideoStream
    ) -> Iterator[av.VideoFrame]:
        packets = pictures = 0
        for packet in container.demux(stream):
            packets += packet.size > 0
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError as err:
                if self.keep_damaged:
                    continue
                raise UserError(self._damaged(f"damaged after frame {pictures}")) from err
            pictures += len(decoded)
            yield from decoded
        if container.format.name in _BITSTREAMS and packets != pictures and not self.keep_damaged:
            raise UserError(
                self._damaged(f"only {pictures} of {packets} frames could be decoded; cut short?")
            )

    def _siting(self, stream: av.VideoStream) -> str:
        codec = stream.codec_context.name
        if codec in TRACEABLE:
            headers = trace(self.path)
            first = next(headers, None)
            headers.close()
            location = first.last("chroma_sample_loc_type_top_field") if first else None
            return "unspecified" if location is None else _SITING[location]
        return "center" if codec in ("mjpeg", "mpeg1video") else "unspecified"


def _display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    matrices = side_data(picture, "DISPLAYMATRIX")
    return struct.unpack("=9i", matrices[0]) if matrices else None


def _describe(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    picture: av.VideoFrame,
    siting: str,
) -> VideoInfo:
    duration: float | None = None
    if stream.duration and stream.time_base:
        duration = float(stream.duration * stream.time_base)
    elif container.duration:
        duration = container.duration / av.time_base
    full = picture.format.name.startswith("yuvj")
    return VideoInfo(
        picture.width,
        picture.height,
        from_av_frame(picture).pixel_format,
        ColorTags(
            matrix=int(picture.colorspace),
            range=2 if full else int(picture.color_range),
            primaries=int(picture.color_primaries),
            transfer=int(picture.color_trc),
            siting=siting,
        ),
        frame_rate=_known(stream.average_rate) or _known(stream.guessed_rate),
        time_base=stream.time_base,
        frames=stream.frames or None,
        codec=stream.codec_context.name,
        rotation=picture.rotation,
        display_matrix=_display_matrix(picture),
        sample_aspect_ratio=_known(stream.sample_aspect_ratio),
        interlaced=bool(picture.interlaced_frame),
        duration=duration,
        bit_rate=stream.bit_rate or container.bit_rate or None,
        hdr=parse_hdr(
            next(iter(side_data(picture, "MASTERING_DISPLAY_METADATA")), None),
            next(iter(side_data(picture, "CONTENT_LIGHT_LEVEL")), None),
        ),
    )


def _known(ratio: Fraction | None) -> Fraction | None:
    return ratio or None
