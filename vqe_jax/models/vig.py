"""VIG: compressed video enhancement by redundancy filtering (the paper's CRF network).

Each output frame is a function of the compressed frames ``X_i .. X_{i+3}`` and of the hidden
feature ``F1_{i-1}`` (Eq. 2 and 6). One convolution a frame makes ``F0``; the redundancy filter (RF)
takes the five slices ``{F1_{i-1}, F0_i, .., F0_{i+3}}`` through three 3-D convolutions that shrink
time 5 -> 3 -> 2 -> 1 (TSD1 and TSD2 halve space as well) and back up through two pixel-shuffle
blocks (SU1, SU2) to ``F1_i``; the frame is ``Y_i = fusion(F1_i) + X_i``.

The figures of the paper leave the widths, the temporal plan, the order of shuffle and convolution
and the skips open, so all of these are fields; docs/decisions.md says how the defaults were found.

The figure sends five slices through the blocks at every frame. A convolution over concatenated
slices is a sum over the slices, though, and only slice 0 carries the recurrence: here, everything
that sees frames alone is computed once for all frames, outside the scan, and each tap of a 3-D
kernel meets each frame once. The tests hold the figure's form and prove that both are the same
function.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Side
from vqe_jax.nn.initializers import uniform_bias, uniform_fan_in
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.qp_conditioning import Conditioning, QPScale
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.nn.told import Modulation, Told
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = ["VIG"]

# Lengths, sides and channels change inside the network.
Clip = Float[Array, "b _ _ _ _"]
Map = Float[Array, "_ _ _ _"]


class TemporalConv(nn.Module):
    """A 3-D convolution without temporal padding, kept as its temporal taps.

    With ``order="unshuffle_first"`` a block of ``scale`` x ``scale`` pixels moves into channels
    before the convolution; with ``"conv_first"`` after it. Maps may come ``unshuffled`` already.
    """

    in_channels: int
    features: int  # output channels, after the unshuffle
    taps: int  # temporal kernel size
    scale: int = 1
    order: Literal["unshuffle_first", "conv_first"] = "unshuffle_first"
    unshuffled: bool = False  # whether the maps come so

    def setup(self) -> None:
        """Kernel ``[taps, 3, 3, in, out]`` and bias."""
        area = self.scale**2
        wide_input = self.order == "unshuffle_first"
        inside = self.in_channels * area if wide_input else self.in_channels
        outside = self.features if wide_input else self.features // area
        # PyTorch's fan-in of a 3-D kernel counts its temporal taps too.
        shape = (self.taps, 3, 3, inside, outside)
        self.kernel = self.param("kernel", uniform_fan_in(), shape)
        self.bias = self.param("bias", uniform_bias(self.taps * 9 * inside), (outside,))

    def each_tap(self, x: Clip, first: int) -> list[Clip]:
        """Products of the taps from ``first`` on with every frame, each computed once."""
        kernel = jnp.moveaxis(self.kernel[first:], 0, 3)
        products = self._convolve(x, kernel.reshape(*kernel.shape[:3], -1))
        return jnp.split(products, self.taps - first, axis=-1)

    def sum_of_taps(self, slices: list[Map], first: int = 0) -> Map:
        """Taps ``first, first + 1, ..`` over as many slices, summed in one convolution."""
        kernel = jnp.moveaxis(self.kernel[first : first + len(slices)], 0, 2)
        kernel = kernel.reshape(*kernel.shape[:2], -1, kernel.shape[-1])
        return self._conv2d(jnp.concatenate([self._enter(x) for x in slices], axis=-1), kernel)

    def finish(self, total: Float[Array, "*lead h w f"]) -> Float[Array, "*lead h2 w2 g"]:
        """Bias, the late unshuffle if that is the order, and the activation."""
        total = total + self.bias.astype(total.dtype).reshape((1,) * (total.ndim - 1) + (-1,))
        if self.order == "conv_first":
            total = pixel_unshuffle(total, self.scale)
        return leaky_relu(total)

    def __call__(self, slices: list[Map]) -> list[Map]:
        """``n`` slices in, ``n - taps + 1`` out."""
        count = len(slices) - self.taps + 1
        return [self.finish(self.sum_of_taps(slices[j : j + self.taps])) for j in range(count)]

    def _enter(self, x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 d"]:
        if self.order == "conv_first" or self.unshuffled:
            return x
        return pixel_unshuffle(x, self.scale)

    def _convolve(self, x: Clip, kernel: Float[Array, "kh kw i o"]) -> Clip:
        x = self._enter(x)
        flat = self._conv2d(x.reshape(-1, *x.shape[2:]), kernel)
        return flat.reshape(*x.shape[:2], *flat.shape[1:])

    @staticmethod
    def _conv2d(x: Map, kernel: Float[Array, "kh kw i o"]) -> Map:
        return lax.conv_general_dilated(
            x, kernel.astype(x.dtype), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


class SpatialUp(nn.Module):
    """SU: a convolution and a pixel-shuffle (Eq. 11 and 12)."""

    features: int  # output channels, after the shuffle
    scale: int = 2
    refine: bool = False  # one more 3x3 convolution after the shuffle
    unshuffled: bool = False  # give the result with its blocks of pixels in channels

    @nn.compact
    def __call__(self, x: Map) -> Map:
        """Doubles height and width."""
        x = leaky_relu(Conv(self.features * self.scale**2, name="conv")(x))
        if self.unshuffled and not self.refine:
            return x
        x = pixel_shuffle(x, self.scale)
        if self.refine:
            x = leaky_relu(Conv(self.features, name="refine_conv")(x))
        return pixel_unshuffle(x, self.scale) if self.unshuffled else x


class _Decoder(nn.Module):
    """SU1 and SU2 over the last of the down blocks' outputs, with the parameter-free skips."""

    width: int
    middle: int
    scale: int
    refine: bool
    unshuffled: bool

    def setup(self) -> None:
        self.su1 = SpatialUp(self.middle, self.scale, self.refine)
        self.su2 = SpatialUp(self.width, self.scale, self.refine, self.unshuffled)

    def __call__(self, bottom: Map, skip2: Map | None, skip1: Map | None) -> Map:
        up = self.su1(bottom if skip2 is None else bottom + skip2)  # Eq. 11
        return self.su2(up if skip1 is None else up + skip1)  # Eq. 12, its argument corrected


class VIG(Network):
    """CRF of the VIG paper; the default has 434,185 parameters (published: 1.74 MB)."""

    width: int = 32  # of F0 and of the hidden state F1
    down_widths: tuple[int, int, int] = (40, 48, 48)  # of TSD1, TSD2, TD
    temporal_kernels: tuple[int, int, int] = (3, 2, 2)  # of TSD1, TSD2, TD
    lookahead: int = 3  # frames after the current one
    recurrent: bool = True  # False: no hidden slice
    scale: int = 2  # of each of the two spatial steps; 1: no down- and upsampling
    order: Literal["unshuffle_first", "conv_first"] = "unshuffle_first"
    skip: Literal["mean", "none"] = "mean"  # of Eq. 11 and 12, over the time axis
    refine: bool = False  # an extra 3x3 convolution after each pixel-shuffle
    state_bound: float | None = None  # the state enters as bound * tanh(state / bound)
    remat: bool | None = None  # recompute in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; the frame that is added stays in float32
    conditioning: Conditioning | None = None  # one model for several QPs, told which
    told: bool = False  # QP and codec of each frame scale F0 and the residual, where known

    @property
    def context(self) -> Context:
        """Forward recurrence with ``lookahead`` future frames."""
        reach = self.scale**2
        return Context(
            future=self.lookahead,
            recurrence="forward" if self.recurrent else "none",
            multiple=reach,
            min_side=reach,
            state_scale=self._state_scale if self.recurrent else None,
            optional=frozenset({"frame_qp", "codec"} if self.told else ()),
            receptive_field=2 + 2 * self.scale + (4 if not self.refine else 7) * reach,
        )

    @property
    def _state_scale(self) -> dict[str, Any]:
        """The hidden maps are as large as F0, what is kept of a level as its results are."""
        levels = range(1, len(self.temporal_kernels) + 1)
        return {"hidden": self._fold, "levels": [self.scale ** min(level, 2) for level in levels]}

    @property
    def _fold(self) -> int:
        """Side of the blocks of pixels that F0 and F1 hold in their channels.

        TSD1 unshuffles both anyhow, so they are made so, and nothing is moved at full size.
        """
        return self.scale if self.order == "unshuffle_first" else 1

    def setup(self) -> None:
        """The blocks in the order of the paper's figure."""
        lost = sum(k - 1 for k in self.temporal_kernels)
        if lost != self._slices - 1:
            raise UserError(
                f"vig: temporal_kernels={self.temporal_kernels} shorten {self._slices} slices to "
                f"{self._slices - lost}, expected 1; choose kernels whose sizes minus one add up "
                f"to {self._slices - 1}"
            )
        w1, w2, w3 = self.down_widths
        if self.skip == "mean" and w2 != w3:
            raise UserError(
                f"vig: down_widths={self.down_widths}: TSD2 and TD are added (Eq. 11), so the last "
                "two must be equal; or choose skip='none'"
            )
        k1, k2, k3 = self.temporal_kernels
        self.pre = Conv(self.width, blocks=self._fold)
        folded = self._fold > 1
        self.tsd1 = TemporalConv(self.width, w1, k1, self.scale, self.order, unshuffled=folded)
        self.tsd2 = TemporalConv(w1, w2, k2, self.scale, self.order)
        self.td = TemporalConv(w2, w3, k3)
        self.decoder = _Decoder(self.width, w1, self.scale, self.refine, folded)
        self.fusion = Conv(self.channels, blocks=self._fold)
        if self.conditioning:
            trained = self.conditioning
            self.qp_scale = QPScale(trained.qps, trained.interpolate, blocks=self._fold)
        if self.told:
            self.modulation = Told(self.width)

    def _features(self, clip: Clip, side: Side, told: Modulation | None = None) -> Clip:
        """F0 of every frame, folded; what is told scales the channels."""
        features = self.pre(pixel_unshuffle(clip.astype(self.dtype), self._fold))
        if self.conditioning:
            features = self.qp_scale(features, side.qp)
        if told is not None:
            scale, shift = (
                jnp.repeat(x, self._fold**2, axis=-1)[:, :, None, None].astype(features.dtype)
                for x in (told.scale, told.shift)
            )
            features = features * scale + shift
        return leaky_relu(features)

    def _modulate(self, clip: Clip, side: Side) -> Modulation | None:
        if not self.told:
            return None
        unknown = jnp.full(clip.shape[:2], -1.0)
        return self.modulation(unknown if side.frame_qp is None else side.frame_qp, side.codec)

    @property
    def _slices(self) -> int:
        return self.lookahead + 1 + self.recurrent

    @property
    def _blocks(self) -> tuple[TemporalConv, TemporalConv, TemporalConv]:
        return self.tsd1, self.tsd2, self.td

    def _residual(self, hidden: Float[Array, "*lead h w f"], like: Array) -> Array:
        """What is added to the frame, of its size and type."""
        return pixel_shuffle(self.fusion(hidden), self._fold).astype(like.dtype)

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Clip:
        """Enhances a clip; frames after its end are its last frame, the first state is zero."""
        told = self._modulate(clip, side)
        hidden = self._factored(self._features(clip, side, told))
        residual = self._residual(hidden, clip)
        return (residual if told is None else residual * told.gain[:, :, None, None]) + clip

    def advance(
        self, state: Any, window: Float[Array, "b n h w c"], *, side: Side
    ) -> tuple[Any, Map]:
        """One frame of a stream: ``window`` holds ``X_i .. X_{i+lookahead}``.

        The state has seen all of them but the last, which is the only one that is looked at then.
        """
        told = self._modulate(window, side)
        fresh = slice(None) if state is None else slice(-1, None)
        told_fresh = None if told is None else jax.tree.map(lambda x: x[:, fresh], told)
        slices = list(jnp.moveaxis(self._features(window[:, fresh], side, told_fresh), 1, 0))
        state, hidden = self._filter_stream(state, slices)
        residual = self._residual(hidden, window)
        if told is not None:
            residual = residual * told.gain[:, 0, None, None]
        return state, residual + window[:, 0]

    def fed_back(self, state: Any) -> Any:
        """The hidden maps; all else in a state is made of frames alone."""
        return state["hidden"]

    def _bounded(self, hidden: Map) -> Map:
        if self.state_bound is None:
            return hidden
        return self.state_bound * jnp.tanh(hidden / self.state_bound)

    def _mean(self, total: Any, slices: int) -> Map | None:
        return total / slices if self.skip == "mean" else None

    # `below` holds the frames' own features G_l of one level, for all times
    # that are needed; R_l is the slice that carries the hidden state.

    def _factored(self, features: Clip) -> Clip:
        frames = features.shape[1]
        below, partial, skips = features, [], []
        remaining = self._slices
        for level, block in enumerate(self._blocks):
            remaining -= block.taps - 1  # slices left at this level, the hidden one included
            alone = remaining - self.recurrent  # those of them that see frames only
            first = 0 if alone else 1  # tap 0 of the last block meets the hidden slice alone
            taps = block.each_tap(below, first) if block.taps > first else []
            if level == 0:
                taps = [_hold_last(t, self.lookahead) for t in taps]
            if self.recurrent:
                later = taps[1 - first :]
                partial.append(_sum(t[:, k : k + frames] for k, t in enumerate(later)))
            if alone:
                length = frames + alone - 1
                below = block.finish(_sum(t[:, k : k + length] for k, t in enumerate(taps)))
                skips.append(_sum(below[:, j : j + frames] for j in range(alone)))
        if not self.recurrent:
            return self._decode_all(below, skips)
        first_state = jnp.zeros_like(features[:, 0])
        inputs = (partial, skips)
        return scan_time(self, first_state, inputs, method=VIG._recur, remat=self.remat)[1]

    def _recur(self, hidden: Map, frames: tuple[list[Any], list[Any]]) -> tuple[Map, Map]:
        """The recurrent rest of one frame, given what the frames alone contribute."""
        partial, skips = frames
        x, skipped, slices = self._bounded(hidden), [], self._slices
        for level, (block, part) in enumerate(zip(self._blocks, partial, strict=True)):
            slices -= block.taps - 1
            x = block.sum_of_taps([x])
            x = block.finish(x if part is None else part + x)
            if level < 2:
                skipped.append(self._mean(x + skips[level] if slices > 1 else x, slices))
        hidden = self.decoder(x, skipped[1], skipped[0])
        return hidden, hidden

    def _decode_all(self, bottom: Clip, skips: list[Clip]) -> Clip:
        """Without recurrence all frames are one batch."""
        counts = self._slices - self.temporal_kernels[0] + 1, self.temporal_kernels[2]
        skip1, skip2 = (self._mean(_flat(s), n) for s, n in zip(skips, counts, strict=False))
        hidden = self.decoder(_flat(bottom), skip2, skip1)
        return hidden.reshape(*bottom.shape[:2], *hidden.shape[1:])

    def _filter_stream(
        self, state: dict[str, Any] | None, fresh: list[Map]
    ) -> tuple[dict[str, Any], Map]:
        """One frame at a time, given F0 of the frames that the state has not seen."""
        hidden = jnp.zeros_like(fresh[0]) if state is None else state["hidden"]
        partial, skips, levels = [], [], []
        remaining = self._slices
        for level, block in enumerate(self._blocks):
            remaining -= block.taps - 1
            seen = None if state is None else state["levels"][level]
            kept, ready, fresh = _feed(block, seen, fresh, remaining > 1)
            levels.append(kept)
            partial.append(ready)
            if remaining > 1:
                slices = [*kept["slices"], *fresh]
                skips.append(_sum(slices))
                kept["slices"] = slices[1:]
        hidden, _ = self._recur(hidden, (partial, skips))
        return {"hidden": hidden, "levels": levels}, hidden


def _feed(
    block: TemporalConv, seen: dict[str, list[Map]] | None, fresh: list[Map], alone: bool
) -> tuple[dict[str, list[Map]], Map | None, list[Map]]:
    """Puts slices that see frames only through a level; each meets each tap once.

    Args:
      seen: what is kept of the slices before, None at the first frame: sums over slices that later
        ones complete ("sums" of all taps, "later" of those that meet no hidden slice), complete
        "later" sums that wait for their frame ("ready"), and results ("slices").
      alone: whether any of the level's results sees frames only.

    Returns:
      What is kept, the part of this frame's result that comes of frames, the new results.
    """
    first = 0 if alone else 1
    empty: dict[str, list[Any]] = {"sums": [], "later": [], "ready": [], "slices": []}
    kept = {name: list(maps) for name, maps in (seen or empty).items()}
    begun = len(fresh) if seen is None else 0  # slices that may lack some before them
    made = []
    taps = block.each_tap(jnp.stack(fresh, axis=1), first) if block.taps > first else []
    for number in range(len(fresh)):
        products = [tap[:, number] for tap in taps]
        if alone:
            total = _slide(kept["sums"], products)
            if not begun or number >= block.taps - 1:
                made.append(block.finish(total))
        if block.taps > 1:
            total = _slide(kept["later"], products[1 - first :])
            if not begun or number >= block.taps - 2:
                kept["ready"].append(total)
    ready = kept["ready"].pop(0) if block.taps > 1 else None
    return kept, ready, made


def _slide(pending: list[Any], products: list[Map]) -> Map:
    """The sum over slices that the newest completes; those that it continues stay ``pending``.

    Args:
      pending: sums that lack 1, 2, .. of the last taps, empty at the first slice; changed.
    """
    waiting = pending or [None] * (len(products) - 1)
    continued = zip(waiting, reversed(products[1:]), strict=True)
    sums = [_sum(term for term in pair if term is not None) for pair in continued]
    sums.append(products[0])
    pending[:] = sums[1:]
    return sums[0]


def _hold_last(x: Clip, count: int) -> Clip:
    return jnp.concatenate([x, *[x[:, -1:]] * count], axis=1)


def _flat(x: Clip) -> Map:
    return x.reshape(-1, *x.shape[2:])


def _sum(terms: Iterable[Array]) -> Any:
    """Of arrays only: the builtin would start from an integer zero; None for no terms."""
    terms = list(terms)
    return functools.reduce(operator.add, terms) if terms else None
