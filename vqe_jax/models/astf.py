"""ASTF: adaptive spatial-temporal fusion of two-stage multi-objective networks (CVPRW 2021).

A first network restores the frames. Two more of the same kind take its result: EnhanceNet1,
trained for perceptual likeness alone, and EnhanceNet2, trained for fidelity as well. A mask made
of the local variance of luma joins them, textures from the first and smooth regions from the
second; unsharp masking may follow. All three are BasicVSR without pixel-shuffle and lie in one
parameter tree, ``stage1``, ``enhance1`` and ``enhance2``.

Where the method's two descriptions disagree, each reading is a field (docs/decisions.md).
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError, near_misses
from vqe_jax.models.basicvsr import BasicVSR
from vqe_jax.models.contract import Context, Network
from vqe_jax.models.side import Side
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.ops.filters import unsharp
from vqe_jax.ops.stats import local_variance

__all__ = ["ASTF"]

Frame = Float[Array, "b h w c"]
Clip = Float[Array, "b t h w c"]
Mask = Float[Array, "*lead h w 1"]

# Largest and smallest local variance of a frame, [b] each.
Extremes = tuple[Float[Array, " b"], Float[Array, " b"]]

_LUMA = {"bt601": (0.299, 0.587, 0.114), "mean": (1 / 3, 1 / 3, 1 / 3)}
_BRANCHES = ("enhance1", "enhance2")


class ASTF(Network):
    """Three networks and how their results are joined."""

    OUTPUTS: ClassVar[tuple[str, ...]] = ("stage1", "enhance2", "enhance1", "fuse", "fuse_sharp")
    STEPS: ClassVar[tuple[str, ...]] = (*OUTPUTS[:3], "mask", *OUTPUTS[3:])

    features: int = 64  # channels of each network's trunks
    blocks: int = 30  # residual blocks of each trunk
    channels: int = 3  # 3: RGB, 1: luma
    flow_levels: int = 6  # of SPyNet's pyramid
    flow_widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of SPyNet
    output: str = "fuse"  # one of OUTPUTS
    trains: str = ""  # the output that training computes; empty: that of ``output``
    trains_on: Literal["compressed", "stage1"] = "compressed"  # "stage1": its results already
    stage1_bits: int = 8  # depth the first stage's frames are rounded to; 0: not rounded
    mask_on: Literal["enhance1", "enhance2"] = "enhance1"  # whose weight is the mask
    var_radius: int = 11  # of the variance's window, pixels
    luma: Literal["bt601", "mean"] = "bt601"  # what the variance is of
    flat_mask: float = 0.0  # the mask where all three frames are flat, 0..1
    sharpen_amount: float = 3.0  # of the unsharp masking; 3 costs the published 5 dB
    zero_output: bool = False  # each network starts as the identity
    dtype: str = "float32"  # of the trunks; frames and flow stay float32
    remat: bool = True  # recompute the trunks in the backward pass
    unroll: int | None = None  # see BasicVSR

    def setup(self) -> None:
        """Three networks of the same shape."""
        for output in (self.output, self.trains or self.output):
            if output not in self.OUTPUTS:
                hint = near_misses(output, self.OUTPUTS)
                raise UserError(f"astf: output {output!r} does not exist{hint}")
        if self.trains_on == "stage1" and (self.trains or self.output) == "stage1":
            raise UserError("astf: trains_on='stage1' gives the first stage nothing to learn; "
                            "use 'compressed'")  # fmt: skip
        make = functools.partial(
            BasicVSR,
            features=self.features,
            blocks=self.blocks,
            channels=self.channels,
            flow_levels=self.flow_levels,
            flow_widths=self.flow_widths,
            zero_output=self.zero_output,
            dtype=self.dtype,
            remat=self.remat,
            unroll=self.unroll,
        )
        self.stage1, self.enhance1, self.enhance2 = make(), make(), make()

    @property
    def context(self) -> Context:
        """The whole clip, both ways."""
        return Context(recurrence="both", min_side=64)

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """Two passes for the first stage and two for the second, where they are needed."""
        both: tuple[Literal["backward", "forward"], ...] = ("backward", "forward")
        return both if self.output == "stage1" else both * 2

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Clip:
        """A whole clip."""
        if self.is_initializing():
            # All parameters exist whatever is asked for, so that one file holds them.
            return self._join(self._first(clip, train=False), _BRANCHES, "fuse", train=False)
        output = self.trains if train and self.trains else self.output
        if output == "stage1":
            return self.stage1.forward(clip, side=Side(), train=train)
        is_first = train and self.trains_on == "stage1"
        first = lax.stop_gradient(clip) if is_first else self._first(clip, train=train)
        if train:
            return self._join(first, _needed(output), output, train=True)
        return self._frame_by_frame(first)

    def steps(self, clip: Clip) -> dict[str, Float[Array, "b t h w _"]]:
        """All results of the way, and the mask ``[b, t, h, w, 1]``, by the names of ``STEPS``.

        Frames are taken as they are, without padding.
        """
        first = self._first(clip, train=False)
        results = self._branches(first, _BRANCHES, train=False)
        mask = self._mask_of_clip(first)
        fused = self._fuse(mask, results)
        sharp = unsharp(fused, self.sharpen_amount)
        return {"stage1": first, **results, "mask": mask, "fuse": fused, "fuse_sharp": sharp}

    def advance_sweep(
        self,
        index: int,
        state: Any,
        window: Clip,
        kept: tuple[Any, ...],
        *,
        side: Side,
    ) -> tuple[Any, Any]:
        """One frame of one pass; the second stage reads what the first has kept."""
        frame = window[:, 0]
        if index < 2:
            state = self.stage1.start(frame) if state is None else state
            if index == 0:
                return self.stage1.go_back(state, frame)
            state, frame = self.stage1.go_forward(state, (frame, kept[0]))
            return state, frame if self.output == "stage1" else self._rounded(frame)
        first = kept[1]
        state = self._start(first) if state is None else state
        if index == 2:
            return self._go_back(state, first)
        return self._go_forward(state, (first, kept[2]))

    # The second stage frame by frame, as a long video needs it.

    def _frame_by_frame(self, first: Clip) -> Clip:
        run = functools.partial(scan_time, self, remat=False, unroll=1)
        start = self._start(first[:, -1])
        _, kept = run(start, first, reverse=True, method=ASTF._go_back)
        _, frames = run(self._start(first[:, 0]), (first, kept), method=ASTF._go_forward)
        return frames

    def _start(self, frame: Frame) -> tuple[dict[str, Any], Extremes]:
        starts = {name: getattr(self, name).start(frame) for name in _needed(self.output)}
        return starts, _extremes(self._variance(frame))

    def _go_back(self, state: Any, frame: Frame) -> tuple[Any, Any]:
        """Backward features of the enhancing networks, and the extremes over this and the next."""
        states, later = state
        states, kept = dict(states), {}
        for name in _needed(self.output):
            states[name], kept[name] = getattr(self, name).go_back(states[name], frame)
        now = _extremes(self._variance(frame))
        return (states, now), (kept, _joined(now, later))

    def _go_forward(self, state: Any, x: tuple[Frame, Any]) -> tuple[Any, Frame]:
        (states, earlier), (frame, (kept, later)) = state, x
        states, results = dict(states), {}
        for name in _needed(self.output):
            states[name], results[name] = getattr(self, name).go_forward(
                states[name], (frame, kept[name])
            )
        variance = self._variance(frame)
        state = (states, _extremes(variance))
        if self.output in results:
            return state, results[self.output]
        return state, self._finish(
            self._mask(variance, _joined(earlier, later)), results, self.output
        )

    # A clip at once.

    def _first(self, clip: Clip, *, train: bool) -> Clip:
        """The first stage's frames as pictures; no gradient goes back through them."""
        return self._rounded(self.stage1.forward(clip, side=Side(), train=train))

    def _rounded(self, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        x = lax.stop_gradient(jnp.clip(x, 0, 1))
        top = 2**self.stage1_bits - 1
        return jnp.round(x * top) / top if self.stage1_bits else x

    def _branches(self, first: Clip, names: tuple[str, ...], *, train: bool) -> dict[str, Clip]:
        return {
            name: getattr(self, name).forward(first, side=Side(), train=train) for name in names
        }

    def _join(self, first: Clip, names: tuple[str, ...], output: str, *, train: bool) -> Clip:
        results = self._branches(first, names, train=train)
        if output in results:
            return results[output]
        return self._finish(self._mask_of_clip(first), results, output)

    def _mask_of_clip(self, first: Clip) -> Mask:
        variance = self._variance(first)
        top, bottom = _extremes(variance)
        top, bottom = _over_three(top, jnp.maximum), _over_three(bottom, jnp.minimum)
        return self._mask(variance, (top, bottom))

    # What both ways share.

    def _variance(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w"]:
        frames = frames.astype(jnp.float32)
        if self.channels == 3:
            weights = jnp.array(_LUMA[self.luma], jnp.float32)
            luma = jnp.sum(frames * weights.reshape((1,) * (frames.ndim - 1) + (3,)), axis=-1)
        else:
            luma = frames[..., 0]
        return local_variance(luma, self.var_radius)

    def _mask(
        self,
        variance: Float[Array, "*lead h w"],
        extremes: tuple[Float[Array, "*lead"], Float[Array, "*lead"]],
    ) -> Mask:
        """Variance between the smallest and largest of the three frames around, as 0..1 (Eq. 2)."""
        top, bottom = (x[..., None, None] for x in extremes)
        span = top - bottom
        mask = (variance - bottom) / jnp.where(span > 0, span, 1)
        return jnp.where(span > 0, mask, self.flat_mask)[..., None]

    def _fuse(self, mask: Mask, results: dict[str, Any]) -> Float[Array, "*lead h w c"]:
        one, two = results["enhance1"], results["enhance2"]
        weight = mask if self.mask_on == "enhance1" else 1 - mask
        weight = weight.astype(one.dtype)
        return weight * one + (1 - weight) * two  # (Eq. 3)

    def _finish(
        self, mask: Mask, results: dict[str, Any], output: str
    ) -> Float[Array, "*lead h w c"]:
        fused = self._fuse(mask, results)
        return unsharp(fused, self.sharpen_amount) if output == "fuse_sharp" else fused


def _needed(output: str) -> tuple[str, ...]:
    return (output,) if output in _BRANCHES else _BRANCHES


def _extremes(
    variance: Float[Array, "*lead h w"],
) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
    return jnp.max(variance, axis=(-2, -1)), jnp.min(variance, axis=(-2, -1))


def _joined(a: Extremes, b: Extremes) -> Extremes:
    return jnp.maximum(a[0], b[0]), jnp.minimum(a[1], b[1])


def _over_three(x: Float[Array, "b t"], pick: Any) -> Float[Array, "b t"]:
    """The largest or smallest of each frame's value and its neighbours', ends replicated."""
    padded = jnp.pad(x, ((0, 0), (1, 1)), mode="edge")
    return pick(pick(padded[:, :-2], padded[:, 2:]), x)
