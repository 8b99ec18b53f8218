"""Counts what goes into a decoder and what comes out, so that no picture is lost without a word."""

from __future__ import annotations

import dataclasses

import av

from vqe_jax.video.libav import Packet

__all__ = ["Ledger", "Opening", "is_hidden"]

# A picture of MPEG-4 that only says "as before" is a few bytes; its twin was in the packet before.
_PLACEHOLDER = 8


def is_hidden(codec: str, packet: Packet) -> bool:
    """Whether a packet says that its picture is for others to refer to, and not to be shown."""
    return codec == "vp8" and not bytes(packet)[0] >> 4 & 1  # show_frame (RFC 6386, 9.1)


def _shows_nothing(codec: str, packet: Packet) -> bool:
    """Whether a whole packet brings no picture of its own."""
    if packet.is_discard or is_hidden(codec, packet):
        return True
    return codec == "mpeg4" and packet.size <= _PLACEHOLDER


@dataclasses.dataclass(frozen=True)
class Opening:
    """What a decoder that works on one picture at a time met before the first one came out.

    Attributes:
      leading: packets that it could not use.
      complaints: errors that it wrote to FFmpeg's log.
    """

    leading: int
    complaints: int


class Ledger:
    """The pictures of one pass over a stream.

    Decoders work ahead, on as many pictures as there are cores: what belongs to the opening of
    the stream and what is damage must not depend on that.

    Args:
      codec: of the stream.
      opening: as an earlier pass found it; None: this pass finds it.

    Attributes:
      sent: packets that should bring a picture.
      leading: packets before the first picture that no decoder could use.
      spoiled: places of the pictures that came out and that the decoder calls damaged.
      complaints: errors that the decoder wrote to FFmpeg's log after the opening.
      complaint: the first of them, and the first frame that it may be about.
    """

    def __init__(self, codec: str, opening: Opening | None = None) -> None:
        self._codec = codec
        self._opening = opening
        self._waiting: set[int] = set()
        self._first: int | None = None
        self._key: int | None = None  # of the first key frame
        self._timed = True
        self._fields = 0
        self._strays = 0
        self._silence = self._heard = av.logging.get_last_error()[0]
        self.sent = self.shown = self.leading = 0
        self.spoiled: list[int] = []
        self.complaints = 0
        self.complaint = ""

    @property
    def opening(self) -> Opening:
        """For the next pass over the same stream."""
        return self._opening or Opening(self.leading, self._heard - self._silence)

    def leads(self) -> bool:
        """Whether a packet that could not be decoded just now belongs to the opening."""
        return self.leading < self._opening.leading if self._opening else not self.shown

    def listen(self) -> None:
        """Counts the errors in FFmpeg's log since the opening, from whichever thread."""
        count, last = av.logging.get_last_error()
        if self._opening is None:
            if not self.shown:
                self._heard = count
            return
        self.complaints = max(0, count - self._silence - self._opening.complaints)
        if self.complaints and last and not self.complaint:
            self.complaint = f"frame {self.shown} or later: {last[2].strip()}"

    def send(self, packet: Packet) -> None:
        """Notes a packet that goes to the decoder.

        Args:
          packet: its times are those that its picture will have.
        """
        if not packet.size or _shows_nothing(self._codec, packet):
            return
        self.sent += 1
        if self._key is None and packet.is_keyframe:
            self._key = packet.pts
        if packet.pts is None:
            self._timed = False
        elif self._timed:
            self._waiting.add(packet.pts)

    def show(self, picture: av.VideoFrame) -> None:
        """Notes a picture that came out."""
        self.shown += 1
        self._fields += bool(picture.interlaced_frame)
        if picture.pts is None:
            return
        if self._first is None:
            self._first = picture.pts
        if picture.pts in self._waiting:
            self._waiting.remove(picture.pts)
        else:
            self._strays += 1

    def lost(self) -> int:
        """How many pictures never came; those that belong before the first one do not count.

        But the first key frame does, which needs no other.

        Of interlaced streams two packets may be one picture.
        """
        if 2 * self._fields > self.shown:  # damage may make a picture look so
            return max(0, (self.sent - self.leading) // 2 - self.shown)
        if not self._timed:
            return max(0, self.sent - self.leading - self.shown)
        first = self._first or 0
        left = sum(pts > first or pts == self._key for pts in self._waiting)
        return max(0, left - self._strays - self.leading * (self._key in self._waiting))
