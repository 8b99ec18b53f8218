"""Which frames a network looks at beside the current one.

A window is not always ``t - r .. t + r``: some networks look at the nearest frames of peak
quality. A selection says which, from side information alone and
within a bound on how far it looks, so that the same object picks the frames when a network is
trained, when a file is streamed (a ring of ``lookback + 1 + lookahead`` frames is all that is kept)
and when a clip is evaluated.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from vqe_jax.errors import UserError
from vqe_jax.models.side import Side

__all__ = [
    "CandidateChain",
    "Distance",
    "NearestMultiples",
    "NearestPeaks",
    "Selection",
    "filled_peaks",
]

_FAR = 1 << 30
_LARGE = np.float32(1e4)  # above any QP


@dataclasses.dataclass(frozen=True)
class Selection:
    """The rule by which the frames of a window are chosen.

    The indices of frame ``t`` depend on side information of ``t - lookback .. t + lookahead``
    alone. A frame that does not exist is never chosen: the ends are handled by the rule.

    Attributes:
      lookback: how many frames before the current one it may choose from.
    """

    lookback: int
    lookahead: int

    @property
    def count(self) -> int:
        """Frames in a window, the current one included."""
        raise NotImplementedError

    @property
    def current(self) -> int:
        """Position of the current frame in its window."""
        raise NotImplementedError

    @property
    def side(self) -> frozenset[str]:
        """Fields of :class:`Side` that the rule reads."""
        return frozenset()

    def prepare(self, side: Side) -> Side:
        """Side information of a whole clip as the rule wants it, on the host, once a clip."""
        return side

    def starting_at(self, frame: int) -> Selection:
        """The same rule where the first frame is frame ``frame`` of a longer stream."""
        return self

    def indices(self, side: Side, length: int) -> Int[Array | np.ndarray, "*b t k"]:
        """The frames of the window of every frame of a clip, in the order of the network's input.

        Works on NumPy and on JAX arrays (also inside compiled functions).

        Returns:
          One row of frame numbers a frame; without the batch axis where all clips have the same.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Distance(Selection):
    """The frames around the current one; those that do not exist are the nearest that does.

    Example:
      >>> Distance(1, 1).indices(Side(), 3).tolist()
      [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    """

    @property
    def count(self) -> int:
        """All frames in reach."""
        return self.lookback + 1 + self.lookahead

    @property
    def current(self) -> int:
        """After those before it."""
        return self.lookback

    def indices(self, side: Side, length: int) -> Int[np.ndarray, "t k"]:
        """Needs no side information."""
        around = np.arange(length)[:, None] + np.arange(-self.lookback, self.lookahead + 1)
        return np.clip(around, 0, length - 1)


@dataclasses.dataclass(frozen=True)
class NearestMultiples(Selection):
    """The frames before and after the current one whose number is a multiple of ``period``.

    In the low-delay configuration every fourth frame is of higher quality. The window is the nearer
    of the two, the current frame, the other; of two that are equally near the earlier comes first.
    Where there is none on a side, the current frame stands in for it.

    Attributes:
      period: frames from one to the next; not more than it may look back or ahead.
      first: number of the clip's first frame.

    Example:
      >>> NearestMultiples(4, 4).indices(Side(), 6).tolist()
      [[4, 0, 0], [0, 1, 4], [0, 2, 4], [4, 3, 0], [0, 4, 4], [4, 5, 5]]
    """

    period: int = 4
    first: int = 0

    @property
    def count(self) -> int:
        """One on each side, and the frame."""
        return 3

    @property
    def current(self) -> int:
        """Between the two."""
        return 1

    def starting_at(self, frame: int) -> NearestMultiples:
        """Counts from there."""
        return dataclasses.replace(self, first=frame)

    def indices(self, side: Side, length: int) -> Int[np.ndarray, "t k"]:
        """Needs no side information."""
        own = np.arange(length)
        number = own + self.first
        earlier = (number - 1) // self.period * self.period - self.first
        later = (number // self.period + 1) * self.period - self.first
        found = [np.where((x >= 0) & (x < length), x, own) for x in (earlier, later)]
        # One that does not exist is farther than any.
        far = [np.where(x == own, _FAR, np.abs(x - own)) for x in found]
        swap = far[1] < far[0]
        return np.stack(
            [np.where(swap, found[1], found[0]), own, np.where(swap, found[0], found[1])], axis=-1
        )


@dataclasses.dataclass(frozen=True)
class _BothSides(Selection):
    """As many frames before the current one as after it."""

    each_side: int = 1

    @property
    def count(self) -> int:
        """Both sides and the frame."""
        return 2 * self.each_side + 1

    @property
    def current(self) -> int:
        """In the middle."""
        return self.each_side


@dataclasses.dataclass(frozen=True)
class NearestPeaks(_BothSides):
    """The nearest peak-quality frames before and after the current one, which is in the middle.

    Where there is no peak in reach on a side, the current frame stands in for it, as the released
    codes do at the ends of a sequence.

    Attributes:
      each_side: how many peaks before and how many after.
      ends: whether the first and the last frame of a clip count as peaks.
      longest_gap: frames between neighboring peaks above which more are added
        (:func:`filled_peaks`); None for never.

    Example:
      >>> peaks = np.array([[True, False, False, True, False]])
      >>> NearestPeaks(8, 8).indices(Side(peak=peaks), 5)[0].tolist()
      [[0, 0, 3], [0, 1, 3], [0, 2, 3], [0, 3, 3], [3, 4, 4]]
    """

    ends: bool = False
    longest_gap: int | None = None

    @property
    def side(self) -> frozenset[str]:
        """The peaks."""
        return frozenset({"peak"})

    def prepare(self, side: Side) -> Side:
        """Forces the ends and fills the gaps; lower QPs count as higher quality."""
        peaks = np.array(side.peak)
        scores = None if side.frame_qp is None else -np.asarray(side.frame_qp)
        for row, peak in enumerate(peaks):
            if self.ends and len(peak):
                peak[[0, -1]] = True
            if self.longest_gap is not None:
                of_clip = None if scores is None else scores[row]
                peak[:] = filled_peaks(peak, scores=of_clip, longest_gap=self.longest_gap)
        return side.replace(peak=peaks)  # type: ignore[attr-defined]

    def indices(self, side: Side, length: int) -> Int[Array | np.ndarray, "b t k"]:
        """In the order of time: earlier peaks, the frame, later peaks."""
        assert side.peak is not None
        peak = side.peak
        xp: Any = np if isinstance(peak, np.ndarray) else jnp
        now = xp.arange(length)[:, None]
        other = xp.arange(length)[None, :]
        before = (other < now) & (now - other <= self.lookback)
        after = (other > now) & (other - now <= self.lookahead)
        own = xp.broadcast_to(now[None, :, 0], (peak.shape[0], length))
        earlier = _nearest(xp, peak[:, None] & before[None], other, own, self.each_side, -1)
        later = _nearest(xp, peak[:, None] & after[None], other, own, self.each_side, 1)
        return xp.stack([*reversed(earlier), own, *later], axis=-1)


def filled_peaks(
    peaks: Sequence[bool] | np.ndarray,
    *,
    scores: Sequence[float] | np.ndarray | None = None,
    longest_gap: int = 3,
) -> list[bool]:
    """Peaks with their gaps filled, as PEN takes them; the first and the last frame are peaks too.

    Between two peaks that are further apart than
    ``longest_gap`` frames, one is added two frames from the end of the lower score (from the
    earlier peak where there are no scores), again and again.

    Args:
      longest_gap: how far apart neighboring peaks may be, in frames; at least 3.

    Example:
      >>> [t for t, p in enumerate(filled_peaks([True] + [False] * 9)) if p]
      [0, 2, 4, 6, 9]
    """
    if not len(peaks):
        return []
    found = {0, len(peaks) - 1} | {t for t, peak in enumerate(peaks) if peak}
    pending = deque(itertools.pairwise(sorted(found)))
    while pending:
        left, right = pending.popleft()
        if right - left <= max(longest_gap, 3):
            continue
        from_left = scores is None or scores[left] <= scores[right]
        new = left + 2 if from_left else right - 2
        found.add(new)
        pending += [(left, new), (new, right)]
    return [t in found for t in range(len(peaks))]


def _nearest(xp: Any, found: Any, other: Any, own: Any, count: int, direction: int) -> list[Any]:
    """The nearest ``count`` marked frames in a direction, nearest first; ``own`` where none is."""
    picks = []
    last = own
    for _ in range(count):
        place = xp.where(found, direction * other[None], _FAR)
        best = direction * place.min(axis=-1)
        exists = found.any(axis=-1)
        last = xp.where(exists, best, last)
        picks.append(last)
        found = found & (other[None] != best[..., None])
    return picks


@dataclasses.dataclass(frozen=True)
class CandidateChain(_BothSides):
    """The neighbor on each side, then candidate after candidate away from it, in the order of time.

    Where no candidate is left, the frame chosen last is taken again; where there is no neighbor at
    all (at the clip's ends) the current frame stands in. Candidates are looked for at less than
    ``lookback`` and ``lookahead`` frames, since a frame needs its neighbors' QPs to be one.

    Attributes:
      each_side: frames before and after the current one, the neighbors included.
      candidates: "qp": frames whose QP is lower than that of both neighbors (at a clip's end, of
        the one there is); "type": I and P frames; "peak": the peaks of :class:`Side`.

    Example:
      >>> qp = np.array([[30, 37, 33, 37, 30, 37]])
      >>> CandidateChain(8, 8, each_side=2).indices(Side(frame_qp=qp), 6)[0, 3].tolist()
      [0, 2, 3, 4, 4]
    """

    each_side: int = 4
    candidates: Literal["qp", "type", "peak"] = "qp"

    def __post_init__(self) -> None:
        reach = min(self.lookback, self.lookahead)
        if reach <= self.each_side:
            raise UserError(
                f"a reach of {reach} frames holds no each_side={self.each_side} references; "
                f"expected at least {self.each_side + 1}"
            )

    @property
    def side(self) -> frozenset[str]:
        """What candidates are recognized by."""
        return frozenset({{"qp": "frame_qp", "type": "frame_type"}.get(self.candidates, "peak")})

    def indices(self, side: Side, length: int) -> Int[Array | np.ndarray, "b t k"]:
        """Earlier frames, the frame, later frames."""
        found = self._found(side)
        xp: Any = np if isinstance(found, np.ndarray) else jnp
        now, other = xp.arange(length)[:, None], xp.arange(length)[None, :]
        own = xp.broadcast_to(now[None, :, 0], (found.shape[0], length))
        sides = []
        for direction, reach in ((-1, self.lookback), (1, self.lookahead)):
            distance = direction * (other - now)
            neighbor = xp.clip(own + direction, 0, length - 1)
            further = found[:, None] & ((distance > 1) & (distance < reach))[None]
            chain = _nearest(xp, further, other, neighbor, self.each_side - 1, direction)
            sides.append([neighbor, *chain])
        return xp.stack([*reversed(sides[0]), own, *sides[1]], axis=-1)

    def _found(self, side: Side) -> Any:
        """Whether each frame is a candidate, ``[b, t]``."""
        if self.candidates == "peak":
            return side.peak
        if self.candidates == "type":
            return (side.frame_type >= 0) & (side.frame_type <= 1)
        qp: Any = side.frame_qp
        xp: Any = np if isinstance(qp, np.ndarray) else jnp
        ends = xp.full((qp.shape[0], 1), _LARGE, xp.float32)
        around = xp.concatenate([ends, qp.astype(xp.float32), ends], axis=1)
        return (around[:, 1:-1] < around[:, :-2]) & (around[:, 1:-1] < around[:, 2:])
