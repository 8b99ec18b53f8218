"""Networks made of networks: one after the other, or side by side.

Both take any networks that agree on how they see time, and have their states and their sweeps, so
that a long clip streams through the whole as it does through each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models.contract import Context, Network, Outputs
from vqe_jax.models.side import Side
from vqe_jax.nn.recurrence import steps_at_once

__all__ = ["Cascade", "Fusion", "Parallel"]

Frame = Float[Array, "b h w c"]
Clip = Float[Array, "b t h w c"]


def _same(x: Any) -> Any:
    return x


def _picture(result: Any) -> Any:
    return result["picture"] if isinstance(result, dict) else result


def _merged(parts: list[Network], **changes: Any) -> Context:
    """What several networks ask for together; refuses those that see time differently."""
    contexts = [part.context for part in parts]
    kinds = {c.recurrence for c in contexts}
    if len(kinds) > 1:
        raise UserError(
            f"networks with the recurrences {', '.join(sorted(kinds))} cannot be joined; all of "
            "them must have the same"
        )
    return Context(
        recurrence=contexts[0].recurrence,
        multiple=math.lcm(*(c.multiple for c in contexts)),
        min_side=max(c.min_side for c in contexts),
        side=frozenset().union(*(c.side for c in contexts)),
        **changes,
    )


class Cascade(Network, kw_only=True):
    """A second network that takes the first one's pictures; ``"stage1"`` are those.

    Of window networks one at most may look at neighbors, and it comes second: the neighbors of the
    clip's first frame are made by the first network, which then must not need any itself.
    """

    first: Network
    second: Network
    between: Callable[[Any], Any] = _same  # what happens to the first's pictures on the way

    @property
    def context(self) -> Context:
        """Both together."""
        one, two = self.first.context, self.second.context
        if one.recurrence == "none" and one.past + one.future:
            raise UserError(
                "a cascade's first network is a window network that looks at neighbors; it has no "
                "pictures of frames beyond the clip's ends to hand on"
            )
        if two.recurrence != "none" and two.past + two.future:
            raise UserError("a cascade's second network looks at neighbors beside its recurrence")
        fields = (one.receptive_field, two.receptive_field)
        return _merged(
            [self.first, self.second],
            past=max(one.past, two.past),
            future=max(one.future, two.future),
            receptive_field=None if None in fields else sum(fields),
            scale=one.scale * two.scale,
            outputs=("stage1", *two.outputs),
        )

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Outputs:
        """Both on a whole clip."""
        one = _picture(self.first.forward(clip, side=side, train=train))
        two = self.second.forward(self.between(one), side=side, train=train)
        return {**(two if isinstance(two, dict) else {"picture": two}), "stage1": one}

    def advance(self, state: Any, window: Clip, *, side: Side) -> tuple[Any, Frame]:
        """A frame through both."""
        one, two = (None, None) if state is None else state
        one, frame = self.first.advance(one, window, side=side)
        two, frame = self.second.advance(two, self.between(frame)[:, None], side=side)
        return (one, two), frame

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """The first network's, then the second's."""
        return (*self.first.sweeps, *self.second.sweeps)

    def advance_sweep(
        self, index: int, state: Any, window: Clip, kept: tuple[Any, ...], *, side: Side
    ) -> tuple[Any, Any]:
        """A frame of a sweep; the second network reads the pictures that the first has kept."""
        count = len(self.first.sweeps)
        if index >= count:
            given = kept[count - 1][:, None]
            return self.second.advance_sweep(index - count, state, given, kept[count:], side=side)
        state, result = self.first.advance_sweep(index, state, window, kept, side=side)
        return state, self.between(result) if index == count - 1 else result


class Fusion:
    """How the results of parallel networks become one picture.

    It may look at a summary (a small tree of arrays) of the frame before and of the one after.
    """

    def summarize(self, frame: Frame) -> Any:
        """What the neighbors of a frame need to know of it."""
        return ()

    def join(
        self, results: Mapping[str, Frame], frame: Frame, around: tuple[Any, Any, Any]
    ) -> Outputs:
        """Named results of one frame, of which ``"picture"`` is one.

        Args:
          around: summaries of the frame before, of this one and of the one after; at the clip's
            ends, this one's stand in for those of frames that do not exist.
        """
        raise NotImplementedError


class Parallel(Network, kw_only=True):
    """Several networks on the same frames, and the fusion of their results."""

    branches: Mapping[str, Network]
    fusion: Fusion
    joined: tuple[str, ...] = ()  # names of the fusion's results beside the picture

    @property
    def context(self) -> Context:
        """All together."""
        contexts = [branch.context for branch in self.branches.values()]
        fields = [c.receptive_field for c in contexts if c.receptive_field is not None]
        return _merged(
            list(self.branches.values()),
            past=max(c.past for c in contexts),
            future=max(c.future for c in contexts),
            receptive_field=max(fields) if len(fields) == len(contexts) else None,
            scale=contexts[0].scale,
            outputs=(*self.branches, *self.joined),
        )

    @property
    def sweeps(self) -> tuple[Literal["backward", "forward"], ...]:
        """Those of each network, made together."""
        return next(iter(self.branches.values())).sweeps

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Outputs:
        """Every network on the whole clip, then the fusion frame by frame."""
        results = {
            name: _picture(branch.forward(clip, side=side, train=train))
            for name, branch in self.branches.items()
        }

        def fuse(x: Any) -> Any:
            parts, frame, before, after = x
            own = self.fusion.summarize
            return self.fusion.join(parts, frame, (own(before), own(frame), own(after)))

        before = jnp.concatenate([clip[:, :1], clip[:, :-1]], axis=1)
        after = jnp.concatenate([clip[:, 1:], clip[:, -1:]], axis=1)
        in_time = _swap_time((results, clip, before, after))
        unroll = steps_at_once(clip.shape[1])
        _, joined = lax.scan(lambda _, x: ((), fuse(x)), (), in_time, unroll=unroll)
        return {**results, **_swap_time(joined)}

    def advance_sweep(
        self, index: int, state: Any, window: Clip, kept: tuple[Any, ...], *, side: Side
    ) -> tuple[Any, Any]:
        """A frame of a sweep of all networks; the first sweep keeps the later frame's summary."""
        frame = window[:, self.context.past]
        own = self.fusion.summarize(frame)
        states, neighbor = ({}, own) if state is None else state
        after, results = {}, {}
        for name, branch in self.branches.items():
            past = tuple(k["branches"][name] for k in kept)
            after[name], results[name] = branch.advance_sweep(
                index, states.get(name), window, past, side=side
            )
        if index < len(self.sweeps) - 1:
            return (after, own), {"branches": results, "neighbor": neighbor}
        around = (neighbor, own, kept[0]["neighbor"])
        return (after, own), self.fusion.join(results, frame, around)["picture"]


def _swap_time(tree: Any) -> Any:
    """``[b, t, ...]`` to ``[t, b, ...]`` and back."""
    return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), tree)
