"""SMGF of the BILIBILI AI & FDU team, first of track 1 of NTIRE 2021: two models and a mask.

Yang et al., CVPRW 2021, sec. 4.1, Fig. 1-(a). Never released; docs/decisions.md says what the text
leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.references import CandidateChain
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.gated_fusion import GatedFusion
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.stdf_fusion import STDFFusion
from vqe_jax.nn.wdsr import AdaWDSRBlock, Attended

__all__ = ["SMGF", "Branch"]

Trunk = Literal["narrowed", "whole"]


class SMGF(WindowNetwork):
    """Two models of one architecture on nine frames, merged by a predicted mask.

    Outputs: "first" and "second" (what the models give), "fused" and "mask" (the first's weight).
    """

    channels: int = 3
    output: Literal["fused", "first", "second"] = "fused"  # which result is the picture
    candidates: Literal["qp", "type", "peak"] = "qp"  # frames that may be references
    each_side: int = 4  # references before and after the frame, its neighbor included
    reach: int = 16  # frames before and after it among which they are looked for
    stdf_features: int = 64  # of the U-Net that predicts offsets
    stdf_depth: int = 3  # times that it halves the size
    fused_features: int = 128  # after the fusion
    features: int = 64  # at both ends of a block
    expanded: int = 256  # in a block, before the activation
    blocks: int = 96
    trunk: Trunk = "narrowed"  # "whole": between the blocks there are fused_features
    attended: Attended = "branch"  # what channel attention gates
    reduction: int = 16  # channels to each of its bottleneck
    gate_features: int = 64  # of the mask's convolutions
    gate_depth: int = 4  # their number
    gate_per_color: bool = False  # a mask for each color
    remat: bool | None = None  # recompute each block in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """Nine frames chosen by what the stream says; the receptive field is not bounded."""
        return Context(
            multiple=2**self.stdf_depth,
            outputs=("first", "second", "fused", "mask"),
            references=CandidateChain(self.reach, self.reach, self.each_side, self.candidates),
        )

    def setup(self) -> None:
        """Both models and the gate."""
        self.first, self.second = self._model(), self._model()
        self.gate = self._gate()

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """All results; those that nobody looks at are not computed once compiled."""
        found = self.merged(windows)
        return {**found, "picture": found[self.output]}

    def merged(self, windows: Float[Array, "n k h w c"]) -> Outputs:
        """Both models' frames, the mask, and Eq. 2."""
        frame = windows[:, windows.shape[1] // 2]
        one, two = self.first(windows), self.second(windows)
        fused, mask = self.gate(one, two, frame)
        return {"first": one, "second": two, "fused": fused, "mask": mask}

    def _model(self) -> Branch:
        return Branch(
            self.stdf_features,
            self.stdf_depth,
            self.fused_features,
            self.features,
            self.expanded,
            self.blocks,
            self.trunk,
            self.attended,
            self.reduction,
            self.remat,
            self.dtype,
        )

    def _gate(self) -> GatedFusion:
        return GatedFusion(self.gate_features, self.gate_depth, self.gate_per_color)


class Branch(nn.Module):
    """Deformable fusion of the frames, blocks of wide activation, a residual; fields as above."""

    stdf_features: int
    stdf_depth: int
    fused_features: int
    features: int
    expanded: int
    blocks: int
    trunk: Trunk
    attended: Attended
    reduction: int
    remat: bool | None
    dtype: str

    @nn.compact
    def __call__(self, windows: Float[Array, "n k h w c"]) -> Float[Array, "n h w c"]:
        """The middle frame enhanced."""
        wrap = recomputed(self.remat)
        frame = windows[:, windows.shape[1] // 2]
        fusion = wrap(STDFFusion)(
            self.stdf_features,
            self.fused_features,
            self.stdf_depth,
            dtype=self.dtype,
            name="fusion",
        )
        x = fusion(frame_stack(windows))
        if self.trunk == "narrowed":
            x = Conv(self.features, name="head")(x)
        for k in range(self.blocks):
            block = wrap(AdaWDSRBlock)(
                self.expanded, self.reduction, self.attended, self.features, name=f"block{k}"
            )
            x = block(x)
        return frame + Conv(frame.shape[-1], name="reconstruction")(x).astype(frame.dtype)
