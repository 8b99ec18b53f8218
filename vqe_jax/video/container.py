"""Reading containers (MP4, Matroska, MPEG-TS, raw bitstreams, ...) through PyAV."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import struct
import warnings
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

import av

from vqe_jax.errors import UserError
from vqe_jax.video.base import PictureChanges, Reader
from vqe_jax.video.changes import change_of_pictures
from vqe_jax.video.clock import Clock
from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.formats import ColorTags
from vqe_jax.video.hdr import parse_hdr
from vqe_jax.video.headers import TRACEABLE, trace
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.ledger import Ledger
from vqe_jax.video.libav import (
    BestEffort,
    Packet,
    open_input,
    packets,
    picture_decoder,
    video_stream,
)
from vqe_jax.video.log import counting_errors
from vqe_jax.video.planes import from_av_frame, layout_of, side_data
from vqe_jax.video.rates import nominal_rate
from vqe_jax.video.slices import missing_pictures
from vqe_jax.video.survey import BREAKS_OFF, survey
from vqe_jax.video.truncation import bytes_missing
from vqe_jax.video.walk import walk

__all__ = ["ContainerReader"]

# chroma_sample_loc_type of the HEVC and H.264 VUI.
_SITING = ("left", "center", "topleft", "top", "bottomleft", "bottom")
# One packet is one picture in these.
_BITSTREAMS = ("hevc", "h264", "mpegvideo", "m4v", "obu")
# Bitstreams do not say how long they are; up to this size their packets are counted.
_COUNTED_BYTES = 1 << 26
# What may lie in the pictures' side data and has no way into another encoder.
_UNCARRIED = {
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "dynamic HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "dynamic HDR Vivid metadata",
}


class ContainerReader(Reader):
    """Frames of the first video stream of a file.

    Args:
      keep_damaged: go on over damaged frames and a missing end.
    """

    is_container = True

    def __init__(self, path: Path, *, keep_damaged: bool = False) -> None:
        self.path = path
        self.keep_damaged = keep_damaged
        self._breaks_off = False
        size = readable_file(path, "a video")
        short = bytes_missing(path)
        if short and not keep_damaged:
            raise UserError(
                f"{path} is cut short: {short} bytes are missing at its end; get the whole file, "
                "or use what is there (enhance.py --keep-damaged)"
            )
        self._state = _file_state(path)
        with translated(path, "read"), open_input(path, best_effort_times=True) as container:
            stream = video_stream(container, path)
            stream.thread_type = "NONE"
            ledger = Ledger(stream.codec_context.name)
            with contextlib.closing(self._pictures(container, stream, ledger, warn=False)) as shown:
                first = next(shown, None)
            if first is None:
                raise UserError(f"{path}: no frame could be decoded; is the file damaged?")
            if first.is_corrupt and not keep_damaged:
                raise UserError(self._damaged("frame 0 is damaged"))
            self.info = _describe(container, stream, first, self._siting(stream))
            self._bare = container.format.name in _BITSTREAMS
            self._opening = ledger.opening
        if self._bare and size <= _COUNTED_BYTES:
            self.info = dataclasses.replace(self.info, frames=self._count())

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on; those before are decoded and dropped, as they must be.

        Their times are FFmpeg's best effort: the presentation time, or the decoding time where
        the container has no other, or one step after the last where there is none; where the
        clock of a recording jumps, time goes on.

        Args:
          start: index of the first frame wanted.
        """
        times = BestEffort()
        last: int | None = None
        with (
            translated(self.path, "read"),
            open_input(self.path, best_effort_times=True) as container,
        ):
            stream = video_stream(container, self.path)
            # Working on several pictures at once, a decoder loses some around a damaged one.
            one = self.keep_damaged or self._breaks_off
            stream.thread_type = "NONE" if one else "AUTO"
            step = self._step(stream)
            ledger = Ledger(stream.codec_context.name, self._opening)
            for index, picture in enumerate(self._pictures(container, stream, ledger)):
                if change := self._change(picture):
                    self._end_at(change, f"frame {index}")
                    return
                if picture.is_corrupt:
                    if not self.keep_damaged:
                        raise UserError(self._damaged(f"frame {index} is damaged"))
                    ledger.spoiled.append(index)
                pts = times.time(picture.pts, picture.dts)
                if pts is None and last is not None and step:
                    pts = last + step
                last = pts
                if index >= start:
                    frame = from_av_frame(picture)
                    frame.pts = pts
                    yield frame

    def concerns(self, seconds: float | None = None) -> list[str]:
        """Holes, jumps of the clock and damage that the container itself tells of.

        Args:
          seconds: look at so much of its beginning; None for all.

        Raises:
          PictureChanges: the pictures change their size or format, and damage is not to be kept.
        """
        with translated(self.path, "read"):
            change = change_of_pictures(self.path, self.info, seconds)
            if change and not self.keep_damaged:
                self._end_at(change[0], f"about {change[1]:.1f} s")
            found = walk(self.path, seconds)
            said = self._cut() + survey(self.path, found, whole=seconds is None)
            said += self._order_holes()
        self.times = [Fraction(stamp) * found.base for stamp in sorted(found.times)]
        self._breaks_off = any(BREAKS_OFF in text for text in said)
        return said

    def _cut(self) -> list[str]:
        if not (short := bytes_missing(self.path)):
            return []
        return [f"{self.path} is cut short: {short} bytes are missing; what is there is used"]

    def _order_holes(self) -> list[str]:
        """Frames that a bitstream counts and does not have; it has no times to tell."""
        if not self._bare or self.info.frames is None or self.info.interlaced:
            return []
        missing = 0
        if self.info.codec in TRACEABLE:
            missing = missing_pictures(self.path)
        if not missing:
            return []
        return [f"{self.path}: {missing} frames are missing, as the others are counted"]

    def _step(self, stream: av.VideoStream) -> int | None:
        rate = self.info.frame_rate
        return max(1, round(1 / (rate * stream.time_base))) if rate and stream.time_base else None

    def _change(self, picture: av.VideoFrame) -> str:
        """From what to what a picture differs from the first one; empty if it does not."""
        info = self.info
        if (picture.width, picture.height) != (info.width, info.height):
            return f"from {info.width}x{info.height} to {picture.width}x{picture.height}"
        if (found := layout_of(picture)) != info.pixel_format:
            return f"from {info.pixel_format.av_name} to {found.av_name}"
        return ""

    def _end_at(self, change: str, place: str) -> None:
        what = f"{self.path}: the picture changes {change} at {place}"
        if not self.keep_damaged:
            raise PictureChanges(
                f"{what}; cut the file there, or take what comes before (enhance.py --keep-damaged)"
            )
        warnings.warn(f"{what}; what follows is left out", stacklevel=3)

    def _count(self) -> int:
        with translated(self.path, "read"), open_input(self.path) as container:
            stream = video_stream(container, self.path)
            return sum(packet.size > 0 for packet in packets(container, stream))

    def _damaged(self, what: str) -> str:
        return (
            f"{self.path}: {what}; get an undamaged file, or go on regardless "
            "(enhance.py --keep-damaged)"
        )

    def _pictures(
        self,
        container: av.container.InputContainer,
        stream: av.VideoStream,
        ledger: Ledger,
        warn: bool = True,
    ) -> Generator[av.VideoFrame, None, None]:
        clock = Clock(container, stream.index)
        shape = stream.codec_context.sample_aspect_ratio
        decoder = picture_decoder(stream)
        decoder.thread_type = stream.thread_type
        with counting_errors(), _emptied(decoder):
            for packet in packets(container) if clock.drives_all else packets(container, stream):
                clock.correct(packet)
                if packet.stream.index != stream.index:
                    continue
                ledger.send(packet)
                for picture in self._decoded(decoder, packet, ledger):
                    ledger.listen()
                    ledger.show(picture)
                    now = stream.codec_context.sample_aspect_ratio
                    if warn and now != shape and ledger.shown > 1:
                        warnings.warn(
                            f"{self.path}: the shape of the pixels changes from {shape} to {now} "
                            f"at frame {ledger.shown - 1}; the first one is kept",
                            stacklevel=2,
                        )
                    shape = now
                    yield picture
        self._finish(ledger, bare=container.format.name in _BITSTREAMS, warn=warn)

    def _decoded(
        self, decoder: av.VideoCodecContext, packet: Packet, ledger: Ledger
    ) -> list[av.VideoFrame]:
        """The pictures that a packet completes; recordings may begin before a key frame."""
        if not packet.size and (packet.pts, packet.dts) != (None, None):
            return []  # "as before", which AVI and Theora say with an empty packet
        try:
            return decoder.decode(packet)
        except av.error.InvalidDataError as err:
            if ledger.leads() and (self.keep_damaged or not packet.is_keyframe):
                ledger.leading += 1
                return []
            if self.keep_damaged:
                return []
            if packet.stream.codec_context.name == "webp":
                raise UserError(f"{self.path}: this FFmpeg decodes no animated WebP") from err
            raise UserError(self._damaged(f"damaged after frame {ledger.shown}")) from err

    def _finish(self, ledger: Ledger, *, bare: bool, warn: bool) -> None:
        """What can be said only when the stream has ended."""
        ledger.listen()
        if _file_state(self.path) != self._state:
            message = f"{self.path} was changed while it was read"
            if not self.keep_damaged:
                raise UserError(f"{message}; wait until it is complete, then start again")
            warnings.warn(message, stacklevel=2)
        lost = ledger.lost()
        if warn and lost and (bare or ledger.complaints) and not self.keep_damaged:
            raise UserError(
                self._damaged(
                    f"only {ledger.shown} of {ledger.shown + lost} frames could be decoded; "
                    "cut short?"
                )
            )
        for message in self._losses(ledger, lost) if warn else ():
            warnings.warn(message, stacklevel=2)

    def _losses(self, ledger: Ledger, lost: int) -> Iterator[str]:
        if ledger.leading:
            yield (
                f"{self.path}: {ledger.leading} frames before the first whole picture are left "
                "out; they refer to what is not there"
            )
        if ledger.spoiled:
            yield (
                f"{self.path}: {len(ledger.spoiled)} frames are damaged, the first is frame "
                f"{ledger.spoiled[0]}"
            )
        if ledger.complaints:
            yield (
                f"{self.path} is damaged: the decoder complains {ledger.complaints} times, "
                f"first at {ledger.complaint}"
            )
        if lost:
            yield (
                f"{self.path}: {lost} of {ledger.shown + lost} frames could not be decoded and "
                "are missing; the file is damaged there"
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


@contextlib.contextmanager
def _emptied(decoder: av.VideoCodecContext) -> Iterator[None]:
    """Lets the decoder compare what checksums there are, and leaves no thread of it at work."""
    decoder.options = {"err_detect": "crccheck"}
    try:
        yield
    finally:
        decoder.flush_buffers()


def _display_matrix(picture: av.VideoFrame) -> tuple[int, ...] | None:
    matrices = side_data(picture, "DISPLAYMATRIX")
    return struct.unpack("=9i", matrices[0]) if matrices else None


def _file_state(path: Path) -> tuple[int, int]:
    """Changes when somebody writes to the file."""
    state = os.stat(path)
    return state.st_size, state.st_mtime_ns


def _shown(stream: av.VideoStream) -> int | None:
    """Frames that a player shows: an edit list may hide some of those that are stored."""
    hidden = 0
    if stream.frames and len(stream.index_entries) == stream.frames:
        hidden = sum(entry.is_discard for entry in stream.index_entries)
    return stream.frames - hidden or None


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
    frame = from_av_frame(picture)
    return VideoInfo(
        picture.width,
        picture.height,
        frame.pixel_format,
        ColorTags(
            matrix=int(picture.colorspace),
            range=2 if full else int(picture.color_range),
            primaries=int(picture.color_primaries),
            transfer=int(picture.color_trc),
            siting=siting,
        ),
        frame_rate=nominal_rate(stream.average_rate, stream.guessed_rate),
        time_base=stream.time_base,
        frames=_shown(stream),
        codec=stream.codec_context.name,
        rotation=picture.rotation,
        display_matrix=_display_matrix(picture),
        sample_aspect_ratio=_known(stream.sample_aspect_ratio),
        interlaced=bool(picture.interlaced_frame) or stream.codec_context.field_order > 1,
        field_order=_field_order(stream, picture),
        alpha=_see_through(frame, stream.codec_context.name),
        captions=frame.carrier is not None,
        uncarried=_uncarried(picture),
        duration=duration,
        bit_rate=stream.bit_rate or container.bit_rate or None,
        hdr=parse_hdr(
            next(iter(side_data(picture, "MASTERING_DISPLAY_METADATA")), None),
            next(iter(side_data(picture, "CONTENT_LIGHT_LEVEL")), None),
        ),
    )


def _see_through(frame: Frame, codec: str) -> bool:
    """GIF has transparency in its format always, and in its pictures seldom."""
    if frame.alpha is None:
        return False
    return codec != "gif" or int(frame.alpha.min()) < frame.pixel_format.maximum


def _field_order(stream: av.VideoStream, picture: av.VideoFrame) -> str:
    """``"top"`` or ``"bottom"`` first; of an interlaced stream that does not say it, the usual."""
    order = stream.codec_context.field_order
    if order in (3, 5):
        return "bottom"
    if order in (2, 4) or picture.interlaced_frame:
        return "top"
    return ""


def _uncarried(picture: av.VideoFrame) -> tuple[str, ...]:
    names = (name for kind, name in _UNCARRIED.items() if side_data(picture, kind))
    return tuple(dict.fromkeys(names))


def _known(ratio: Fraction | None) -> Fraction | None:
    return ratio or None
