"""MFQE: frames enhanced with the help of the nearest ones of peak quality.

Guan et al., "MFQE 2.0: A New Approach for Multi-Frame Quality Enhancement on Compressed Video",
TPAMI 2021, in PowerQE's form (SPyNet in place of its own motion estimation); and, as fields, the
flow and the network of the baseline of NTIRE 2021, which follow MFQE 1.0 (Yang et al., CVPR 2018).
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.references import NearestPeaks
from vqe_jax.nn.batch_norm import BatchNorm
from vqe_jax.nn.flow import SPyNet
from vqe_jax.nn.layers import Conv, PReLU
from vqe_jax.nn.pyramid_flow import PyramidFlow
from vqe_jax.ops.warp import flow_warp

__all__ = ["MFQE"]

Frames = Float[Array, "n h w c"]
Features = Float[Array, "n h w f"]


class DenseEnhancement(nn.Module):
    """MFQE 2.0: features at three scales of all three frames, then densely joined layers."""

    features: int
    channels: int

    @nn.compact
    def __call__(self, frames: tuple[Frames, ...], *, train: bool) -> Frames:
        """The residual of the frame in the middle."""
        scales = [
            Conv(self.features, size, name=f"scale{size}_{k}")(frame)
            for size in (3, 5, 7)
            for k, frame in enumerate(frames)
        ]
        x = jnp.concatenate(scales, axis=-1)
        found: list[Any] = []
        for k in range(5):
            x = PReLU(name=f"prelu{k}")(Conv(self.features, name=f"conv{k}")(x))
            found.append(BatchNorm(name=f"bn{k}")(x, train=train))
            x = jnp.concatenate(found, axis=-1)
        return Conv(self.channels, name="conv5")(found[-1])


class PairEnhancement(nn.Module):
    """MFQE 1.0: the frame with the one before, and with the one after, then both pairs."""

    features: int
    channels: int

    @nn.compact
    def __call__(self, frames: tuple[Frames, ...], *, train: bool) -> Frames:
        """The residual of the frame in the middle."""
        before, now, after = (
            self._layer(f"frame{k}", 4 * self.features, 9, x) for k, x in enumerate(frames)
        )
        pairs = []
        for k, pair in enumerate(((before, now), (now, after))):
            x = self._layer(f"pair{k}", 2 * self.features, 7, jnp.concatenate(pair, axis=-1))
            pairs.append(self._layer(f"hidden{k}", 2 * self.features, 3, x))
        x = self._layer("join", self.features, 1, jnp.concatenate(pairs, axis=-1))
        return Conv(self.channels, 5, name="last")(x)

    def _layer(self, name: str, width: int, size: int, x: Features) -> Float[Array, "n h w o"]:
        return PReLU(per_channel=True, name=f"{name}_prelu")(Conv(width, size, name=name)(x))


class MFQE(WindowNetwork):
    """Aligns the nearest peak-quality frames to the current one and adds what they know.

    A frame without a peak before or after it uses itself. Output "aligned": the two peaks,
    aligned, ``[b, t, 2, h, w, c]``.
    """

    channels: int = 3
    features: int = 32
    flow: Literal["spynet", "pyramid"] = "spynet"  # "pyramid": two, of the NTIRE 2021 baseline
    net: Literal["dense", "pairs"] = "dense"  # "pairs": MFQE 1.0 and the baseline
    reach: int = 8  # how far on each side a peak is looked for
    flow_widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of each level of the flow

    @property
    def context(self) -> Context:
        """The nearest peaks; flow makes the receptive field unbounded."""
        return Context(
            multiple=16 if self.flow == "pyramid" else 1,
            outputs=("aligned",),
            references=NearestPeaks(self.reach, self.reach),
        )

    def setup(self) -> None:
        """One flow for both directions or one each, and the enhancement."""
        if self.flow == "spynet":
            self.spynet = SPyNet(widths=self.flow_widths)
        else:
            self.flow_before = PyramidFlow(widths=self.flow_widths)
            self.flow_after = PyramidFlow(widths=self.flow_widths)
        kind: Any = DenseEnhancement if self.net == "dense" else PairEnhancement
        self.enhancement = kind(self.features, self.channels)

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """The residual of the current frame, which is between the peaks, added to it."""
        now = windows[:, 1]
        before, after = (self._aligned(k, windows[:, k], now) for k in (0, 2))
        residual = self.enhancement((before, now, after), train=train)
        return {"picture": now + residual, "aligned": jnp.stack([before, after], axis=1)}

    def _aligned(self, position: int, peak: Frames, now: Frames) -> Frames:
        if self.flow == "spynet":
            return flow_warp(peak, self.spynet(now, peak))
        flow = self.flow_before if position == 0 else self.flow_after
        return flow_warp(peak, flow(now, peak), padding="border")
