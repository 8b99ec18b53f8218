"""What is watched in the metrics of any network: signs that its training is about to fail."""

from __future__ import annotations

__all__ = ["OffsetWatch"]

# Pixels. Users of EDVR report that training collapses, with colored artifacts, once offsets are
# beyond: nothing inside a crop is sampled any more, so no gradient brings them back.
_FAR = 100.0


class OffsetWatch:
    """Says that deformable offsets run away: when they do, and each time they have doubled.

    Networks with deformable alignment sow ``offset_max`` and ``offset_mean``, in pixels.

    Example:
      >>> watch = OffsetWatch()
      >>> [bool(watch({"offset_max": x})) for x in (12.0, 101.0, 150.0, 210.0)]
      [False, True, False, True]
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._limit = _FAR

    def __call__(self, metrics: dict[str, float]) -> str | None:
        """A line to say about the metrics of a step, or None."""
        reach = metrics.get("offset_max", 0.0)
        if not reach > self._limit:
            return None
        self._limit = 2 * reach
        mean = f" (mean {metrics['offset_mean']:.3g} px)" if "offset_mean" in metrics else ""
        return (
            f"offsets reach {reach:.0f} px{mean}; beyond {_FAR:.0f} px deformable alignment is "
            "known to collapse: lower the learning rate, set optimizer.clip_norm, add the losses "
            "offset_tv and offset_deviation, or go back to an earlier checkpoint"
        )
