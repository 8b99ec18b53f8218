"""STDF: spatio-temporal deformable fusion of the frames around the current one.

Deng et al., "Spatio-Temporal Deformable Convolution for Compressed Video Quality Enhancement",
AAAI 2020. ``radius`` 1 and 3 are STDF-R1 and STDF-R3; STDF-R3L is ``radius=3, features=64,
qe_features=64, qe_depth=16``, widths that its published parameter count fits.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.models.contract import Context, Network
from vqe_jax.nn.enhancement import PlainEnhancement
from vqe_jax.nn.frame_windows import frame_windows
from vqe_jax.nn.initializers import WEIGHT_INITS, WeightInit
from vqe_jax.nn.qp_conditioning import QPS, QPScale, check_qp
from vqe_jax.nn.stdf_fusion import STDFFusion

__all__ = ["STDF"]

Clip = Float[Array, "b t h w c"]


class STDF(Network):
    """Fuses ``2 * radius + 1`` frames by one deformable convolution, then enhances.

    All windows of a clip go through the network in one batched call. The first layer already
    mixes the frames of a window, so that no layer's result can be shared between windows.
    """

    radius: int = 3  # neighbours on each side
    channels: int = 1  # of the frames: 1 luma, 3 RGB
    features: int = 32  # of the U-Net that predicts offsets
    depth: int = 3  # times that it halves the size
    fused_features: int = 64  # after the fusion
    qe_features: int = 48  # hidden channels of the enhancement
    qe_depth: int = 8  # its convolutions
    qp_conditioning: bool = False  # True: one model for several QPs, told which
    qps: tuple[int, ...] = QPS  # those it is trained for
    qp_interpolation: bool = False  # accept QPs between them
    weight_init: WeightInit = "uniform"  # "high_pass": blind to brightness, learns sooner
    remat: bool = True  # recompute each part in the backward pass
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(past=self.radius, future=self.radius, multiple=2**self.depth)

    def setup(self) -> None:
        """Fusion and enhancement."""
        if self.weight_init not in WEIGHT_INITS:
            raise UserError(
                f"stdf: weight_init={self.weight_init!r}; expected {' or '.join(WEIGHT_INITS)}"
            )
        fusion: Any = nn.remat(STDFFusion) if self.remat else STDFFusion
        enhancement: Any = nn.remat(PlainEnhancement) if self.remat else PlainEnhancement
        kaiming = self.weight_init == "high_pass"
        self.fusion = fusion(
            self.features, self.fused_features, self.depth, dtype=self.dtype, kaiming=kaiming
        )
        self.enhancement = enhancement(
            self.qe_features, self.qe_depth, self.channels, kaiming=kaiming
        )
        if self.qp_conditioning:
            self.qp_scale = QPScale(self.qps, self.qp_interpolation)

    def check_qp(self, qp: Int[Array | np.ndarray, " b"] | int | None) -> None:
        """Refuses a QP that a conditioned network was not trained for."""
        if self.qp_conditioning:
            check_qp(qp, qps=self.qps, interpolate=self.qp_interpolation)

    def forward(self, clip: Clip, *, qp: Int[Array, " b"] | None, train: bool) -> Clip:
        """Enhances every frame; neighbours beyond the ends are the end frames."""
        return self._enhance(frame_windows(clip, self.radius), clip, qp)

    def forward_inner(
        self, clip: Clip, *, qp: Int[Array, " b"] | None, train: bool = False
    ) -> Float[Array, "b n h w c"]:
        """Enhances the frames whose neighbours are all in the clip."""
        size = 2 * self.radius + 1
        if clip.shape[1] < size:
            raise UserError(
                f"a clip of {clip.shape[1]} frames is shorter than the window of STDF with "
                f"radius={self.radius}; at least {size} frames are needed"
            )
        last = clip.shape[1] - self.radius
        windows = frame_windows(clip, self.radius, inner=True)
        return self._enhance(windows, clip[:, self.radius : last], qp)

    def _enhance(
        self, windows: Float[Array, "b t h w s"], frames: Clip, qp: Int[Array, " b"] | None
    ) -> Clip:
        fused = self.fusion(windows.reshape(-1, *windows.shape[2:]))
        if self.qp_conditioning:
            self.check_qp(qp)
            fused = self.qp_scale(fused, None if qp is None else jnp.repeat(qp, windows.shape[1]))
        residual = self.enhancement(fused)
        return frames + jnp.reshape(residual, frames.shape).astype(frames.dtype)


MODEL = STDF
