"""OVQE: four passes over a clip, each of which fuses features by deformable convolutions.

Peng et al., "OVQE: Omniscient Network for Compressed Video Quality Enhancement", IEEE TBC 2022;
code: pengliuhan/OVQE. The first pass fuses seven frames around each; every pass fuses a frame's
features, those of its neighbor that lies ahead, and what was found at the frame visited before. One
block that works on bands of frequency follows every fusion of all four passes.

A clip at once and the sweeps of a long video make the same steps.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Side
from vqe_jax.models.families import check_reduction
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.frame_windows import clamped_neighbors, frame_stack
from vqe_jax.nn.frequency import FrequencyBlock, Merge
from vqe_jax.nn.layers import Conv, ConvTranspose, leaky_relu
from vqe_jax.nn.recurrence import scan_time

__all__ = ["OVQE", "PASSES"]

Maps = Float[Array, "b h w f"]
Window = Float[Array, "b k h w c"]
Clip = Float[Array, "b t h w c"]

# What a pass hands from frame to frame: its features, and whether there are any yet.
State = tuple[Maps, Bool[Array, " b"]]
# What it keeps of a frame: its features there, and at the frame visited before.
Kept = tuple[Maps, Maps]

PASSES = ("first_backward", "first_forward", "second_backward", "second_forward")


class OVQE(Network):
    """Bidirectional propagation without optical flow: offsets alone align the features."""

    features: int = 64
    unet_features: int = 32  # of the U-Nets that predict offsets
    blocks: int = 5  # frequency blocks after the passes
    window: int = 7  # frames that the first fusion reads, odd
    attention_reduction: int = 32  # channels to each of a channel attention's bottleneck
    merge_reduction: int = 8  # the same of the merges, which have at least 4
    remat: bool | None = None  # recompute the passes in the backward pass; None: where memory asks
    unroll: int | None = None  # steps in a loop's body in training; None: all on the CPU, else one

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise UserError(f"OVQE: window={self.window} must be odd, so that a frame is in it")
        check_reduction(self, self.features, "features", "attention_reduction")
        super().__post_init__()

    def setup(self) -> None:
        """A fusion a pass, one more for the frames, one frequency block for all."""
        fusion = functools.partial(Fusion, self.features, self.unet_features)
        frequency = functools.partial(
            FrequencyBlock, self.features, self.attention_reduction, self.merge_reduction
        )
        self.window_fusion = fusion(3, self.merge_reduction)
        self.first_backward = fusion(1, self.merge_reduction)
        self.first_forward = fusion(1, self.merge_reduction)
        self.second_backward = fusion(1, self.merge_reduction)
        self.second_forward = fusion(1, self.merge_reduction)
        self.frequency = frequency(narrow=True)
        self.reconstruction = Reconstruction(self.channels, self.blocks, frequency)

    @property
    def context(self) -> Context:
        """The whole clip, both ways; a window of it reaches each step."""
        radius = self.window // 2
        return Context(past=radius, future=radius, recurrence="both", multiple=4)

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """The directions of the passes."""
        return ("backward", "forward", "backward", "forward")

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Clip:
        """A whole clip, pass by pass."""
        windows = clip[:, clamped_neighbors(clip.shape[1], self.window // 2)]
        kept: tuple[Any, ...] = ()
        for index, direction in enumerate(self.sweeps):
            _, found = scan_time(
                self,
                self.start(clip[:, 0]),
                (windows, kept),
                reverse=direction == "backward",
                method=functools.partial(OVQE.visit, index=index),
                remat=self.remat if train else False,
                unroll=self.unroll if train else 1,
            )
            kept = (*kept, found)
        return found

    def advance_sweep(
        self, index: int, state: State | None, window: Window, kept: tuple[Any, ...], *, side: Side
    ) -> tuple[State, Any]:
        """One frame of a pass; what is kept are its features and the previous frame's."""
        state = self.start(window[:, 0]) if state is None else state
        return self.visit(state, (window, kept), index=index)

    def start(self, frame: Float[Array, "b h w c"]) -> State:
        """The state with which a pass enters the first frame it visits."""
        batch, height, width = frame.shape[:3]
        return jnp.zeros((batch, height, width, self.features)), jnp.zeros(batch, bool)

    def visit(
        self, state: State, x: tuple[Window, tuple[Kept, ...]], *, index: int
    ) -> tuple[State, Any]:
        """One frame of one pass: what later passes need of it, from the last the picture."""
        window, kept = x
        before, has_before = state
        if index == 0:
            current = self.window_fusion(frame_stack(window))
            maps: tuple[Maps, ...] = (current, before)
        else:
            # The pass before came from where this one goes, so it knows the frame ahead.
            current, ahead = kept[-1]
            maps = (before, current, ahead)
        fused = getattr(self, PASSES[index])(jnp.concatenate(maps, axis=-1))
        found = self.frequency(jnp.concatenate([current, fused], axis=-1)) + current
        state = found, jnp.ones_like(has_before)
        if index < len(PASSES) - 1:
            return state, (found, jnp.where(has_before[:, None, None, None], before, found))
        features = jnp.concatenate([*(one for one, _ in kept), found], axis=-1)
        return state, window[:, self.window // 2] + self.reconstruction(features)


class Fusion(nn.Module):
    """Offsets from a U-Net, a deformable convolution in which every map has its own, ReLU."""

    features: int
    unet_features: int
    kernel_size: int  # of the deformable convolution, odd
    merge_reduction: int

    @nn.compact
    def __call__(self, stack: Float[Array, "b h w n"]) -> Maps:
        """Joins ``n`` maps."""
        count, taps = stack.shape[-1], self.kernel_size**2
        x = leaky_relu(Conv(self.unet_features, name="in_conv")(stack))
        x = _UNet(self.merge_reduction, name="unet")(x)
        x = leaky_relu(Conv(self.unet_features, name="out_conv")(x))
        plan = Conv(3 * count * taps, name="offset_mask")(x)
        offset, mask = plan[..., : 2 * count * taps], nn.sigmoid(plan[..., 2 * count * taps :])
        deform = DeformConv(self.features, self.kernel_size, count, name="deform_conv")
        return nn.relu(deform(stack, offset, mask))


class _UNet(nn.Module):
    """Three levels down and up; both joins are made by one merge. Sides are multiples of 4."""

    merge_reduction: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        features = x.shape[-1]
        merge = Merge(self.merge_reduction, name="merge")
        levels = [x]
        for i in range(3):
            down = leaky_relu(Conv(features, stride=2, padding=1, name=f"down{i}")(levels[-1]))
            levels.append(leaky_relu(Conv(features, name=f"conv{i}")(down)))
        y = levels.pop()
        for i in range(3):
            y = leaky_relu(ConvTranspose(features, name=f"up{i}")(y))
            skip = levels.pop()
            # A quarter of the height may be odd: the eighth was rounded up.
            y = y[:, : skip.shape[1], : skip.shape[2]]
            y = merge(y, skip) if levels else y + skip
        return y


class Reconstruction(nn.Module):
    """Frequency blocks on the features of all passes, and a convolution to the residual."""

    channels: int  # of the picture
    blocks: int
    frequency: Any  # makes a frequency block, given its name

    @nn.compact
    def __call__(self, x: Float[Array, "b h w g"]) -> Float[Array, "b h w c"]:
        """The residual of the current frame."""
        features = x.shape[-1] // len(PASSES)
        x = nn.relu(Conv(features, name="conv_in")(x))
        for k in range(self.blocks):
            x = self.frequency(name=f"block{k}")(x)
        return Conv(self.channels, name="conv_last")(x)
