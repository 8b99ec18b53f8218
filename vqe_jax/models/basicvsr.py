"""BasicVSR: bidirectional propagation with optical flow (Chan et al., CVPR 2021).

Features travel from the last frame to the first and then from the first to the last. At each frame
they are warped along the optical flow (SPyNet), joined with the frame and refined by a residual
trunk; both directions are fused into the residual of the frame. With ``upscale=1`` the two
pixel-shuffle stages go, and the network enhances at the size of its input, as the VUE team's
"BasicVSR without pixel-shuffle" does.

A clip is processed in one of two ways with the same result within rounding. Training knows all
flows before it starts, so they are one batched call; otherwise each frame's flow is computed where
it is needed, in the loop that the ``sweep`` of a long video makes too, so that the two agree to
the last bit.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Network, Side
from vqe_jax.nn.flow import SPyNet, clip_flows, looks_for_mirrors
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.nn.residual import ResidualTrunk, Upsample
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.warp import flow_warp

__all__ = ["BasicVSR"]

Frame = Float[Array, "b h w c"]
Features = Float[Array, "b h w f"]
Clip = Float[Array, "b t h w c"]

# What a pass hands from frame to frame: the frame it comes from, and its features there.
State = tuple[Frame, Features]

# Width of the last layers behind a pixel shuffle, whatever that of the trunks.
_UPSAMPLED_FEATURES = 64


class BasicVSR(Network):
    """Two residual trunks, one a direction of time, joined by flow."""

    features: int = 64  # channels of the trunks
    blocks: int = 30  # residual blocks of each trunk
    upscale: Literal[1, 2, 4] = 1  # 1: enhancement; 2 or 4: super-resolution
    channels: Literal[1, 3] = 3  # 3: RGB, 1: luma (given to the flow network as gray)
    flow_levels: int = 6  # of SPyNet's pyramid
    flow_widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of SPyNet
    flow_padding: Literal["zeros", "border"] = "zeros"  # outside the features that are warped
    mirrored: bool | None = None  # look for clips that mirror themselves; None: on accelerators
    dtype: str = "float32"  # of the trunks; frames and flow stay float32
    remat: bool | None = None  # recompute the trunks in the backward pass; None: where memory asks
    unroll: int | None = None  # steps in a loop's body in training; None: all on the CPU, else one

    def setup(self) -> None:
        """The layers both ways of processing share."""
        self.spynet = SPyNet(self.flow_levels, self.flow_widths)
        self.backward_trunk = ResidualTrunk(self.features, self.blocks)
        self.forward_trunk = ResidualTrunk(self.features, self.blocks)
        self.fusion = Conv(self.features, 1)
        doublings = int(math.log2(self.upscale))
        widths = [self.features] * (doublings - 1) + [_UPSAMPLED_FEATURES]
        self.upsample = [Upsample(widths[k]) for k in range(doublings)]
        self.conv_hr = Conv(_UPSAMPLED_FEATURES if doublings else self.features)
        self.conv_last = Conv(self.channels)

    @property
    def context(self) -> Context:
        """The whole clip, both ways; frames reach a pass one at a time."""
        return Context(recurrence="both", min_side=64, scale=self.upscale)

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """The backward features first, then the frames."""
        return ("backward", "forward")

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Float[Array, "b t h2 w2 d"]:
        """A whole clip."""
        return self._with_all_flows(clip) if train else self._frame_by_frame(clip)

    def advance_sweep(
        self,
        index: int,
        state: State | None,
        window: Clip,
        kept: tuple[Any, ...],
        *,
        side: Side,
    ) -> tuple[State, Float[Array, "b h2 w2 d"]]:
        """One frame of a pass; the backward pass keeps its features."""
        frame = window[:, 0]
        state = self.start(frame) if state is None else state
        if index == 0:
            return self.go_back(state, frame)
        return self.go_forward(state, (frame, kept[0]))

    # Frame by frame: the flow is computed on the way.

    def _frame_by_frame(self, clip: Clip) -> Float[Array, "b t h2 w2 d"]:
        run = functools.partial(scan_time, self, remat=False, unroll=1)
        _, backward = run(self.start(clip[:, -1]), clip, reverse=True, method=BasicVSR.go_back)
        _, frames = run(self.start(clip[:, 0]), (clip, backward), method=BasicVSR.go_forward)
        return frames

    def start(self, frame: Frame) -> State:
        """The state with which a pass enters the first frame it visits."""
        return frame, self._no_features(frame)

    def go_back(self, state: State, frame: Frame) -> tuple[State, Features]:
        """One frame of the backward pass: its features."""
        neighbor, features = state
        features, _ = self._known_back(features, (frame, self.spynet(frame, neighbor)))
        return (frame, features), features

    def go_forward(
        self, state: State, x: tuple[Frame, Features]
    ) -> tuple[State, Float[Array, "b h2 w2 d"]]:
        """One frame of the forward pass, given its backward features: the frame enhanced."""
        frame, backward = x
        neighbor, features = state
        flow = self.spynet(frame, neighbor)
        features, picture = self._known_forward(features, (frame, flow, backward))
        return (frame, features), picture

    # All at once: the flows are known.

    def _with_all_flows(self, clip: Clip) -> Float[Array, "b t h2 w2 d"]:
        backward_flows, forward_flows = clip_flows(
            self.spynet, clip, look_for_mirrors=looks_for_mirrors(self.mirrored)
        )
        start = self._no_features(clip[:, 0])
        run = functools.partial(scan_time, self, remat=self.remat, unroll=self.unroll)
        _, backward = run(start, (clip, backward_flows), reverse=True, method=BasicVSR._known_back)
        _, frames = run(start, (clip, forward_flows, backward), method=BasicVSR._known_forward)
        return frames

    def _known_back(
        self, features: Features, x: tuple[Frame, Float[Array, "b h w 2"]]
    ) -> tuple[Features, Features]:
        frame, flow = x
        features = self._propagate(self.backward_trunk, features, frame, flow)
        return features, features

    def _known_forward(
        self, features: Features, x: tuple[Frame, Float[Array, "b h w 2"], Features]
    ) -> tuple[Features, Float[Array, "b h2 w2 d"]]:
        frame, flow, backward = x
        features = self._propagate(self.forward_trunk, features, frame, flow)
        return features, self._reconstruct(frame, backward, features)

    # What both ways share.

    def _no_features(self, frame: Frame) -> Features:
        return jnp.zeros((*frame.shape[:3], self.features), self.dtype)

    def _propagate(
        self, trunk: ResidualTrunk, features: Features, frame: Frame, flow: Float[Array, "b h w 2"]
    ) -> Features:
        warped = flow_warp(features, flow, padding=self.flow_padding)
        return trunk(jnp.concatenate([frame.astype(warped.dtype), warped], axis=-1))

    def _reconstruct(
        self, frame: Frame, backward: Features, forward: Features
    ) -> Float[Array, "b h2 w2 d"]:
        x = leaky_relu(self.fusion(jnp.concatenate([backward, forward], axis=-1)))
        for upsample in self.upsample:
            x = leaky_relu(upsample(x))
        x = self.conv_last(leaky_relu(self.conv_hr(x))).astype(frame.dtype)
        return x + resize_bilinear(frame, (x.shape[1], x.shape[2]))
