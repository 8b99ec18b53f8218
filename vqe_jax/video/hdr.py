"""Static HDR metadata (SMPTE ST 2086 and CTA-861.3): carried from the source to the encoder.

FFmpeg hands them over as C structures; x265 takes them as text, chromaticities in units of
0.00002 and luminances in units of 0.0001 cd/m2 (H.265, D.3.28 and D.3.35).
"""

from __future__ import annotations

import dataclasses
import struct
from fractions import Fraction

__all__ = ["HDRMetadata", "parse_hdr"]

_RATIOS = 10  # R, G, B and white as (x, y), then the least and the greatest luminance
_CHROMATICITY, _LUMINANCE = 50_000, 10_000


@dataclasses.dataclass(frozen=True)
class HDRMetadata:
    """What the mastering display could show, and how bright the content gets.

    Attributes:
      mastering_display: as x265 writes it, ``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``; None where
        not stated.
      content_light: greatest light level of a pixel and of a frame's mean, in cd/m2; None where
        not stated.
    """

    mastering_display: str | None = None
    content_light: tuple[int, int] | None = None

    def x265_params(self) -> str:
        """The entries of ``x265-params`` that repeat it."""
        entries = []
        if self.mastering_display:
            entries.append(f"master-display={self.mastering_display}")
        if self.content_light:
            entries.append("max-cll={},{}".format(*self.content_light))
        return ":".join(entries)


def parse_hdr(mastering: bytes | None, light: bytes | None) -> HDRMetadata | None:
    """Reads FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata.

    Args:
      mastering: the bytes of the former, or None.
      light: the bytes of the latter, or None.

    Returns:
      None where neither says anything.
    """
    display = _mastering_display(mastering) if mastering else None
    levels = struct.unpack("=2I", light[:8]) if light else None
    if display is None and levels is None:
        return None
    return HDRMetadata(display, levels)


def _mastering_display(data: bytes) -> str | None:
    numbers = struct.unpack(f"={2 * _RATIOS + 2}i", data[: 4 * (2 * _RATIOS + 2)])
    has_primaries, has_luminance = numbers[-2:]
    if not (has_primaries and has_luminance):
        return None
    ratios = [Fraction(n, d or 1) for n, d in zip(numbers[:-2:2], numbers[1:-2:2], strict=True)]
    red, green, blue, white = (
        "({},{})".format(*(round(v * _CHROMATICITY) for v in ratios[i : i + 2]))
        for i in range(0, 8, 2)
    )
    low, high = (round(v * _LUMINANCE) for v in ratios[8:])
    return f"G{green}B{blue}R{red}WP{white}L({high},{low})"
