"""SPyNet: optical flow by a pyramid of small convolutional networks (Ranjan and Black, 2017).

The flavour is that of the video restoration toolboxes (BasicVSR and its kin), with six levels.
``flow`` at a pixel of ``ref`` points to where that pixel is found in ``supp``, so
``flow_warp(supp, flow)`` resembles ``ref``.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.pad import padded_size
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.warp import flow_warp

__all__ = ["SPyNet", "clip_flows", "looks_for_mirrors"]

# ImageNet's mean and standard deviation of R, G, B, on which the published weights were trained.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

Frames = Float[Array, "b h w c"]
Flow = Float[Array, "b h w 2"]
Clip = Float[Array, "b t h w c"]
Flows = Float[Array, "b n h w 2"]


class FlowLevel(nn.Module):
    """One level's network: the residual flow from what is known so far."""

    widths: tuple[int, ...]  # output channels of the hidden convolutions

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Flow:
        """Takes ``ref``, the warped ``supp`` and the flow so far, as channels."""
        for k, width in enumerate(self.widths):
            x = nn.relu(Conv(width, 7, name=f"conv{k}")(x))
        # Without published weights nothing moves at first: random flow points out of the frame,
        # where features are zero and no gradient leads back.
        last, zeros = f"conv{len(self.widths)}", nn.initializers.zeros
        return Conv(2, 7, kernel_init=zeros, bias_init=zeros, name=last)(x)


class SPyNet(nn.Module):
    """Optical flow between two RGB frames of any size.

    Inside, frames are enlarged to multiples of ``2**(levels - 1)`` pixels, and computed in float32
    whatever their type. Luma is taken as gray RGB.
    """

    levels: int = 6  # of the pyramid; the coarsest is 2**(levels - 1) times smaller
    widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of every level

    @nn.compact
    def __call__(self, ref: Frames, supp: Frames) -> Flow:
        """Finds where each pixel of ``ref`` is in ``supp``.

        Args:
          ref: frames ``[b, h, w, 3]`` or ``[b, h, w, 1]`` in [0, 1].

        Returns:
          float32 flow (dx, dy) in pixels.

        Raises:
          UserError: frames of different shapes, or neither RGB nor luma.
        """
        if ref.shape != supp.shape or ref.shape[-1] not in (1, 3):
            raise UserError(
                f"optical flow between frames of {ref.shape} and {supp.shape}: expected two of "
                "the same shape with 1 or 3 channels"
            )
        h, w = ref.shape[1:3]
        multiple = 2 ** (self.levels - 1)
        inner = (padded_size(h, multiple), padded_size(w, multiple))
        refs = self._pyramid(resize_bilinear(_normalized(ref), inner))
        supps = self._pyramid(resize_bilinear(_normalized(supp), inner))
        flow = jnp.zeros((*refs[0].shape[:3], 2), jnp.float32)
        for level, (a, b) in enumerate(zip(refs, supps, strict=True)):
            if level:
                # The one place where corners are aligned.
                flow = 2 * resize_bilinear(flow, (a.shape[1], a.shape[2]), align_corners=True)
            seen = jnp.concatenate([a, flow_warp(b, flow, padding="border"), flow], axis=-1)
            flow = flow + FlowLevel(self.widths, name=f"level{level}")(seen)
        scale = jnp.array([w / inner[1], h / inner[0]], jnp.float32)
        return resize_bilinear(flow, (h, w)) * scale[None, None, None]

    def _pyramid(self, x: Frames) -> list[Float[Array, "b _ _ c"]]:
        """The frames at every level, coarsest first."""
        levels = [x]
        for _ in range(self.levels - 1):
            b, h, w, c = levels[-1].shape
            blocks = levels[-1].reshape(b, h // 2, 2, w // 2, 2, c)
            levels.append(jnp.mean(blocks, axis=(2, 4)))
        return levels[::-1]


def _normalized(x: Float[Array, "b h w _"]) -> Float[Array, "b h w 3"]:
    x = jnp.broadcast_to(x.astype(jnp.float32), (*x.shape[:-1], 3))
    return (x - jnp.array(_MEAN)[None, None, None]) / jnp.array(_STD)[None, None, None]


def looks_for_mirrors(wanted: bool | None) -> bool:
    """Whether to look for clips that mirror themselves; None: where it does not cost more."""
    # XLA's CPU backend is tens of times slower at gradients inside a conditional.
    return jax.default_backend() != "cpu" if wanted is None else wanted


def clip_flows(network: SPyNet, clip: Clip, *, look_for_mirrors: bool) -> tuple[Flows, Flows]:
    """Flow from each frame to the next, and to the one before; zero where there is none.

    Args:
      clip: frames in [0, 1].
      look_for_mirrors: where all clips of the batch equal their own reversal (clips that were
        extended by their mirror image in time), one direction is computed and the other follows.

    Returns:
      Two flows a frame.
    """
    ahead = ((0, 0), (0, 1), (0, 0), (0, 0), (0, 0))
    behind = ((0, 0), (1, 0), (0, 0), (0, 0), (0, 0))
    if clip.shape[1] == 1:
        none = jnp.zeros((*clip.shape[:-1], 2), jnp.float32)
        return none, none
    earlier, later = clip[:, :-1], clip[:, 1:]
    if look_for_mirrors and clip.shape[1] % 2 == 0:
        to_next = _pairwise(network, earlier, later)
        # The flows of a clip that equals its reversal are its other flows in reverse.
        to_previous = nn.cond(
            jnp.array_equal(clip, clip[:, ::-1]),
            lambda _module, known, *_: known[:, ::-1],
            lambda module, _known, a, b: _pairwise(module, a, b),
            network,
            to_next,
            later,
            earlier,
        )
    else:
        pairs = jnp.concatenate([earlier, later]), jnp.concatenate([later, earlier])
        to_next, to_previous = jnp.split(_pairwise(network, *pairs), 2)
    return jnp.pad(to_next, ahead), jnp.pad(to_previous, behind)


def _pairwise(network: SPyNet, ref: Clip, supp: Clip) -> Flows:
    lead = ref.shape[:2]
    flat = network(ref.reshape(-1, *ref.shape[2:]), supp.reshape(-1, *supp.shape[2:]))
    return flat.reshape(*lead, *flat.shape[1:])
