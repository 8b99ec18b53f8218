"""Families of networks: what a paper writes is ``enhance``, the rest is written here once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models.contract import Context, Network, Outputs
from vqe_jax.models.references import Distance
from vqe_jax.models.side import Side, gather_frames

__all__ = ["FrameNetwork", "WindowNetwork", "check_reduction"]

Windows = Float[Array, "n k h w c"]


class WindowNetwork(Network):
    """Enhances each frame from a window of frames, without a state.

    A subclass has ``enhance``. All windows of a clip go through it in one batched call. Its context
    says which frames a window holds: by default ``radius`` on each side; a ``references`` entry
    selects others. A field named ``frames`` is the length of a window, an odd one. Windows of
    another length than the context says are refused before ``enhance`` sees them.
    """

    # Neighbors on each side; a subclass where it can be chosen declares it as a field.
    radius = 1

    def __init_subclass__(cls, **options: Any) -> None:
        for name in {"enhance", "fuse"} & set(vars(cls)):
            setattr(cls, name, _on_whole_windows(vars(cls)[name]))
        super().__init_subclass__(**options)

    def __post_init__(self) -> None:
        frames = getattr(self, "frames", 1)
        if frames < 1 or frames % 2 == 0:
            raise UserError(
                f"{type(self).__name__}: frames={frames} must be odd, the current frame and as "
                "many before it as after it"
            )
        _ = self.context  # which refuses what does not go together
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window by distance."""
        return Context(past=self.radius, future=self.radius)

    def enhance(
        self, windows: Windows, side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h2 w2 c"] | Outputs:
        """The paper's network.

        Args:
          windows: frames in [0, 1], in the order of time, of a size that suits the network.

        Returns:
          The current frame of each window enhanced, or named results with ``"picture"``.
        """
        return self.fuse(self.each_frame(windows), side, train=train)

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """What is made of a frame on its own, once a clip and not once a window.

        A network that begins so overrides this and ``fuse`` in place of ``enhance``.
        """
        return frames

    def fuse(
        self, made: Float[Array, "n k h2 w2 f"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h2 w2 c"] | Outputs:
        """The rest of such a network, on windows of what ``each_frame`` has made."""
        raise NotImplementedError

    def forward(
        self, clip: Float[Array, "b t h w c"], *, side: Side, train: bool
    ) -> Float[Array, "b t h2 w2 c"] | Outputs:
        """Every frame of a clip; neighbors that do not exist are the nearest that does."""
        context, length = self.context, clip.shape[1]
        selection = context.references or Distance(context.past, context.future)
        indices = selection.indices(side, length)
        made = self.each_frame(clip)
        if context.references is not None:
            windows = gather_frames(made, indices)
        else:
            ends = [(0, 0), (context.past, context.future), *[(0, 0)] * 3]
            windows = _neighbors(jnp.pad(made, ends, mode="edge"), length, selection.count)
        return self._enhance_all(windows, side.windows(indices), train, made is not clip)

    def forward_inner(
        self, clip: Float[Array, "b t h w c"], *, side: Side, train: bool = False
    ) -> Float[Array, "b n h2 w2 c"] | Outputs:
        """The frames whose windows by distance lie in the clip."""
        if self.context.references is not None:
            return super().forward_inner(clip, side=side, train=train)
        size = self.context.past + 1 + self.context.future
        count = clip.shape[1] - size + 1
        indices = np.arange(count)[:, None] + np.arange(size)
        made = self.each_frame(clip)
        windows = _neighbors(made, count, size)
        return self._enhance_all(windows, side.windows(indices), train, made is not clip)

    def on_windows(
        self,
        windows: Float[Array, "b n k h w c"],
        *,
        side: Side | None = None,
        train: bool = False,
        outputs: bool = False,
    ) -> Any:
        """Enhances frames from windows of the caller's choice, of any height and width.

        Args:
          windows: the frames of each window in the order of time.
          side: of the windows, ``[b * n]`` or ``[b * n, k]``.

        Returns:
          One frame a window, ``[b, n, h2, w2, c]``.
        """
        told = side or Side()
        self.check_qp(told.qp)
        result = self._enhance_all(self._padded(windows), told, train)
        return self._finished(result, windows, outputs)

    def _enhance_all(
        self, windows: Float[Array, "b n k h w f"], side: Side, train: bool, made: bool = False
    ) -> Float[Array, "b n h2 w2 c"] | Outputs:
        """All windows at once; ``made``: they are what ``each_frame`` gives."""
        lead = windows.shape[:2]
        enhance = self.fuse if made else self.enhance
        result = enhance(windows.reshape(-1, *windows.shape[2:]), side, train=train)
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), result)


def _on_single_frames(enhance: Callable[..., Any]) -> Callable[..., Any]:
    """``enhance`` for windows of one frame too."""

    @functools.wraps(enhance)
    def either(self: Any, frames: Array, *args: Any, **options: Any) -> Any:
        return enhance(self, frames[:, 0] if frames.ndim == 5 else frames, *args, **options)

    return either


def _on_whole_windows(enhance: Callable[..., Any]) -> Callable[..., Any]:
    """``enhance`` that refuses windows of another number of frames than the network's."""

    @functools.wraps(enhance)
    def checked(self: Any, windows: Array, *args: Any, **options: Any) -> Any:
        context = self.context
        count = (context.references or Distance(context.past, context.future)).count
        if windows.ndim == 5 and windows.shape[1] != count:
            raise UserError(
                f"{type(self).__name__} got windows of {windows.shape[1]} frames, expected "
                f"{count}; call it on whole clips to have their ends filled"
            )
        return enhance(self, windows, *args, **options)

    return checked


def check_reduction(network: Any, channels: int, of: str, field: str = "reduction") -> None:
    """Refuses a bottleneck without a channel.

    Args:
      channels: how many the field divides.
      of: what they are.

    Raises:
      UserError: more are to be put into one than there are.
    """
    reduction = getattr(network, field)
    if not 1 <= reduction <= channels:
        raise UserError(
            f"{type(network).__name__}: {field}={reduction} leaves no channel of {of}={channels}; "
            f"expected 1 to {channels}"
        )


def _neighbors(
    clip: Float[Array, "b t h w c"], count: int, size: int
) -> Float[Array, "b n k h w c"]:
    """The first ``count`` stretches of ``size`` frames."""
    return jnp.stack([clip[:, k : k + count] for k in range(size)], axis=2)


class FrameNetwork(WindowNetwork):
    """Enhances each frame on its own; a subclass writes ``enhance`` for ``[n, h, w, c]``.

    As a window network's, it may be called on windows, which hold one frame: ``[n, 1, h, w, c]``.
    """

    radius = 0

    def __init_subclass__(cls, **options: Any) -> None:
        if "enhance" in vars(cls):
            cls.enhance = _on_single_frames(cls.enhance)  # type: ignore[method-assign]
        super().__init_subclass__(**options)

    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h2 w2 c"] | Outputs:
        """The paper's network on single frames in [0, 1]."""
        raise NotImplementedError

    def _enhance_all(
        self, windows: Float[Array, "b n k h w c"], side: Side, train: bool, made: bool = False
    ) -> Float[Array, "b n h2 w2 c"] | Outputs:
        lead = windows.shape[:2]
        frames = windows.reshape(-1, *windows.shape[3:])
        result: Any = self.enhance(frames, side, train=train)
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), result)
