"""The clock of a source: where it jumps, time goes on.

Recordings of broadcasts are joined, wrap around, or restart their clock. What comes after a jump
is shifted, all streams alike, so that it follows what came before; the rule is that of the
``ffmpeg`` program: more than ten seconds ahead of, or a tenth of a second behind, what the last
packet of the same stream led to expect.
"""

from __future__ import annotations

from fractions import Fraction

import av

from vqe_jax.video.libav import Packet, reset_clock

__all__ = ["Clock", "decoding_times", "start_time"]

_AHEAD = 10
_BEHIND = {True: Fraction(1, 10), False: Fraction(1)}
_TIMED = ("video", "audio")


def start_time(container: av.container.InputContainer) -> Fraction:
    """When the first picture or sound of a file is due, in seconds."""
    cover = av.stream.Disposition.attached_pic
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.type in _TIMED
        and stream.start_time is not None
        and stream.time_base
        and not stream.disposition & cover
    ]
    return min(starts, default=Fraction(0))


def decoding_times(packets: list[Packet]) -> None:
    """Gives the first packets of a video, which lack them in Matroska, times that lead to the rest.

    Args:
      packets: of one stream, in the order of the file.
    """
    if all(packet.dts is None for packet in packets):  # none is shown before another
        for packet in packets:
            packet.dts = packet.pts
    later: int | None = None
    for packet in reversed(packets):
        if packet.dts is None and later is not None:
            packet.dts = later - (packet.duration or 1)
        later = packet.dts


class Clock:
    """Corrects the times of packets, which must come in the order of the file.

    Args:
      video: index of the stream that drives the clock where jumps are not to be expected.

    Attributes:
      jumps: how many there were so far.
    """

    def __init__(self, container: av.container.InputContainer, video: int) -> None:
        self._jumpy = reset_clock(container)
        self._video = video
        self._offset = Fraction(0)
        self._now: dict[int, Fraction] = {}
        self._next: dict[int, Fraction] = {}
        self._last: Fraction | None = None
        self.jumps = 0

    @property
    def drives_all(self) -> bool:
        """Whether all streams must be seen for the clock to be right."""
        return self._jumpy

    def correct(self, packet: Packet) -> None:
        """Shifts a packet's times in place."""
        if (packet.dts is None and packet.pts is None) or not packet.time_base:
            return
        base = packet.time_base
        self._shift(packet, round(self._offset / base) if self._offset else 0)
        index = packet.stream.index
        driving = index == self._video or (self._jumpy and packet.stream.type in _TIMED)
        if not driving or packet.dts is None:
            return
        jump = self._jump(index, packet.dts * base)
        if jump:
            self._offset -= jump
            self.jumps += 1
            self._shift(packet, -round(jump / base))
        now = packet.dts * base
        self._now[index] = now
        self._next[index] = now + (packet.duration or 0) * base
        self._last = now

    def _jump(self, index: int, now: Fraction) -> Fraction:
        expected = self._next.get(index)
        if expected is None:
            ahead = Fraction(0) if self._last is None else now - self._last
            return ahead if self._jumpy and abs(ahead) > _AHEAD else Fraction(0)
        change = now - expected
        back = now + _BEHIND[self._jumpy] < self._now[index]
        far = abs(change) > _AHEAD and (self._jumpy or change < 0)
        return change if back or far else Fraction(0)

    @staticmethod
    def _shift(packet: Packet, ticks: int) -> None:
        if not ticks:
            return
        if packet.pts is not None:
            packet.pts += ticks
        if packet.dts is not None:
            packet.dts += ticks
