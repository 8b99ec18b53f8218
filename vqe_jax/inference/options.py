"""How a stream is worked through, and how a function takes the options of others by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from vqe_jax.errors import UserError, check_known, check_names
from vqe_jax.inference.guard import Guard
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.inference.tiles import Tiling

__all__ = ["StreamOptions", "sorted_out"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How :func:`vqe_jax.inference.enhance_frames` works, which takes each field by its name.

    Attributes:
      chunk: frames computed at once by a window network (None: by their size), or the length of
        a piece in "fast" mode (None: 30). It changes speed and memory; the result only in
        "fast" mode.
      guard: the watch over a recurrent network's state, and over results that are not finite;
        None trusts the network.
      scene_cut: starts afresh where it finds a cut: no state and no neighbor crosses it.
      tiling: works on spatial tiles, for frames too large for the device's memory.
      long_range: how a bidirectional network sees a long clip: "exact" keeps its first passes
        on disk and equals the whole clip; "fast" blends pieces that share ``overlap`` frames.
      overlap: see ``long_range``.
      devices: how many local devices share the work (None: all accelerators, or the one CPU):
        pieces, tiles, or the rows of a recurrent network's frame. A bidirectional network's
        "exact" passes run on one.
    """

    chunk: int | None = None
    guard: Guard | None = Guard()
    scene_cut: SceneCut | None = None
    tiling: Tiling | None = None
    long_range: str = "exact"
    overlap: int = 10
    devices: int | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        check_known("long_range=", self.long_range, ("exact", "fast"))
        if self.chunk is not None and self.chunk < 1:
            raise UserError(f"chunk={self.chunk} must be at least 1 frame")


def sorted_out(what: str, options: Mapping[str, Any], *kinds: Any) -> list[Any]:
    """One instance of each dataclass, of those options that are its fields.

    Args:
      what: takes the options, for the message.

    Raises:
      UserError: an option that none of them has; names the near misses.

    Example:
      >>> sorted_out("enhance_frames", {"overlap": 2}, StreamOptions)[0].overlap
      2
    """
    known = {field.name: kind for kind in kinds for field in dataclasses.fields(kind)}
    check_names(what, "option", options, known)
    return [kind(**{n: v for n, v in options.items() if known[n] is kind}) for kind in kinds]
