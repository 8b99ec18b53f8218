"""The steps of networks that have several: one row for each, and a strip of pictures.

A network with a field ``output`` (ASTF) can be evaluated at every step of its way from one model
file: the rows of its paper's tables, and its figure of all steps, mask and truth.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import typing
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vqe_jax.errors import UserError, check_names
from vqe_jax.evaluation import plots
from vqe_jax.evaluation.clips import EvalClip
from vqe_jax.evaluation.models import Choice, EvalModel
from vqe_jax.files import replacing
from vqe_jax.models import model_class
from vqe_jax.weights import ModelFile

__all__ = ["draw_all_steps", "draw_steps", "steps_of", "with_outputs"]

_SIDE = 192
_AROUND = 2


def with_outputs(models: Sequence[EvalModel], outputs: Sequence[str]) -> list[EvalModel]:
    """Each model once for each of its outputs.

    Args:
      outputs: values of their field ``output``, or ``["all"]``; none leaves the models as they
        are.

    Returns:
      Models labelled by the output, behind the model's label where there are several models.

    Raises:
      UserError: a model that has one output only, or not that one.
    """
    if not outputs:
        return list(models)
    rows = []
    for model in models:
        first = model.choices[0].files[0]
        known = _choices(first)
        if not known:
            raise UserError(f"--outputs: {model.label} ({first.model}) has one output only")
        for output in known if list(outputs) == ["all"] else outputs:
            check_names(f"--outputs: {model.label}", "output", [output], known)
            choices = tuple(_of_output(choice, output) for choice in model.choices)
            label = output if len(models) == 1 else f"{model.label}:{output}"
            rows.append(dataclasses.replace(model, label=label, choices=choices))
    return rows


def _of_output(choice: Choice, output: str) -> Choice:
    files = (dataclasses.replace(f, kwargs={**f.kwargs, "output": output}) for f in choice.files)
    return Choice(tuple(files), choice.path)


def _choices(file: ModelFile) -> tuple[str, ...]:
    """The results that a network's field ``output`` chooses among."""
    hints = typing.get_type_hints(model_class(file.model))
    return typing.get_args(hints["output"]) if "output" in hints else ()


def steps_of(file: ModelFile, clip: EvalClip) -> dict[str, Float[np.ndarray, "h w _"]]:
    """A part of the middle frame at every step of a network, with its input and the truth.

    Returns:
      Name -> picture ``[h, w, 3]``, or ``[h, w, 1]`` for a mask.
    """
    middle = clip.count // 2
    first = max(middle - _AROUND, 0)
    part = _center(clip.height), _center(clip.width)

    def read(side: str) -> np.ndarray:
        frames = itertools.islice(clip.frames(side, file.color), first, middle + _AROUND + 1)
        return np.stack([frame[part] for frame in frames])

    compressed = read("compressed")
    network = file.build()
    found = jax.jit(lambda v, x: network.apply(v, x, outputs=True))(
        file.variables, jnp.asarray(compressed)[None]
    )
    at = middle - first
    pictures = {name: np.asarray(found[name][0, at]) for name in network.context.outputs}
    return {"compressed": compressed[at], **pictures, "raw": read("raw")[at]}


def _center(size: int) -> slice:
    start = max((size - _SIDE) // 2, 0)
    return slice(start, start + min(size, _SIDE))


def draw_steps(file: ModelFile, clip: EvalClip, path: str | os.PathLike[str]) -> bool:
    """Draws :func:`steps_of` side by side.

    Returns:
      False where matplotlib is not installed and nothing was drawn.
    """
    if not plots.available():
        return False
    title = f"{clip.title}, frame {clip.count // 2}"
    figure = plots.strip(steps_of(file, clip), title, (2.4, 2.8))
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return True


def draw_all_steps(
    models: Sequence[EvalModel], clips: Sequence[EvalClip], folder: str | os.PathLike[str]
) -> None:
    """A strip for every model and clip, ``CLIP_MODEL_steps.png``.

    Args:
      models: networks that have named outputs.
    """
    for model, clip in itertools.product(models, clips):
        name = re.sub(r"[^\w.-]+", "_", f"{clip.name}_{model.label}_steps")
        draw_steps(model.at_qp(clip.qp).files[0], clip, Path(folder) / f"{name}.png")
