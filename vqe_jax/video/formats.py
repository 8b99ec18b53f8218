"""How pictures are laid out and what their numbers mean: pixel formats and color tags.

A :class:`PixelFormat` says how many bits and how much chroma; :class:`ColorTags` carries the
code points of ITU-T H.273 exactly as the file states them, and :meth:`ColorTags.resolved` says
what is assumed where a file states nothing.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from vqe_jax.errors import UserError

__all__ = ["LUMA_WEIGHTS", "ColorTags", "PixelFormat", "has_alpha"]

# (horizontal, vertical) subsampling of the chroma planes.
_FACTORS = {
    "420": (2, 2),
    "422": (2, 1),
    "444": (1, 1),
    "440": (1, 2),
    "411": (4, 1),
    "410": (4, 4),
    "gray": (1, 1),
    "rgb": (1, 1),
}
_AV_NAME = re.compile(r"(?:yuv[aj]?(?P<sub>\d{3})p|(?P<gray>gray)|gbra?p)(?P<bits>\d+)?(?:le)?")

_ALPHA = re.compile(r"yuva|gbrap|(rgba|bgra|argb|abgr)(?!\w*0)|ya\d|ayuv|vuya(?!\w*x)|uyva")

# H.273 MatrixCoefficients -> (K_R, K_B), the shares of red and blue in luma (table 4).
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}
_UNSPECIFIED = 2
_RGB = 0


def has_alpha(av_name: str) -> bool:
    """Whether FFmpeg's pixel format has a plane or channel of transparency.

    Args:
      av_name: for example ``"yuva420p"``, ``"rgba"``, ``"ya8"``; palettes count as opaque.
    """
    return bool(_ALPHA.match(av_name))


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """Bits per sample and chroma subsampling of planar pictures.

    Attributes:
      bits: 8 to 16; more than 8 are held in uint16.
      subsampling: ``"420"``, ``"422"``, ``"444"``, ``"440"``, ``"411"``, ``"410"``,
        ``"gray"`` (one plane) or ``"rgb"`` (planes R, G, B).

    Example:
      >>> PixelFormat.from_av("yuv420p10le")
      PixelFormat(bits=10, subsampling='420')
      >>> PixelFormat(8, "gray").av_name
      'gray'
    """

    bits: int = 8
    subsampling: str = "420"

    def __post_init__(self) -> None:
        if self.subsampling not in _FACTORS:
            known = ", ".join(_FACTORS)
            raise UserError(f"chroma subsampling {self.subsampling!r} is not one of {known}")
        if not 8 <= self.bits <= 16:
            raise UserError(f"{self.bits} bits per sample; expected 8 to 16")

    @classmethod
    def from_av(cls, name: str) -> PixelFormat:
        """The format that FFmpeg calls ``name`` (planar, little endian; alpha is left out).

        Args:
          name: for example ``"yuv420p"``, ``"yuv444p10le"``, ``"gray"``, ``"gbrp"``.

        Raises:
          UserError: the format is packed, big endian, floating point or not a picture.
        """
        match = _AV_NAME.fullmatch(name)
        if not match or (match["sub"] or "gray") not in _FACTORS:
            raise UserError(
                f"pixel format {name!r} is not supported; expected planar YUV, gray or GBR of "
                "8 to 16 bits such as yuv420p or yuv420p10le"
            )
        subsampling = match["sub"] or match["gray"] or "rgb"
        return cls(int(match["bits"] or 8), subsampling)

    @property
    def av_name(self) -> str:
        """FFmpeg's name for this format."""
        depth = "" if self.bits == 8 else f"{self.bits}le"
        if self.subsampling == "gray":
            return "gray" + depth
        if self.subsampling == "rgb":
            return "gbrp" + depth
        return f"yuv{self.subsampling}p" + depth

    @property
    def av_names_with_alpha(self) -> tuple[str, ...]:
        """FFmpeg's names for this format with transparency: planar, then packed."""
        depth = "" if self.bits == 8 else f"{self.bits}le"
        if self.subsampling == "gray":
            return ("ya8",) if self.bits == 8 else ("ya16le",) if self.bits == 16 else ()
        if self.subsampling == "rgb":
            packed = {8: ("bgra", "rgba", "argb"), 16: ("rgba64le",)}
            return (f"gbrap{depth}", *packed.get(self.bits, ()))
        return (f"yuva{self.subsampling}p{depth}",)

    @property
    def dtype(self) -> np.dtype:
        """uint8 or uint16 (native byte order)."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def maximum(self) -> int:
        """The largest code value, ``2**bits - 1``."""
        return (1 << self.bits) - 1

    @property
    def factors(self) -> tuple[int, int]:
        """Horizontal and vertical subsampling of the chroma planes."""
        return _FACTORS[self.subsampling]

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """Height and width of each plane; odd sizes round chroma up.

        Args:
          width: of the picture, in pixels.
          height: of the picture, in pixels.

        Example:
          >>> PixelFormat(8, "420").plane_shapes(5, 3)
          ((3, 5), (2, 3), (2, 3))
        """
        if self.subsampling == "gray":
            return ((height, width),)
        across, down = self.factors
        chroma = (-(-height // down), -(-width // across))
        return ((height, width), chroma, chroma)

    def frame_bytes(self, width: int, height: int) -> int:
        """Size of one frame in a raw file, in bytes.

        Args:
          width: of the picture, in pixels.
          height: of the picture, in pixels.
        """
        samples = sum(h * w for h, w in self.plane_shapes(width, height))
        return samples * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class ColorTags:
    """What the samples mean, in the code points of ITU-T H.273, as the file states them.

    Attributes:
      matrix: MatrixCoefficients; 0 RGB, 1 BT.709, 2 not stated, 5 and 6 BT.601, 9 BT.2020.
      range: 0 not stated, 1 limited (16..235 at 8 bits), 2 full.
      primaries: ColourPrimaries; 2 not stated.
      transfer: TransferCharacteristics; 2 not stated.
      siting: where a chroma sample lies in its group of luma samples: ``"left"``, ``"center"``,
        ``"topleft"``, ``"top"``, ``"bottomleft"``, ``"bottom"``, or ``"unspecified"``.
    """

    matrix: int = _UNSPECIFIED
    range: int = 0
    primaries: int = _UNSPECIFIED
    transfer: int = _UNSPECIFIED
    siting: str = "unspecified"

    def resolved(self, height: int, subsampling: str) -> ColorTags:
        """The tags with the gaps filled as players do.

        Matrix: BT.601 up to 576 lines, BT.709 above. Range: limited, but full for RGB. Siting:
        left (MPEG-2 and later).

        Args:
          subsampling: of its :class:`PixelFormat`.
        """
        rgb = subsampling == "rgb"
        matrix = self.matrix
        if rgb:
            matrix = _RGB
        elif matrix in (_UNSPECIFIED, _RGB):
            matrix = 1 if height > 576 else 6
        return dataclasses.replace(
            self,
            matrix=matrix,
            range=self.range or (2 if rgb else 1),
            siting="left" if self.siting == "unspecified" else self.siting,
        )
