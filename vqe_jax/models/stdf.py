"""STDF: spatio-temporal deformable fusion of the frames around the current one.

Deng et al., "Spatio-Temporal Deformable Convolution for Compressed Video Quality Enhancement",
AAAI 2020. ``radius`` 1 and 3 are STDF-R1 and STDF-R3; STDF-R3L is ``radius=3, features=64,
qe_features=64, qe_depth=16``, widths that its published parameter count fits.
"""

from __future__ import annotations

from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.nn.enhancement import PlainEnhancement
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.qp_conditioning import Conditioning, QPScale
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.stdf_fusion import STDFFusion

__all__ = ["STDF"]


class STDF(WindowNetwork):
    """Fuses ``2 * radius + 1`` frames by one deformable convolution, then enhances.

    The first layer already mixes the frames of a window, so that no layer's result can be shared
    between windows.
    """

    radius: int = 3  # neighbors on each side
    features: int = 32  # of the U-Net that predicts offsets
    depth: int = 3  # times that it halves the size
    fused_features: int = 64  # after the fusion
    qe_features: int = 48  # hidden channels of the enhancement
    qe_depth: int = 8  # its convolutions
    conditioning: Conditioning | None = None  # one model for several QPs, told which
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(past=self.radius, future=self.radius, multiple=2**self.depth)

    def setup(self) -> None:
        """Fusion and enhancement."""
        fusion = recomputed(self.remat)(STDFFusion)
        enhancement = recomputed(self.remat)(PlainEnhancement)
        self.fusion = fusion(self.features, self.fused_features, self.depth, dtype=self.dtype)
        self.enhancement = enhancement(self.qe_features, self.qe_depth, self.channels)
        if self.conditioning:
            self.qp_scale = QPScale(self.conditioning.qps, self.conditioning.interpolate)

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The residual of the fused frames, added to the current one."""
        fused = self.fusion(frame_stack(windows))
        if self.conditioning:
            fused = self.qp_scale(fused, side.qp)
        frame = windows[:, self.radius]
        return frame + self.enhancement(fused).astype(frame.dtype)
