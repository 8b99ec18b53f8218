"""One walk through the packets of a file, and what was seen on the way; nothing is decoded."""

from __future__ import annotations

import collections
import dataclasses
import re
from fractions import Fraction
from pathlib import Path

import av

from vqe_jax.video.checksums import MpegPlaces
from vqe_jax.video.clock import Clock
from vqe_jax.video.ledger import is_hidden
from vqe_jax.video.libav import Packet, open_input, packets, video_stream
from vqe_jax.video.log import captured
from vqe_jax.video.nut import is_nut

__all__ = ["Found", "walk"]

# What demuxers say of damage; their other warnings are about habits of encoders.
_COMPLAINTS = re.compile(
    r"corrupt|prematurely|invalid as first byte|size mismatch|partial file|truncat|"
    r"exceeds|[Rr]ead error|EBML|[Ii]nvalid (data|chunk|packet)|[Uu]nexpected|"
    r"checksum|too large|CRC|Failed to"
)
# What NUT's demuxer says for developers alone: it looks for the next place it can read.
_SKIPPED = re.compile(r"syncing from")
# Containers whose header says how long all of it is.
_TIMED = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "nut", "flv", "ivf", "avi")
_KEPT = 300  # packets at the end, of streams that nothing tells the length of
_STILLS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
ENDLESS = ("hevc", "h264", "mpegvideo", "mpegts", "mpeg")


@dataclasses.dataclass
class Found:
    """What a walk saw of the video, in the units of its stream, and of all streams in seconds.

    Attributes:
      stream: number that the container gives the video.
      base: unit of times, in seconds.
      hidden: times that an edit list hides.
      jumps: of the clock.
      promised: frames of AVI, where a time is a place in the row of frames.
      present: those of them that are there.
      length: seconds, as the header has it.
      longest: seconds that a packet of the video says it lasts; 0 where none says so.
      keyless: pictures before the first key frame.
      silent: kinds of the streams that hold nothing.
      late: kinds of streams that nothing was known of before their first packet.
      unseen: times of packets whose picture is not to be shown.
      tail: the last packets from a key frame on, of streams that nothing tells the length of.
      places: of the pictures of MPEG-1 and MPEG-2 in their groups.
      complaints: of FFmpeg.
    """

    kind: str
    stream: int
    codec: str
    height: int
    base: Fraction
    times: list[int] = dataclasses.field(default_factory=list)
    hidden: list[int] = dataclasses.field(default_factory=list)
    corrupt: int = 0
    packets: int = 0
    picture_end: float = 0.0
    sound_end: float = 0.0
    first: float = float("inf")
    end: float = 0.0
    jumps: int = 0
    promised: int = 0
    present: int = 0
    length: float = 0.0
    longest: float = 0.0
    keyless: int = 0
    silent: list[str] = dataclasses.field(default_factory=list)
    late: list[str] = dataclasses.field(default_factory=list)
    unseen: list[int] = dataclasses.field(default_factory=list)
    tail: collections.deque[bytes] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=_KEPT)
    )
    places: MpegPlaces = dataclasses.field(default_factory=MpegPlaces)
    complaints: list[str] = dataclasses.field(default_factory=list)

    def note_span(self, packet: Packet, stamp: int) -> None:
        """A packet of any stream: from when to when it lasts."""
        begin = float(stamp * packet.time_base)
        end = begin + float((packet.duration or 0) * packet.time_base)
        self.first, self.end = min(self.first, begin), max(self.end, end)
        if packet.stream.type == "audio":
            self.sound_end = max(self.sound_end, end)

    def note_picture(self, packet: Packet, stamp: int) -> None:
        """A packet of the video."""
        self.times.append(stamp)
        self.corrupt += packet.is_corrupt
        end = float((stamp + (packet.duration or 0)) * packet.time_base)
        self.picture_end = max(self.picture_end, end)
        self.longest = max(self.longest, float((packet.duration or 0) * packet.time_base))
        if self.keyless == len(self.times) - 1:
            self.keyless += not packet.is_keyframe

    def keep(self, packet: Packet) -> None:
        """The data of a packet of the video, of a stream that nothing tells the length of."""
        if packet.is_keyframe:
            self.tail.clear()
        data = bytes(packet)
        self.tail.append(data)
        if self.codec in ("mpeg1video", "mpeg2video"):
            self.places.see(data)


def walk(path: Path, seconds: float | None) -> Found:
    """Goes through the packets of all streams.

    Args:
      seconds: so much of the beginning; None for all.
    """
    level = av.logging.DEBUG if is_nut(path) else av.logging.WARNING
    with captured(level) as logs, open_input(path, best_effort_times=True) as container:
        stream = video_stream(container, path)
        context = stream.codec_context
        kind = container.format.name
        found = Found(
            kind, stream.id, context.name, context.height, stream.time_base or Fraction(0)
        )
        clock = Clock(container, stream.index)
        decoding, timeless, heard = list[int](), False, set[int]()
        known = len(container.streams)
        for packet in packets(container):
            if packet.stream.index >= known or not packet.size:
                continue
            heard.add(packet.stream.index)
            shown = packet.stream.index == stream.index
            found.packets += shown
            if shown and kind in ENDLESS:
                found.keep(packet)
            clock.correct(packet)
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.time_base:
                continue
            if packet.is_discard:
                found.hidden += [stamp] * shown
                continue
            found.note_span(packet, stamp)
            if not shown:
                continue
            if is_hidden(found.codec, packet):
                found.unseen.append(stamp)
                continue
            found.note_picture(packet, stamp)
            decoding += [] if packet.dts is None else [packet.dts]
            timeless |= packet.pts is None
            if seconds is not None and (stamp - found.times[0]) * found.base > seconds:
                break
        found.times = decoding if timeless else found.times
        found.jumps = clock.jumps
        found.late = [s.type for s in list(container.streams)[known:]]
        _read_header(found, container, stream)
        if seconds is None:
            found.silent = [s.type for s in _timed(container) if s.index not in heard]
        found.complaints = [text.strip() for log in logs if (text := _complaint(log, kind))]
    return found


def _timed(container: av.container.InputContainer) -> list[av.stream.Stream]:
    """Sounds and videos; covers and previews are neither."""
    videos = (s for s in container.streams.video if not s.disposition & _STILLS)
    return [*container.streams.audio, *videos]


def _read_header(
    found: Found, container: av.container.InputContainer, stream: av.VideoStream
) -> None:
    if found.kind in _TIMED and container.duration:
        found.length = container.duration / av.time_base
    if found.kind == "avi" and found.times:
        found.promised, found.present = stream.frames, max(found.times) + 1


def _complaint(log: tuple[int, str, str], kind: str) -> str:
    """What FFmpeg says of damage; empty if it speaks of something else."""
    level, name, text = log
    if level <= av.logging.ERROR and name == kind:
        return text
    if level <= av.logging.WARNING:
        return text if _COMPLAINTS.search(text) else ""
    return text if _SKIPPED.search(text) else ""
