"""Syntax elements of a bitstream as FFmpeg's ``trace_headers`` filter prints them.

The filter writes to the log, so the log of this thread is captured while it runs. Matroska and
MP4 keep the parameter sets outside the packets; those are traced when the filter is made.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Generator
from pathlib import Path

import av

from vqe_jax.errors import UserError
from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.libav import open_input, packets
from vqe_jax.video.log import captured

__all__ = ["TRACEABLE", "TracedPacket", "trace"]

TRACEABLE = ("hevc", "h264")
_ELEMENT = re.compile(r"\d+\s+(\w+)(?:\[\d+\])*\s.* = (-?\d+)\s*")


@dataclasses.dataclass(frozen=True)
class TracedPacket:
    """What one packet's headers say.

    Attributes:
      codec: ``"hevc"`` or ``"h264"``.
      elements: (name, value) in the order they are coded, parameter sets included; the first
        packet of a container also brings those of its header.
      pts: of the packet, in the stream's time base.
    """

    codec: str
    elements: tuple[tuple[str, int], ...]
    pts: int | None

    def last(self, name: str) -> int | None:
        """The last value of an element in this packet, or None."""
        values = [value for key, value in self.elements if key == name]
        return values[-1] if values else None


def _elements(logs: list[tuple[int, str, str]]) -> tuple[tuple[str, int], ...]:
    matches = (_ELEMENT.fullmatch(text) for _, name, text in logs if name == "trace_headers")
    return tuple((match[1], int(match[2])) for match in matches if match)


def trace(path: Path) -> Generator[TracedPacket, None, None]:
    """Walks through the packets of a video in coding order and reads their headers.

    Args:
      path: any container with HEVC or H.264 in it.

    Raises:
      UserError: unreadable, or another codec.
    """
    readable_file(path, "a video")
    with translated(path, "read"), open_input(path) as container:
        stream = next(iter(container.streams.video), None)
        codec = stream.codec_context.name if stream else "none"
        if stream is None or codec not in TRACEABLE:
            raise UserError(
                f"{path}: headers can be read from {' and '.join(TRACEABLE)}, not from {codec}"
            )
        with captured(av.logging.VERBOSE) as logs:
            filtering = av.BitStreamFilterContext("trace_headers", stream)
        before = _elements(logs)
        for packet in packets(container, stream):
            if not packet.size:
                continue
            pts = packet.pts
            with captured(av.logging.VERBOSE) as logs:
                filtering.filter(packet)
            yield TracedPacket(codec, before + _elements(logs), pts)
            before = ()
