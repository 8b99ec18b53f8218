"""CVQENet: alignment and fusion of EDVR, then a nested U-Net (VIP&DJI, NTIRE 2021, track 1).

Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods and Results",
CVPRW 2021, sec. 4.12 and Fig. 12.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.nn.edvr import Levels, PCDAlignment, TSAFusion
from vqe_jax.nn.gates import EfficientChannelGate
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.nested_unet import NestedUNet
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import ResidualBlocks

__all__ = ["CVQENet"]


class CVQENet(WindowNetwork):
    """Aligns five frames to the middle one, fuses and refines them, adds a residual to it.

    Output "offsets": those of the four deformable convolutions, in pixels, as EDVR's.
    """

    channels: int = 3
    features: int = 64
    front_blocks: int = 10  # residual blocks on each frame
    back_blocks: int = 20  # residual blocks at the end; one less in each cell of the U-Net
    spatial_gate: bool = False  # the other class of the released code, see docs/networks.md
    deform_groups: int = 8  # features that share offsets
    radius: int = 2
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks

    def __post_init__(self) -> None:
        if self.back_blocks < 2:
            raise UserError(
                f"CVQENet: back_blocks={self.back_blocks} leaves a cell of its U-Net, which has "
                "one block less, without any; expected at least 2"
            )
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(past=self.radius, future=self.radius, multiple=8, outputs=("offsets",))

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """The modules of the report's Fig. 12-(a), from left to right."""
        gated, wrap = self.spatial_gate, recomputed(self.remat)
        blocks, unet = wrap(ResidualBlocks), wrap(NestedUNet)
        shallow = nn.relu(Conv(self.features, name="conv_first")(windows))
        flat = shallow.reshape(-1, *shallow.shape[2:])
        x = blocks(self.features, self.front_blocks, gated=gated, name="extraction")(flat)
        pyramid = self._pyramid(x.reshape(shallow.shape))
        align = PCDAlignment(self.features, self.deform_groups, name="alignment")
        aligned, offsets = align(pyramid)
        x = TSAFusion(self.features, name="fusion")(aligned)
        x = unet(self.features, self.back_blocks - 1, gated, name="unet")(x)
        if not gated:  # the class with spatial gates has no skip from the shallow features
            x = x + shallow[:, self.radius]
        x = blocks(self.features, self.back_blocks, gated=gated, name="reconstruction")(x)
        picture = windows[:, self.radius] + Conv(self.channels, name="conv_last")(x)
        return {"picture": picture, "offsets": offsets}

    def _pyramid(self, x: Float[Array, "n k h w f"]) -> Levels:
        """Half and quarter size by the same two convolutions, as the released code has it."""
        down = Conv(self.features, stride=2, padding=1, name="l2_conv1")
        keep = Conv(self.features, name="l2_conv2")
        half = nn.relu(keep(nn.relu(down(x))))
        quarter = nn.relu(keep(nn.relu(down(half))))
        if self.is_initializing():
            self._unread(quarter[:, 0])
        return x, half, quarter

    def _unread(self, x: Float[Array, "n h w f"]) -> None:
        """Parameters that the released weights hold and nothing reads, so that they go back."""
        for name in ("l3_conv1", "l3_conv2"):
            Conv(self.features, name=name)(x)
        for number in (3, 10):
            EfficientChannelGate(name=f"unread_gate{number}")(x)
