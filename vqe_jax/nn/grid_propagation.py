"""One pass of BasicVSR++'s grid propagation, with flow-guided deformable alignment.

A pass visits the frames one after the other and carries features. At each frame it aligns those of
the frame visited last and of an earlier one at once: a deformable convolution over both, whose
offsets are the optical flow plus a bounded residue. In BasicVSR++ the earlier one is the frame
visited before the last; in ProVQE it is the latest peak-quality frame before the last.
"""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.residual import ResidualTrunk
from vqe_jax.ops.warp import flow_warp

__all__ = ["FlowGuidedAlignment", "GridPass", "Memory", "no_memory"]

Maps = Float[Array, "b h w c"]
Flow = Float[Array, "b h w 2"]

_TAPS = 9


class Memory(NamedTuple):
    """What a pass hands from frame to frame.

    Attributes:
      flow: from the frame visited last to that earlier one.
      visited: how many frames so far, counted to two.
      peak: whether the frame visited last is a key.
      keyed: whether ``second`` is of a key.
    """

    features: Maps
    second: Maps
    flow: Flow
    visited: Int[Array, " b"]
    peak: Bool[Array, " b"]
    keyed: Bool[Array, " b"]


def no_memory(size: tuple[int, int, int], features: int, dtype: str) -> Memory:
    """What a pass enters its first frame with.

    Args:
      size: batch, and height and width of the features.
    """
    none = jnp.zeros((*size, features), dtype)
    no = jnp.zeros(size[:1], bool)
    flow = jnp.zeros((*size, 2), jnp.float32)
    return Memory(none, none, flow, jnp.zeros(size[:1], jnp.int32), no, no)


class FlowGuidedAlignment(nn.Module):
    """Features of two frames at the pixels of a third (NTIRE 2021 report, Figure 2 b)."""

    features: int  # channels of each frame and of the result
    groups: int = 16  # of offsets; the first half samples the first frame, the rest the second
    magnitude: float = 10.0  # pixels that an offset may be away from the flow

    @nn.compact
    def __call__(self, first: Maps, second: Maps, current: Maps, flows: tuple[Flow, Flow]) -> Maps:
        """Aligns.

        Args:
          current: features of the frame whose pixels they are wanted at.
          flows: from the current frame to the first and to the second.

        Raises:
          UserError: groups that are not two halves, or that do not divide the channels.
        """
        if self.groups % 2 or 2 * self.features % self.groups:
            raise UserError(
                f"deform_groups={self.groups} must be even and divide 2 * features="
                f"{2 * self.features}"
            )
        warped = [flow_warp(x, f) for x, f in zip((first, second), flows, strict=True)]
        flow = jnp.concatenate(flows, axis=-1).astype(current.dtype)
        x = jnp.concatenate([warped[0], current, warped[1], flow], axis=-1)
        for k in range(3):
            x = leaky_relu(Conv(self.features, name=f"offset{k}")(x))
        zeros, count = nn.initializers.zeros, self.groups * _TAPS
        x = Conv(3 * count, kernel_init=zeros, bias_init=zeros, name="offset3")(x)
        # Offsets are (dy, dx), flow is (dx, dy).
        guides = [jnp.tile(f[..., ::-1], (1, 1, 1, count // 2)) for f in flows]
        residue = self.magnitude * jnp.tanh(x[..., : 2 * count].astype(jnp.float32))
        offset = residue + jnp.concatenate(guides, axis=-1)
        mask = nn.sigmoid(x[..., 2 * count :])
        deform = DeformConv(self.features, offset_groups=self.groups, name="deform")
        return deform(jnp.concatenate([first, second], axis=-1), offset, mask)


class GridPass(nn.Module):
    """One frame of a pass: alignment and a residual trunk."""

    features: int
    blocks: int
    groups: int
    magnitude: float

    @nn.compact
    def __call__(
        self,
        memory: Memory,
        current: Maps,
        earlier: tuple[Maps, ...],
        flow: Flow,
        is_key: Bool[Array, " b"],
    ) -> Memory:
        """Visits the next frame.

        Args:
          memory: after the frame visited before, which has this frame's features in the end.
          earlier: what the passes before this one have found at this frame.
          flow: from this frame to the one visited before; of no meaning at the first.
          is_key: whether this frame may serve as the second one until the next key is visited;
            where none has been visited, and where all are, it is the frame before the last.
        """
        has_one, has_two = (_each(memory.visited > n) for n in (0, 1))
        # The way to the second frame leads over the one visited last.
        further = jnp.where(has_two, flow + flow_warp(memory.flow, flow), 0)
        align = FlowGuidedAlignment(self.features, self.groups, self.magnitude, name="align")
        aligned = align(memory.features, memory.second, current, (flow, further))
        aligned = jnp.where(has_one, aligned, 0)
        seen = jnp.concatenate([current, *earlier, aligned], axis=-1)
        moves_on = _each(memory.peak | ~memory.keyed)
        return Memory(
            features=aligned + ResidualTrunk(self.features, self.blocks, name="trunk")(seen),
            second=jnp.where(moves_on, memory.features, memory.second),
            flow=jnp.where(moves_on, flow, further),
            visited=jnp.minimum(memory.visited + 1, 2),
            peak=is_key,
            keyed=memory.keyed | memory.peak,
        )


def _each(x: Bool[Array, " b"]) -> Bool[Array, "b 1 1 1"]:
    return x[:, None, None, None]
