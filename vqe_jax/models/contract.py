"""What every network promises, and the one place where frames are padded to suit it."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
import typing
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError, check_known
from vqe_jax.models.references import Selection
from vqe_jax.models.side import MISSING_HINTS, Side
from vqe_jax.nn.qp_conditioning import check_qp
from vqe_jax.ops.pad import crop_to_size, pad_to_multiple, padded_size

__all__ = ["Context", "Network", "Outputs"]

# A network's picture, or named results of which "picture" is one.
Outputs = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Context:
    """What the result of one frame depends on, and all else that is asked from outside.

    Streaming, tiling, self-ensemble, training and evaluation are written against this alone.

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
      outputs: names of what it can return beside the picture.
      state_scale: how many times smaller than the frame the state's maps are, where the state is
        made of maps ``[b, h / s, w / s, c]`` alone: one number, or a tree of numbers (a prefix of
        the state's); None where it is not made of maps.
      side: the fields of :class:`Side` without which it cannot work.
      optional: those that it reads where they are known; -1 is a frame QP that is not, 0 a codec.
      references: which frames a window holds, where these are not ``t - past .. t + future``;
        ``past`` and ``future`` follow from it.
    """

    past: int = 0
    future: int = 0
    recurrence: Literal["none", "forward", "both"] = "none"
    multiple: int = 1
    min_side: int = 1
    receptive_field: int | None = None
    scale: int = 1
    outputs: tuple[str, ...] = ()
    state_scale: Any = None
    side: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    references: Selection | None = None

    def __post_init__(self) -> None:
        """Takes the reach from the references where there are any."""
        if self.references is not None:
            object.__setattr__(self, "past", self.references.lookback)
            object.__setattr__(self, "future", self.references.lookahead)

    @property
    def needs(self) -> frozenset[str]:
        """Side information that the network or its selection of frames reads."""
        return self.side | (self.references.side if self.references else frozenset())


@functools.cache
def _choices(cls: Any) -> dict[str, tuple[Any, ...]]:
    """The allowed values of each field that is a Literal, or a Literal or None."""
    found = {}
    for name, hint in typing.get_type_hints(cls).items():
        parts = typing.get_args(hint) if typing.get_origin(hint) is not Literal else (hint,)
        literals = [p for p in parts if typing.get_origin(p) is Literal]
        if literals and name in cls.__dataclass_fields__:
            values = [v for p in literals for v in typing.get_args(p)]
            found[name] = (*values, *(None for p in parts if p is type(None)))
    return found


def check_choices(instance: Any) -> None:
    """Refuses a field that is not one of the values of its Literal.

    Raises:
      UserError: names the class, the field, its value and the near misses.
    """
    cls: Any = type(instance)
    for name, known in _choices(cls).items():
        check_known(f"{cls.__name__}: {name}=", getattr(instance, name), known)


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is of the kind that a field's annotation asks for: ``True`` is no number.

    Numbers, words, tuples of them and ``None`` are told apart; whatever else fits.
    """
    kinds: dict[Any, Any] = {int: numbers.Integral, float: numbers.Real, bool: bool, str: str}
    if hint in kinds:
        return isinstance(value, kinds[hint]) and isinstance(value, bool) == (hint is bool)
    if hint is type(None):
        return value is None
    parts = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(fits(part, value) for part in parts)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        each = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
        return len(each) == len(value) and all(map(fits, each, value))
    return True


class Network(nn.Module):
    """Base of all networks: checks what it is told, pads the frames, crops the result.

    A subclass has fields, a ``context`` property and ``forward(clip, side=, train=)``. A field that
    is a ``Literal`` is checked here, and one named ``conditioning`` (a
    :class:`~vqe_jax.nn.qp_conditioning.Conditioning`) makes the QP a thing to be told. A network
    whose ``context.recurrence`` is ``"forward"`` needs ``advance(state, window, side=)``;
    ``"both"`` needs ``sweeps`` and ``advance_sweep(index, state, window, kept, side=)``. Networks
    of windows and of single frames are shorter as :class:`~vqe_jax.models.families.WindowNetwork`.
    All methods of a subclass receive frames whose sides are multiples of ``context.multiple`` and
    at least ``context.min_side``.
    """

    channels: int = 1  # of the frames: 1 luma, 3 RGB

    def __post_init__(self) -> None:
        check_choices(self)
        super().__post_init__()

    @property
    def color(self) -> Literal["luma", "rgb"]:
        """What the channels are."""
        return "luma" if self.channels == 1 else "rgb"

    @property
    def context(self) -> Context:
        """What a frame's result depends on."""
        raise NotImplementedError

    # What a subclass provides.

    def forward(
        self, clip: Float[Array, "b t h w c"], *, side: Side, train: bool
    ) -> Float[Array, "b t h2 w2 c"] | Outputs:
        """The network itself, on frames of a size that suits it."""
        raise NotImplementedError

    def forward_inner(
        self, clip: Float[Array, "b t h w c"], *, side: Side, train: bool = False
    ) -> Float[Array, "b n h2 w2 c"] | Outputs:
        """The frames ``past .. t - future - 1`` of a window network; override it to save work."""
        inner = slice(self.context.past, clip.shape[1] - self.context.future)
        return jax.tree.map(lambda x: x[:, inner], self.forward(clip, side=side, train=train))

    def advance(
        self, state: Any, window: Float[Array, "b n h w c"], *, side: Side
    ) -> tuple[Any, Float[Array, "b h2 w2 c"]]:
        """One frame of a stream, on frames of a size that suits the network."""
        raise NotImplementedError

    def fed_back(self, state: Any) -> Any:
        """The part of a stream's state that feeds back on itself, which the guard watches."""
        return state

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
        side: Side,
    ) -> tuple[Any, Any]:
        """One frame of one pass, on frames of a size that suits the network."""
        raise NotImplementedError

    # What everybody calls.

    def check_qp(self, qp: Int[Array | np.ndarray, " b"] | int | None) -> None:
        """Refuses a QP that the network cannot be told; without conditioning it takes any.

        Compiled functions cannot say it, so whoever feeds a network asks before.

        Args:
          qp: quantization parameters, or None where none is known.

        Raises:
          UserError: in a network conditioned on the QP, one that it was not trained for.
        """
        if (conditioning := getattr(self, "conditioning", None)) is not None:
            check_qp(qp, qps=conditioning.qps, interpolate=conditioning.interpolate)

    def check_side(self, side: Side) -> None:
        """Refuses to work without side information that the network needs.

        Raises:
          UserError: names what is missing and how to give it; a QP it was not trained for.
        """
        for name in sorted(self.context.needs - side.known()):
            raise UserError(
                f"{type(self).__name__} needs {name} beside the frames; {MISSING_HINTS[name]}"
            )
        self.check_qp(side.qp)

    def __call__(
        self,
        clip: Float[Array, "b t h w c"],
        *,
        side: Side | None = None,
        qp: Int[Array | np.ndarray, " b"] | None = None,
        train: bool = False,
        outputs: bool = False,
    ) -> Any:
        """Enhances a whole clip.

        Args:
          clip: compressed frames in [0, 1]; any height and width.
          qp: short for ``side=Side(qp=qp)``.
          train: True while training (batch statistics, dropout).
          outputs: return all named results, of which ``"picture"`` is one.

        Returns:
          Frames of the same number, ``context.scale`` times their size; not clipped.

        Raises:
          UserError: side information is missing, or a QP it was not trained for.
        """
        side = self._told(side, qp)
        result = self.forward(self._padded(clip), side=side, train=train)
        return self._finished(result, clip, outputs)

    def inner(
        self,
        clip: Float[Array, "b t h w c"],
        *,
        side: Side | None = None,
        qp: Int[Array | np.ndarray, " b"] | None = None,
        train: bool = False,
        outputs: bool = False,
    ) -> Any:
        """Enhances the frames of a clip whose neighbors are all in it; for window networks.

        Args:
          clip: compressed frames; the first ``past`` and the last ``future`` are neighbors only.
          qp: short for ``side=Side(qp=qp)``.

        Returns:
          The ``t - past - future`` frames between them.

        Raises:
          UserError: a clip shorter than the window.
        """
        needed = self.context.past + 1 + self.context.future
        if clip.shape[1] < needed:
            raise UserError(
                f"a clip of {clip.shape[1]} frames is shorter than the window of "
                f"{type(self).__name__}; at least {needed} frames are needed"
            )
        side = self._told(side, qp)
        result = self.forward_inner(self._padded(clip), side=side, train=train)
        return self._finished(result, clip, outputs)

    def step(
        self,
        state: Any,
        window: Float[Array, "b n h w c"],
        *,
        side: Side | None = None,
        qp: Int[Array | np.ndarray, " b"] | None = None,
    ) -> tuple[Any, Float[Array, "b h2 w2 c"]]:
        """Enhances the next frame of a stream; only where ``context.recurrence`` is "forward".

        Args:
          state: what the previous step returned, or None to start a sequence.
          window: ``past + 1 + future`` frames around the current one; frames that do not exist
            are replaced by the nearest one that does.
          qp: short for ``side=Side(qp=qp)``.

        Returns:
          The state for the next step, and the current frame enhanced.
        """
        side = self._told(side, qp)
        state, frame = self.advance(state, self._padded(window), side=side)
        return state, self._finished(frame, window, False)

    def sweep(
        self,
        index: int,
        state: Any,
        window: Float[Array, "b n h w c"],
        kept: tuple[Any, ...] = (),
        *,
        side: Side | None = None,
        qp: Int[Array | np.ndarray, " b"] | None = None,
    ) -> tuple[Any, Any]:
        """One frame of one pass of a bidirectional network (``context.recurrence`` is "both").

        A long clip is enhanced exactly by making the passes of ``sweeps`` one after the other and
        keeping on disk what each but the last returns.

        Args:
          state: what this pass returned at the frame visited before, or None at its first frame
            (the clip's last frame in a "backward" pass).
          window: ``past + 1 + future`` frames in the order of time, ends clamped.
          kept: what the earlier passes returned at this frame, in their order.
          qp: short for ``side=Side(qp=qp)``.

        Returns:
          The state for the frame visited next, and what later passes need at this frame (a tree
          of arrays ``[b, ...]`` of the same shapes at every frame); from the last pass, the
          current frame enhanced.
        """
        side = self._told(side, qp)
        state, result = self.advance_sweep(index, state, self._padded(window), kept, side=side)
        if index < len(self.sweeps) - 1:
            return state, result
        return state, self._finished(result, window, False)

    # Sizes.

    def _told(self, side: Side | None, qp: Any) -> Side:
        side = side or Side()
        side = side if qp is None else side.replace(qp=qp)  # type: ignore[attr-defined]
        self.check_side(side)
        return side

    def _padded(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 c"]:
        return pad_to_multiple(frames, self.context.multiple, self.context.min_side)

    def _finished(self, result: Any, frames: Float[Array, "*lead h w c"], outputs: bool) -> Any:
        """The result cropped to the size of the frames, the picture alone if that is asked for.

        Named results of another size than the picture's (offsets at a coarse scale) stay as the
        network made them.
        """
        context = self.context
        height, width = frames.shape[-3:-1]
        scale = context.scale
        whole = tuple(
            padded_size(n, context.multiple, context.min_side) * scale for n in (height, width)
        )

        def crop(x: Any) -> Any:
            if x.ndim < 3 or x.shape[-3:-1] != whole:
                return x
            return crop_to_size(x, height * scale, width * scale)

        if not isinstance(result, dict):
            picture = crop(result)
            return {"picture": picture} if outputs else picture
        return jax.tree.map(crop, result) if outputs else crop(result["picture"])
