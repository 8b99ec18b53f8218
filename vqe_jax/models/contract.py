"""What every network promises, and the one place where frames are padded to suit it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float, Int

from vqe_jax.ops.pad import crop_to_size, pad_to_multiple

__all__ = ["Context", "Network"]


@dataclasses.dataclass(frozen=True)
class Context:
    """What the result of one frame depends on.

    Streaming, tiling and self-ensemble are written against this description alone.

    Attributes:
      past: frames before the current one that the network reads directly.
      future: frames after it.
      recurrence: ``"none"`` (a window network), ``"forward"`` (carries a state from frame to
        frame, so it has ``step``) or ``"both"`` (bidirectional: needs the whole clip).
      multiple: what height and width must divide by inside the network.
      min_side: the smallest height and width it can work on, in pixels.
      receptive_field: how far a pixel's result looks, in pixels, within one step; None where
        it is not bounded (attention, flow-guided sampling).
      scale: how many times larger than its input the result is; 1 for enhancement.
    """

    past: int = 0
    future: int = 0
    recurrence: Literal["none", "forward", "both"] = "none"
    multiple: int = 1
    min_side: int = 1
    receptive_field: int | None = None
    scale: int = 1


class Network(nn.Module):
    """Base of all networks: pads the frames, calls the subclass, crops its result.

    A subclass has fields only, a ``context`` property and ``forward(clip, qp=, train=)``. Beside
    it, one whose ``context.recurrence`` is ``"none"`` may have
    ``forward_inner(clip, qp=, train=)``, where that saves work; ``"forward"`` needs
    ``advance(state, window, qp=)``; ``"both"`` needs ``sweeps`` and
    ``advance_sweep(index, state, window, kept, qp=)``. All of them receive frames whose sides are
    multiples of ``context.multiple`` and at least ``context.min_side``.
    """

    @property
    def context(self) -> Context:
        """What a frame's result depends on."""
        raise NotImplementedError

    def forward(
        self, clip: Float[Array, "b t h w c"], *, qp: Int[Array, " b"] | None, train: bool
    ) -> Float[Array, "b t h2 w2 c"]:
        """The network itself, on frames of a size that suits it."""
        raise NotImplementedError

    def check_qp(self, qp: Int[Array | np.ndarray, " b"] | int | None) -> None:
        """Refuses a QP that the network cannot be told; the default takes any.

        Compiled functions cannot say it, so whoever feeds a network asks before.

        Args:
          qp: quantisation parameters, or None where none is known.

        Raises:
          UserError: in a network conditioned on the QP, one that it was not trained for.
        """

    def advance(
        self, state: Any, window: Float[Array, "b n h w c"], *, qp: Int[Array, " b"] | None
    ) -> tuple[Any, Float[Array, "b h w c"]]:
        """One frame of a stream, on frames of a size that suits the network."""
        raise NotImplementedError

    def forward_inner(
        self,
        clip: Float[Array, "b t h w c"],
        *,
        qp: Int[Array, " b"] | None,
        train: bool = False,
    ) -> Float[Array, "b n h w c"]:
        """The frames ``past .. t - future - 1`` of a window network; override it to save work."""
        last = clip.shape[1] - self.context.future
        return self.forward(clip, qp=qp, train=train)[:, self.context.past : last]

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """The passes of a bidirectional network over a clip, in order; the last is "forward"."""
        raise NotImplementedError

    def advance_sweep(
        self,
        index: int,
        state: Any,
        window: Float[Array, "b n h w c"],
        kept: tuple[Any, ...],
        *,
        qp: Int[Array, " b"] | None,
    ) -> tuple[Any, Any]:
        """One frame of one pass, on frames of a size that suits the network."""
        raise NotImplementedError

    def __call__(
        self,
        clip: Float[Array, "b t h w c"],
        *,
        qp: Int[Array, " b"] | None = None,
        train: bool = False,
    ) -> Float[Array, "b t h2 w2 c"]:
        """Enhances a whole clip.

        Args:
          clip: compressed frames in [0, 1]; any height and width.
          qp: quantisation parameter of each clip, for networks conditioned on it.
          train: True while training (batch statistics, dropout).

        Returns:
          Frames of the same number, ``context.scale`` times their size; not clipped.
        """
        h, w = clip.shape[-3:-1]
        padded = pad_to_multiple(clip, self.context.multiple, self.context.min_side)
        scale = self.context.scale
        return crop_to_size(self.forward(padded, qp=qp, train=train), h * scale, w * scale)

    def step(
        self,
        state: Any,
        window: Float[Array, "b n h w c"],
        *,
        qp: Int[Array, " b"] | None = None,
    ) -> tuple[Any, Float[Array, "b h w c"]]:
        """Enhances the next frame of a stream; only where ``context.recurrence`` is "forward".

        Args:
          state: what the previous step returned, or None to start a sequence.
          window: ``past + 1 + future`` frames around the current one; frames that do not exist
            are replaced by the nearest one that does.
          qp: quantisation parameter of each clip.

        Returns:
          The state for the next step, and the current frame enhanced.
        """
        h, w = window.shape[-3:-1]
        padded = pad_to_multiple(window, self.context.multiple, self.context.min_side)
        state, frame = self.advance(state, padded, qp=qp)
        return state, crop_to_size(frame, h, w)

    def inner(
        self,
        clip: Float[Array, "b t h w c"],
        *,
        qp: Int[Array, " b"] | None = None,
        train: bool = False,
    ) -> Float[Array, "b n h w c"]:
        """Enhances the frames of a clip whose neighbours are all in it; for window networks.

        Args:
          clip: compressed frames; the first ``past`` and the last ``future`` are neighbours only.
          qp: quantisation parameter of each clip.
          train: True while training.

        Returns:
          The ``t - past - future`` frames between them.
        """
        h, w = clip.shape[-3:-1]
        padded = pad_to_multiple(clip, self.context.multiple, self.context.min_side)
        return crop_to_size(self.forward_inner(padded, qp=qp, train=train), h, w)

    def sweep(
        self,
        index: int,
        state: Any,
        window: Float[Array, "b n h w c"],
        kept: tuple[Any, ...] = (),
        *,
        qp: Int[Array, " b"] | None = None,
    ) -> tuple[Any, Any]:
        """One frame of one pass of a bidirectional network (``context.recurrence`` is "both").

        A long clip is enhanced exactly by making the passes of ``sweeps`` one after the other and
        keeping on disk what each but the last returns.

        Args:
          index: which pass.
          state: what this pass returned at the frame visited before, or None at its first frame
            (the clip's last frame in a "backward" pass).
          window: ``past + 1 + future`` frames in the order of time, ends clamped.
          kept: what the earlier passes returned at this frame, in their order.
          qp: quantisation parameter of each clip.

        Returns:
          The state for the frame visited next, and what later passes need at this frame (a tree
          of arrays ``[b, ...]`` of the same shapes at every frame); from the last pass, the
          current frame enhanced.
        """
        h, w = window.shape[-3:-1]
        padded = pad_to_multiple(window, self.context.multiple, self.context.min_side)
        state, result = self.advance_sweep(index, state, padded, kept, qp=qp)
        if index < len(self.sweeps) - 1:
            return state, result
        return state, crop_to_size(result, h * self.context.scale, w * self.context.scale)
