"""BasicVSR++: grid propagation and flow-guided deformable alignment (NTIRE 2021, NTU-SLab).

Features travel through the clip four times, backward and forward in turn. Each pass sees what the
passes before it have found at a frame, and aligns the features of two frames visited before
(:mod:`vqe_jax.nn.grid_propagation`). With ``upscale=1`` two strided convolutions take the frames to
a quarter of their size, where all of this happens, and pixel shuffles take the result back.

A clip is processed in one of two ways, as BasicVSR's: training knows all flows before it starts;
otherwise frame by frame, in the very steps that the sweeps of a long video make.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vqe_jax.models import Context, Network, Side
from vqe_jax.nn.flow import SPyNet, clip_flows, looks_for_mirrors
from vqe_jax.nn.grid_propagation import GridPass, Memory, no_memory
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.nn.residual import ResidualTrunk, Upsample
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["PASSES", "BasicVSRPlusPlus"]

Frame = Float[Array, "b h w c"]
Clip = Float[Array, "b t h w c"]
Small = Float[Array, "b h4 w4 c"]
Features = Float[Array, "b h4 w4 f"]

# What a pass hands from frame to frame; the small frame where it finds the flow itself.
State = tuple[Memory, Small | None]

PASSES = ("backward_1", "forward_1", "backward_2", "forward_2")

_EXTRACTION_BLOCKS = 5

# PyTorch's bicubic kernel (a = -0.75) a half pixel off: all that a reduction by four samples.
_QUARTER = np.array([-0.09375, 0.59375, 0.59375, -0.09375], np.float32)


class BasicVSRPlusPlus(Network):
    """Four passes over features, two for each direction of time."""

    features: int = 64  # channels of the features
    blocks: int = 7  # residual blocks of each pass
    reconstruction_blocks: int = 5  # residual blocks after the passes
    upsampled_features: int = 64  # channels of the last layers, at full size
    upscale: Literal[1, 4] = 1  # 1: enhancement; 4: super-resolution
    deform_groups: int = 16  # offsets a pixel and tap, for the two frames together
    max_residue_magnitude: float = 10.0  # pixels between an offset and the flow, at most
    channels: Literal[1, 3] = 3  # 3: RGB, 1: luma (given to the flow network as gray)
    flow_levels: int = 6  # of SPyNet's pyramid
    flow_widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of SPyNet
    mirrored: bool | None = None  # look for clips that mirror themselves; None: on accelerators
    dtype: str = "float32"  # of the features; frames and flow stay float32
    remat: bool | None = None  # recompute the passes in the backward pass; None: where memory asks
    unroll: int | None = None  # steps in a loop's body in training; None: all on the CPU, else one

    def setup(self) -> None:
        """The layers both ways of processing share."""
        self.spynet = SPyNet(self.flow_levels, self.flow_widths)
        if self.upscale == 1:
            self.shrink = [Conv(self.features, stride=2, padding=1) for _ in range(2)]
        self.extract = ResidualTrunk(self.features, _EXTRACTION_BLOCKS)
        one = functools.partial(GridPass, self.features, self.blocks, self.deform_groups)
        self.backward_1 = one(self.max_residue_magnitude)
        self.forward_1 = one(self.max_residue_magnitude)
        self.backward_2 = one(self.max_residue_magnitude)
        self.forward_2 = one(self.max_residue_magnitude)
        self.reconstruction = ResidualTrunk(self.features, self.reconstruction_blocks)
        self.upsample = [Upsample(self.features), Upsample(self.upsampled_features)]
        self.conv_hr = Conv(self.upsampled_features)
        self.conv_last = Conv(self.channels)

    @property
    def _shrinks(self) -> int:
        return 4 if self.upscale == 1 else 1

    @property
    def context(self) -> Context:
        """The whole clip, both ways; frames reach a pass one at a time."""
        # The flow network's coarsest level holds two pixels: 256 and 64 with six levels.
        smallest = self._shrinks * 2**self.flow_levels
        return Context(
            recurrence="both", multiple=self._shrinks, min_side=smallest, scale=self.upscale
        )

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """The directions of the passes."""
        return ("backward", "forward", "backward", "forward")

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Float[Array, "b t h2 w2 d"]:
        """A whole clip."""
        keys = self.keys(side, clip.shape[:2])
        return self._with_all_flows(clip, keys) if train else self._frame_by_frame(clip, keys)

    def keys(self, side: Side, size: tuple[int, ...]) -> Bool[Array, "b t"]:
        """Which frames stay in memory until the next such frame; all: second order."""
        return jnp.ones(size, bool)

    def advance_sweep(
        self,
        index: int,
        state: State | None,
        window: Clip,
        kept: tuple[Any, ...],
        *,
        side: Side,
    ) -> tuple[State, Any]:
        """One frame of a pass; what is kept are its features, and once the flow and its input."""
        frame = window[:, 0]
        is_key = self.keys(side, window.shape[:2])[:, 0]
        state = self.start(frame, index) if state is None else state
        return self.visit(state, (frame, kept, is_key), index=index)

    # Frame by frame: the flow is computed on the way.

    def _frame_by_frame(self, clip: Clip, keys: Bool[Array, "b t"]) -> Float[Array, "b t h2 w2 d"]:
        kept: tuple[Any, ...] = ()
        for index, direction in enumerate(self.sweeps):
            backward = direction == "backward"
            _, found = scan_time(
                self,
                self.start(clip[:, -1 if backward else 0], index),
                (clip, kept, keys),
                reverse=backward,
                method=functools.partial(BasicVSRPlusPlus.visit, index=index),
                remat=False,
                unroll=1,
            )
            kept = (*kept, found)
        return found

    def start(self, frame: Frame, index: int) -> State:
        """The state with which a pass enters the first frame it visits."""
        return self._no_memory(frame), self._small(frame) if index < 2 else None

    def visit(
        self, state: State, x: tuple[Frame, tuple[Any, ...], Bool[Array, " b"]], *, index: int
    ) -> tuple[State, Any]:
        """One frame of one pass: what later passes need of it, from the last the picture."""
        frame, kept, is_key = x
        memory, neighbor = state
        found: dict[str, Array] = {}
        if neighbor is None:
            flow, small = kept[index - 2]["flow"], None
        else:
            small = self._small(frame)
            flow = found["flow"] = self.spynet(small, neighbor)
        if index == 0:
            found["spatial"] = self._extract(frame)
        spatial = kept[0]["spatial"] if index else found["spatial"]
        earlier = tuple(one["features"] for one in kept)
        memory = self._pass(index)(memory, spatial, earlier, flow, is_key)
        if index == len(PASSES) - 1:
            maps = (spatial, *earlier, memory.features)
            return (memory, small), self._reconstruct(frame, maps)
        return (memory, small), found | {"features": memory.features}

    # All at once: the flows are known.

    def _with_all_flows(self, clip: Clip, keys: Bool[Array, "b t"]) -> Float[Array, "b t h2 w2 d"]:
        lead = clip.shape[:2]
        frames = clip.reshape(-1, *clip.shape[2:])
        spatial, small = (
            x.reshape(*lead, *x.shape[1:]) for x in (self._extract(frames), self._small(frames))
        )
        to_next, to_previous = clip_flows(
            self.spynet, small, look_for_mirrors=looks_for_mirrors(self.mirrored)
        )
        found: tuple[Array, ...] = ()
        for index, direction in enumerate(self.sweeps):
            backward = direction == "backward"
            flow = to_next if backward else to_previous
            _, new = scan_time(
                self,
                self._no_memory(clip[:, 0]),
                (clip, spatial, found, flow, keys),
                reverse=backward,
                method=functools.partial(BasicVSRPlusPlus._known, index=index),
                remat=self.remat,
                unroll=self.unroll,
            )
            found = (*found, new)
        return found[-1]

    def _known(self, memory: Memory, x: Any, *, index: int) -> tuple[Memory, Array]:
        frame, spatial, earlier, flow, is_key = x
        memory = self._pass(index)(memory, spatial, earlier, flow, is_key)
        if index < len(PASSES) - 1:
            return memory, memory.features
        return memory, self._reconstruct(frame, (spatial, *earlier, memory.features))

    # What both ways share.

    def _pass(self, index: int) -> GridPass:
        return getattr(self, PASSES[index])

    def _no_memory(self, frame: Frame) -> Memory:
        batch, height, width = frame.shape[:3]
        size = (batch, height // self._shrinks, width // self._shrinks)
        return no_memory(size, self.features, self.dtype)

    def _small(self, frame: Frame) -> Small:
        """The frame at the size of the features, for the flow network."""
        if self.upscale == 4:
            return frame
        b, h, w, c = frame.shape
        blocks = frame.reshape(b, h // 4, 4, w // 4, 4, c)
        taps = jnp.asarray(_QUARTER)
        return jnp.einsum("bhywxc,y,x->bhwc", blocks, taps, taps)

    def _extract(self, frame: Frame) -> Features:
        x = frame.astype(self.dtype)
        if self.upscale == 1:
            for shrink in self.shrink:
                x = leaky_relu(shrink(x))
        return self.extract(x)

    def _reconstruct(self, frame: Frame, maps: tuple[Features, ...]) -> Float[Array, "b h2 w2 d"]:
        x = self.reconstruction(jnp.concatenate(maps, axis=-1))
        for upsample in self.upsample:
            x = leaky_relu(upsample(x))
        x = self.conv_last(leaky_relu(self.conv_hr(x))).astype(frame.dtype)
        return x + resize_bilinear(frame, (x.shape[1], x.shape[2]))
