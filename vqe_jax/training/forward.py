"""How a step runs its network: what comes before it, which frames are compared, what comes back."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax.models import Network, Side
from vqe_jax.training.corruption import Batch, Corruption
from vqe_jax.training.state import TrainState
from vqe_jax.training.step import Metrics, Place

__all__ = [
    "Result",
    "apply_network",
    "method_of",
    "prepare",
    "scalar_metrics",
    "side_of",
    "whole_windows",
]

Outputs = dict[str, Any]

# Folded into a step's key for the augmentation, which leaves the step's other draws as they are.
_AUGMENTATION = 1_000_003


class Result(NamedTuple):
    """What a network has returned while training.

    Attributes:
      outputs: arrays or trees in float32, by name; "picture" is always among them.
    """

    outputs: Outputs
    stats: dict[str, Any]
    sown: Metrics


def prepare(
    state: TrainState, batch: Batch, place: Place, corrupt: Corruption | None, keys: int
) -> tuple[Batch, tuple[PRNGKeyArray, ...]]:
    """Begins a step: draws its keys from (seed, step) alone, augments and corrupts its batch.

    Args:
      corrupt: of the stage, or None.

    Returns:
      The batch, and the keys but the first, which the corruption has used.
    """
    key = jax.random.fold_in(jax.random.key(place.seed), state.step)
    if place.augment is not None:
        batch = place.augment(batch, jax.random.fold_in(key, _AUGMENTATION))
    noise_key, *others = jax.random.split(key, keys)
    return batch if corrupt is None else corrupt(noise_key, batch), tuple(others)


def method_of(network: Network, frames: int) -> str:
    """The network's method that enhances, of clips of so many frames, those to compare."""
    context = network.context
    if context.references is not None:
        return "on_windows"
    inner = context.recurrence == "none" and frames > context.past + context.future
    return "inner" if inner else "__call__"


def whole_windows(network: Network, batch: Batch) -> tuple[str, Batch]:
    """The method that enhances the frames to compare, and the batch cut to them.

    A window network is trained on the frames whose neighbors are all in the clip, as the official
    codes do; where there is none, on all frames with the ends repeated. ``raw_windows`` of the
    result is the ground truth of the frames that the network reads for each; a network that
    chooses its frames has it where ``data.raw_window`` asked for it.
    """
    context, length = network.context, batch["raw"].shape[1]
    method = method_of(network, length)
    told = [f.name for f in dataclasses.fields(Side) if f.name != "qp" and f.name in batch]
    if (chosen := context.references) is not None:  # the batch holds one window an example
        now = slice(chosen.current, chosen.current + 1)
        told_now = {k: batch[k][:, now] for k in told}
        window = {"raw_windows": batch["raw_window"][:, None]} if "raw_window" in batch else {}
        return method, batch | told_now | window
    frames = np.arange(length)
    around = np.arange(-context.past, context.future + 1)
    if method == "inner":
        frames = frames[context.past : length - context.future]
    windows = np.clip(frames[:, None] + around, 0, length - 1)
    inside = slice(frames[0], frames[-1] + 1)
    cut = {k: batch[k][:, inside] for k in ("raw", "weight", *told) if k in batch}
    return method, batch | cut | {"raw_windows": batch["raw"][:, windows]}


def apply_network(
    network: Network,
    variables: Any,
    batch: Batch,
    key: PRNGKeyArray,
    method: str,
    *,
    outputs: bool = False,
) -> Result:
    """Runs a network for training, by the method that :func:`whole_windows` chose.

    Args:
      outputs: ask for the outputs beside the picture.
    """
    asked: dict[str, Any] = {"outputs": True} if outputs else {}
    clip = batch["compressed"]
    result, updated = network.apply(
        variables,
        clip[:, None] if method == "on_windows" else clip,
        side=side_of(batch),
        train=True,
        mutable=["batch_stats", "metrics"],
        rngs={"dropout": key},
        method=method,
        **asked,
    )
    found = result if outputs else {"picture": result}
    exact = jax.tree.map(lambda x: x.astype(jnp.float32), dict(found))
    stats = {k: v for k, v in updated.items() if k != "metrics"}
    return Result(exact, stats, scalar_metrics(updated.get("metrics", {})))


def side_of(batch: Batch) -> Side:
    """The side information that a batch carries."""
    names = {f.name for f in dataclasses.fields(Side)}
    return Side(**{k: v for k, v in batch.items() if k in names})


def scalar_metrics(sown: Any) -> dict[str, Float[Array, ""]]:
    """What a network sowed into "metrics", by name.

    Args:
      sown: the collection; each entry holds one value or several.

    Returns:
      The mean of all values of a name; of one that ends in ``_max`` the largest.
    """
    found: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(sown):
        names = [str(k.key) for k in path if hasattr(k, "key")]
        found.setdefault(names[-1], []).append(jnp.ravel(leaf.astype(jnp.float32)))
    return {
        name: (jnp.max if name.endswith("_max") else jnp.mean)(jnp.concatenate(values))
        for name, values in found.items()
    }
