"""Several checkpoints of one network as one: the mean of their weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.weights.model_file import ModelFile

__all__ = ["average_models"]


def average_models(files: Sequence[ModelFile], weights: Sequence[float] = ()) -> ModelFile:
    """Averages the weights of checkpoints, as Shannon's system does with its last five.

    Args:
      weights: of each, any positive scale (Shannon's: 0.25, 0.25, 0.2, 0.15, 0.15); empty: equal.

    Returns:
      A model file whose ``extra["average"]`` says what was averaged.

    Raises:
      UserError: no file, networks or fields that differ, or weights that are not positive.
    """
    weights = weights or [1.0] * len(files)
    if not files or len(weights) != len(files) or not all(0 < w < np.inf for w in weights):
        raise UserError(
            f"a mean of {len(files)} checkpoints has weights {list(weights)}; expected a positive "
            "one for each"
        )
    first = files[0]
    for other in files[1:]:
        if (other.model, other.kwargs, other.color) != (first.model, first.kwargs, first.color):
            raise UserError(
                f"checkpoints of {other.model} {other.kwargs} and of {first.model} {first.kwargs} "
                "have no mean; average their results instead, joined by +"
            )
    shares = np.array(weights, np.float64) / sum(weights)
    mean = jax.tree.map(
        lambda *xs: sum(
            s * np.asarray(x, np.float64) for s, x in zip(shares, xs, strict=True)
        ).astype(np.asarray(xs[0]).dtype),
        *(f.variables for f in files),
    )
    said = "" if len(set(weights)) == 1 else " with weights " + ", ".join(f"{s:g}" for s in shares)
    text = f"mean of {len(files)} checkpoints{said}"
    qps = tuple(sorted({qp for f in files for qp in f.qp}))
    source = f"{text}: " + "; ".join(dict.fromkeys(f.source for f in files))
    return dataclasses.replace(
        first, variables=mean, qp=qps, source=source, extra={**first.extra, "average": text}
    )
