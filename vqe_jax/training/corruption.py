"""What is done to the input while training: VIG's truth guidance (TGD), facts left untold.

A corruption takes a batch and returns one with another ``compressed`` clip and, where the loss is
meant for a part of the pixels only, a ``weight``. Random choices come from the key alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax.errors import UserError
from vqe_jax.registry import Registry, check_options

__all__ = [
    "CORRUPTIONS",
    "Batch",
    "Corruption",
    "build",
    "guidance_mask",
    "register",
    "truth_guidance",
    "untold",
]

Batch = dict[str, Any]


def guidance_mask(
    key: PRNGKeyArray,
    shape: tuple[int, int, int, int],
    *,
    patch: int = 32,
    ratio: float = 0.9,
    per_frame: bool = True,
) -> Float[Array, "b t h w 1"]:
    """The mask M of truth guidance: 1 where the raw picture is shown, 0 where the compressed is.

    A grid of ``patch`` x ``patch`` squares covers the frame; a random ``ratio`` of them is 1. The
    number of zeros is the same in every frame, rounded, and never less than one.

    Args:
      shape: ``(b, t, h, w)``.
      patch: side of a square in pixels (the paper: 32, 16, 8, 4).
      ratio: share of squares that show the raw picture, in [0, 1].
      per_frame: choose anew in every frame; False shares one choice over the clip.
    """
    b, t, h, w = shape
    rows, columns = -(-h // patch), -(-w // patch)
    compressed = max(1, round((1 - ratio) * rows * columns))
    frames = t if per_frame else 1
    order = jax.random.uniform(key, (b, frames, rows * columns))
    # The squares of the smallest random numbers stay compressed.
    chosen = jax.lax.top_k(-order, compressed)[1]
    shown = 1 - jax.nn.one_hot(chosen, rows * columns).sum(axis=2)
    grid = jnp.broadcast_to(shown, (b, t, rows * columns)).reshape(b, t, rows, columns)
    mask = jnp.repeat(jnp.repeat(grid, patch, axis=2), patch, axis=3)
    return mask[:, :, :h, :w, None]


def truth_guidance(
    key: PRNGKeyArray,
    batch: Batch,
    *,
    patch: int = 32,
    ratio: float = 0.9,
    per_frame: bool = True,
) -> Batch:
    """Truth guidance (VIG, section on TGD): ``X = M * raw + (1 - M) * compressed``.

    The loss is then on the compressed squares alone (``weight`` is 1 - M).

    Args:
      batch: ``compressed`` and ``raw`` clips ``[b, t, h, w, c]``.
      patch: as in :func:`guidance_mask`, like the two that follow.
    """
    raw, compressed = batch["raw"], batch["compressed"]
    mask = guidance_mask(key, raw.shape[:4], patch=patch, ratio=ratio, per_frame=per_frame)
    mixed = mask * raw + (1 - mask) * compressed
    return batch | {"compressed": mixed, "weight": 1 - mask}


def untold(key: PRNGKeyArray, batch: Batch, *, ratio: float = 0.3) -> Batch:
    """Hides what the stream says of some clips, so that a network learns to work blind too.

    Args:
      batch: with ``frame_qp`` and ``codec``, ``[b, t]``.
      ratio: share of the clips of which neither is told.
    """
    hidden = jax.random.uniform(key, (batch["raw"].shape[0], 1)) < ratio
    frame_qp = jnp.where(hidden, -1, batch["frame_qp"])
    return batch | {"frame_qp": frame_qp, "codec": jnp.where(hidden, 0, batch["codec"])}


def _check_guidance(options: Mapping[str, Any]) -> None:
    if not 0 <= options.get("ratio", 0.5) <= 1:
        raise UserError(f"corruption 'truth_guidance': ratio={options['ratio']} is not in [0, 1]")
    if options.get("patch", 1) < 1:
        raise UserError(
            f"corruption 'truth_guidance': patch={options['patch']} is not a size in pixels"
        )


@dataclasses.dataclass(frozen=True)
class Corruption:
    """What can be done to a batch, as its entry in :data:`CORRUPTIONS` says it.

    Attributes:
      function: ``(key, batch, **options) -> batch``; random choices come from the key alone.
      masks: it sets ``weight``: the losses are taken on a part of the pixels.
      check: raises a ``UserError`` for options that are out of range, before anything is compiled.
    """

    function: Callable[..., Batch]
    masks: bool = False
    check: Callable[[Mapping[str, Any]], None] = lambda _: None

    def __call__(self, key: PRNGKeyArray, batch: Batch) -> Batch:
        """The batch, corrupted."""
        return self.function(key, batch)


CORRUPTIONS: Registry[Any] = Registry(
    "corruption",
    {
        "truth_guidance": Corruption(truth_guidance, masks=True, check=_check_guidance),
        "untold": Corruption(untold),
    },
    check=callable,
    expected="a function (key, batch) -> batch, or a Corruption",
)

register = CORRUPTIONS.register


def build(section: Mapping[str, Any] | None) -> Corruption | None:
    """A corruption from its section of a stage: ``name`` and its options.

    Raises:
      UserError: an unknown name or option, or an option out of range.
    """
    if section is None:
        return None
    options = dict(section)
    name = options.pop("name", "")
    found = CORRUPTIONS.get(name)
    entry = found if isinstance(found, Corruption) else Corruption(found)
    check_options(f"corruption {name!r}", entry.function, options)
    entry.check(options)
    return dataclasses.replace(entry, function=functools.partial(entry.function, **options))
