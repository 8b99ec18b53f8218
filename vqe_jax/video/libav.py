"""Opening files with FFmpeg as this package always does."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av

from vqe_jax.errors import UserError

__all__ = [
    "BestEffort",
    "Packet",
    "open_input",
    "open_output",
    "packets",
    "picture_decoder",
    "reset_clock",
    "usual_priority",
    "video_stream",
]

if TYPE_CHECKING:
    Packet = av.Packet[Any]  # of any kind of stream; at run time it takes no parameters
else:
    Packet = av.Packet

_GENERATE_TIMES = 0x1  # AVFMT_FLAG_GENPTS
_TIMES_JUMP = 0x200  # AVFMT_TS_DISCONT


def open_input(path: Path, *, best_effort_times: bool = False) -> av.container.InputContainer:
    """Opens a file for reading, whatever its name and the alphabet of its tags.

    A name with a colon would be taken for an address ("Talk: part 1.mkv" for the protocol Talk),
    an absolute path never is. Old cameras write tags in Latin-1.

    Args:
      best_effort_times: leave presentation times out where the container has decoding times
        only, instead of taking the next packet's decoding time for one.
    """
    container = av.open(os.path.abspath(path), metadata_errors="replace")
    if best_effort_times:
        container.flags &= ~_GENERATE_TIMES
    return container


def open_output(path: Path, kind: str) -> av.container.OutputContainer:
    """Opens a file for writing."""
    return av.open(os.path.abspath(path), "w", format=kind)


def packets(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[Packet]:
    """The packets of some streams or of all, and an empty one at the end of each.

    Streams may appear while a file is read (FLV, transport streams); PyAV does not know them, and
    stumbles when it tells their end. Those that it knows have ended by then.
    """
    with contextlib.suppress(IndexError):
        yield from container.demux(*streams)


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Gives threads back the priority that they had before, and new ones that of the caller.

    Opened by root, SVT-AV1 makes its threads and the calling one real-time, and leaves them so:
    until the process ends, hardly anything else on the machine runs.
    """
    before = _priorities()
    try:
        yield
    finally:
        ours = before.get(threading.get_native_id())
        for thread, found in _priorities().items():
            wanted = before.get(thread, ours)
            if wanted is not None and found[0] != wanted[0]:
                with contextlib.suppress(OSError):  # it has ended
                    os.sched_setscheduler(thread, *wanted)


def _priorities() -> dict[int, tuple[int, Any]]:
    """Policy and parameter of each thread of this process; empty on other systems than Linux."""
    found = {}
    for task in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(OSError):
            thread = int(task.name)
            found[thread] = os.sched_getscheduler(thread), os.sched_getparam(thread)
    return found


def reset_clock(container: av.container.InputContainer) -> bool:
    """Whether times may jump in this kind of container (broadcast streams, for example)."""
    return bool(container.format.flags & _TIMES_JUMP)


def video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The first video stream that is not a cover picture.

    Raises:
      UserError: there is none.
    """
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            if stream.codec_context is None:
                raise UserError(f"{path}: its video is of a kind that this FFmpeg cannot decode")
            return stream
    kinds = sorted({"a cover picture" if s.type == "video" else s.type for s in container.streams})
    found = " and ".join(kinds) or "nothing"
    raise UserError(f"{path} holds no video, only {found}; expected a file with moving pictures")


def picture_decoder(stream: av.VideoStream) -> av.VideoCodecContext:
    """The decoder of a stream: FFmpeg's usual one, or the one that sees transparency.

    VP8 and VP9 keep it in a picture of its own beside each packet, which only libvpx reads.
    """
    usual = stream.codec_context
    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(usual.name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if name is None or tags.get("alpha_mode") != "1" or name not in av.codecs_available:
        return usual
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(name, "r"))
    decoder.color_range, decoder.colorspace = usual.color_range, usual.colorspace
    decoder.color_primaries, decoder.color_trc = usual.color_primaries, usual.color_trc
    return decoder


class BestEffort:
    """The time of each decoded picture: the presentation time, or what serves for it.

    As FFmpeg's ``best_effort_timestamp``: whichever of presentation and decoding times went
    backwards less often so far. Decoding times come out of the decoder delayed as its pictures are.
    """

    def __init__(self) -> None:
        self._faulty_pts = self._faulty_dts = 0
        self._last_pts = self._last_dts = -(1 << 62)

    def time(self, pts: int | None, dts: int | None) -> int | None:
        """The time of the next picture in display order, in the stream's units."""
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None):
            return pts
        return dts
