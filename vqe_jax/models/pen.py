"""PEN of the McEnhance team (NTIRE 2021, section 4.15, Fig. 16): STDF and EDVR side by side.

Both branches look at the current frame and at the peak-quality frames before and after it; each
gives a residual. The report adds both to the current frame. The released code averages two
pictures, of which the first is the residual of STDF plus the red channel of the current frame on
all colors, a leftover of gray pictures: ``residual="released"``, for released weights.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.edvr import apart, beside
from vqe_jax.models.references import NearestPeaks
from vqe_jax.nn.edvr import EDVRTrunk
from vqe_jax.nn.enhancement import PlainEnhancement
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.stdf_fusion import STDFFusion

__all__ = ["PEN", "EDVRBranch", "STDFBranch"]

_FRAMES = 3
# Between neighboring peaks, in frames; where they are further apart the released code adds some.
_LONGEST_GAP = 3


@dataclasses.dataclass(frozen=True)
class STDFBranch:
    """Deformable fusion of the frames, then plain convolutions.

    Attributes:
      features: of the U-Net that predicts offsets.
    """

    features: int = 32
    depth: int = 3
    fused: int = 64
    qe_features: int = 48
    qe_depth: int = 4


@dataclasses.dataclass(frozen=True)
class EDVRBranch:
    """Pyramid alignment and attentive fusion of features.

    Attributes:
      reconstruction_blocks: residual blocks after the fusion.
    """

    features: int = 64
    deform_groups: int = 2
    extraction_blocks: int = 3
    reconstruction_blocks: int = 3


class PEN(WindowNetwork):
    """Two residuals from the current frame and its neighboring peak-quality frames.

    Output "offsets": those of EDVR's deformable convolutions, ``[b, t, k, h, w, o]`` in pixels.
    """

    stdf: STDFBranch = STDFBranch()
    edvr: EDVRBranch = EDVRBranch()
    channels: int = 3
    residual: Literal["report", "released"] = "report"
    reach: int = 8  # frames before and after the current one among which peaks are looked for
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """The nearest peaks; offsets make the receptive field unbounded."""
        return Context(
            multiple=max(4, 2**self.stdf.depth),
            outputs=("offsets",),
            references=NearestPeaks(self.reach, self.reach, ends=True, longest_gap=_LONGEST_GAP),
        )

    def setup(self) -> None:
        """Both branches."""
        a, b = self.stdf, self.edvr
        wrap = recomputed(self.remat)
        self.fusion = wrap(STDFFusion)(a.features, a.fused, a.depth, dtype=self.dtype)
        self.enhancement = wrap(PlainEnhancement)(a.qe_features, a.qe_depth, self.channels)
        self.trunk = EDVRTrunk(
            b.features,
            b.deform_groups,
            b.extraction_blocks,
            b.reconstruction_blocks,
            remat=self.remat,
        )
        self.conv_last = Conv(self.channels)

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w f"]:
        """The frames, and EDVR's features of each beside them."""
        return beside(frames, self.trunk.extract(frames.astype(self.dtype)))

    def fuse(
        self, made: Float[Array, "n k h w f"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """Both residuals, joined as ``residual`` says."""
        windows, features = apart(made, self.edvr.features)
        frame = windows[:, _FRAMES // 2]
        first = self.enhancement(self.fusion(frame_stack(windows))).astype(frame.dtype)
        joined, offsets = self.trunk.join(features.astype(self.dtype))
        second = self.conv_last(joined).astype(frame.dtype)
        if self.residual == "report":
            picture = frame + first + second
        else:
            picture = (first + frame[..., :1] + second + frame) / 2
        return {"picture": picture, "offsets": offsets}
