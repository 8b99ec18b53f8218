"""ASTF: adaptive spatial-temporal fusion of two-stage multi-objective networks (CVPRW 2021).

A first network restores the frames. Two more of the same kind take its result: EnhanceNet1,
trained for perceptual likeness alone, and EnhanceNet2, trained for fidelity as well. A mask made
of the local variance of luma joins them, textures from the first and smooth regions from the
second; unsharp masking may follow. All three are BasicVSR without pixel-shuffle and lie in one
parameter tree, ``stage1``, ``enhance1`` and ``enhance2``.

Where the method's two descriptions disagree, each reading is a field (docs/decisions.md).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Outputs, Side
from vqe_jax.models.basicvsr import BasicVSR
from vqe_jax.models.composition import Cascade, Fusion, Parallel
from vqe_jax.ops.filters import unsharp
from vqe_jax.ops.stats import local_variance

__all__ = ["ASTF", "AdaptiveFusion"]

Frame = Float[Array, "b h w c"]
Clip = Float[Array, "b t h w c"]

# Largest and smallest local variance of a frame.
Extremes = tuple[Float[Array, " b"], Float[Array, " b"]]
Output = Literal["stage1", "enhance2", "enhance1", "fuse", "fuse_sharp"]

_LUMA = {"bt601": (0.299, 0.587, 0.114), "mean": (1 / 3, 1 / 3, 1 / 3)}
_BRANCHES = ("enhance1", "enhance2")


class ASTF(Network):
    """Three networks and how their results are joined."""

    channels: Literal[1, 3] = 3  # 3: RGB, 1: luma
    features: int = 64  # channels of each network's trunks
    blocks: int = 30  # residual blocks of each trunk
    flow_levels: int = 6  # of SPyNet's pyramid
    flow_widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of SPyNet
    output: Output = "fuse"  # which result is the picture
    trains_on: Literal["compressed", "stage1"] = "compressed"  # "stage1": its results already
    stage1_bits: int = 8  # depth the first stage's frames are rounded to; 0: not rounded
    mask_on: Literal["enhance1", "enhance2"] = "enhance1"  # whose weight is the mask
    var_radius: int = 11  # of the variance's window, pixels
    luma: Literal["bt601", "mean"] = "bt601"  # what the variance is of
    flat_mask: float = 0.0  # the mask where all three frames are flat, 0..1
    sharpen_amount: float = 3.0  # of the unsharp masking; 3 costs the published 5 dB
    dtype: str = "float32"  # of the trunks; frames and flow stay float32
    remat: bool | None = None  # recompute the trunks in the backward pass; None: where memory asks
    unroll: int | None = None  # see BasicVSR

    def setup(self) -> None:
        """Three networks of the same shape, the second two side by side behind the first."""
        if self.trains_on == "stage1" and self.output == "stage1":
            raise UserError(
                "astf: trains_on='stage1' gives the first stage nothing to learn; use 'compressed'"
            )
        make = functools.partial(
            BasicVSR,
            features=self.features,
            blocks=self.blocks,
            channels=self.channels,
            flow_levels=self.flow_levels,
            flow_widths=self.flow_widths,
            dtype=self.dtype,
            remat=self.remat,
            unroll=self.unroll,
        )
        self.stage1, self.enhance1, self.enhance2 = make(), make(), make()

    @property
    def context(self) -> Context:
        """The whole clip, both ways."""
        return Context(
            recurrence="both",
            min_side=64,
            outputs=("stage1", "enhance2", "enhance1", "mask", "fuse", "fuse_sharp"),
        )

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """Two passes for the first stage and two for the second, where they are needed."""
        both: tuple[Literal["backward", "forward"], ...] = ("backward", "forward")
        return both if self.output == "stage1" else both * 2

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Outputs:
        """All results of the way; those that nobody looks at are not computed once compiled."""
        if train and self.trains_on == "stage1":
            found = self._second(_BRANCHES).forward(clip, side=side, train=train)
            found = {**found, "stage1": clip}
        else:
            found = self._cascade(_BRANCHES).forward(clip, side=side, train=train)
        return {**found, "picture": found[self.output]}

    def advance_sweep(
        self, index: int, state: Any, window: Clip, kept: tuple[Any, ...], *, side: Side
    ) -> tuple[Any, Any]:
        """One frame of one pass; only the networks that the output needs."""
        if self.output == "stage1":
            return self.stage1.advance_sweep(index, state, window, kept, side=side)
        needed = (self.output,) if self.output in _BRANCHES else _BRANCHES
        return self._cascade(needed).advance_sweep(index, state, window, kept, side=side)

    def _cascade(self, branches: tuple[str, ...]) -> Cascade:
        return Cascade(
            first=self.stage1, second=self._second(branches), between=self._rounded, parent=None
        )

    def _second(self, branches: tuple[str, ...]) -> Parallel:
        fusion = AdaptiveFusion(
            self.output,
            self.mask_on,
            self.var_radius,
            _LUMA[self.luma] if self.channels == 3 else (1.0,),
            self.flat_mask,
            self.sharpen_amount,
        )
        networks = {name: getattr(self, name) for name in branches}
        return Parallel(branches=networks, fusion=fusion, parent=None)

    def _rounded(self, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The first stage's frames as pictures; no gradient goes back through them."""
        x = lax.stop_gradient(jnp.clip(x, 0, 1))
        top = 2**self.stage1_bits - 1
        return jnp.round(x * top) / top if self.stage1_bits else x


@dataclasses.dataclass(frozen=True)
class AdaptiveFusion(Fusion):
    """Textures from one network, smooth regions from the other, by the local variance of luma.

    Attributes:
      radius: of the variance's window, in pixels.
      flat: the mask where all three frames are flat.
    """

    output: str
    mask_on: str
    radius: int
    luma: tuple[float, ...]
    flat: float
    amount: float

    def summarize(self, frame: Frame) -> Extremes:
        """The largest and the smallest variance in the frame."""
        variance = self._variance(frame)
        return jnp.max(variance, axis=(-2, -1)), jnp.min(variance, axis=(-2, -1))

    def join(
        self, results: Mapping[str, Frame], frame: Frame, around: tuple[Any, Any, Any]
    ) -> Outputs:
        """The fusion (Eq. 3) and its sharpened version."""
        if len(results) == 1:  # nothing to join
            return {"picture": results[self.output]}
        mask = self._mask(self._variance(frame), around)
        one, two = results["enhance1"], results["enhance2"]
        weight = (mask if self.mask_on == "enhance1" else 1 - mask).astype(one.dtype)
        fused = weight * one + (1 - weight) * two
        found = {"mask": mask, "fuse": fused, "fuse_sharp": unsharp(fused, self.amount)}
        return {**found, "picture": found.get(self.output, fused)}

    def _variance(self, frame: Frame) -> Float[Array, "b h w"]:
        weights = jnp.array(self.luma, jnp.float32).reshape(1, 1, 1, -1)
        return local_variance(jnp.sum(frame.astype(jnp.float32) * weights, axis=-1), self.radius)

    def _mask(
        self, variance: Float[Array, "b h w"], around: tuple[Extremes, Extremes, Extremes]
    ) -> Float[Array, "b h w 1"]:
        """Variance between the smallest and largest of the three frames around, as 0..1 (Eq. 2)."""
        top = functools.reduce(jnp.maximum, [high for high, _ in around])[:, None, None]
        bottom = functools.reduce(jnp.minimum, [low for _, low in around])[:, None, None]
        span = top - bottom
        mask = (variance - bottom) / jnp.where(span > 0, span, 1)
        return jnp.where(span > 0, mask, self.flat)[..., None]
