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

from vqe_jax import models
from vqe_jax.errors import UserError, near_misses
from vqe_jax.evaluation import plots
from vqe_jax.evaluation.material import Clip
from vqe_jax.evaluation.subjects import Subject
from vqe_jax.files import replacing
from vqe_jax.weights import ModelFile

__all__ = ["draw_all_steps", "draw_steps", "steps_of", "with_outputs"]

_SIDE = 192
_AROUND = 2


def with_outputs(subjects: Sequence[Subject], outputs: Sequence[str]) -> list[Subject]:
    """Each model once for each of its outputs.

    Args:
      subjects: the models.
      outputs: values of their field ``output``, or ``["all"]``; none leaves the subjects as they
        are.

    Returns:
      Subjects labelled by the output, behind the model's label where there are several models.

    Raises:
      UserError: a model that has one output only, or not that one.
    """
    if not outputs:
        return list(subjects)
    rows = []
    for subject in subjects:
        known = _choices(subject.files[0])
        if not known:
            raise UserError(f"--outputs: {subject.label} ({subject.files[0].model}) has one "
                            "output only")  # fmt: skip
        for output in known if list(outputs) == ["all"] else outputs:
            if output not in known:
                raise UserError(f"--outputs: {subject.label} has no output {output!r}"
                                f"{near_misses(output, known)}")  # fmt: skip
            files = tuple(
                dataclasses.replace(f, kwargs={**f.kwargs, "output": output}) for f in subject.files
            )
            label = output if len(subjects) == 1 else f"{subject.label}:{output}"
            rows.append(Subject(label, files, subject.paths))
    return rows


def _choices(file: ModelFile) -> tuple[str, ...]:
    """The results that a network's field ``output`` chooses among."""
    hints = typing.get_type_hints(models.model_class(file.model))
    return typing.get_args(hints["output"]) if "output" in hints else ()


def steps_of(file: ModelFile, clip: Clip) -> dict[str, Float[np.ndarray, "h w _"]]:
    """A part of the middle frame at every step of a network, with its input and the truth.

    Args:
      file: a network that has named outputs.
      clip: what to show it on.

    Returns:
      Name -> picture ``[h, w, 3]``, or ``[h, w, 1]`` for a mask.
    """
    middle = clip.count // 2
    first = max(middle - _AROUND, 0)
    part = _centre(clip.height), _centre(clip.width)

    def read(side: str) -> np.ndarray:
        frames = itertools.islice(clip.frames(side, file.colour), first, middle + _AROUND + 1)
        return np.stack([frame[part] for frame in frames])

    compressed = read("compressed")
    network = file.build()
    found = jax.jit(lambda v, x: network.apply(v, x, outputs=True))(
        file.variables, jnp.asarray(compressed)[None]
    )
    at = middle - first
    pictures = {name: np.asarray(found[name][0, at]) for name in network.context.outputs}
    return {"compressed": compressed[at], **pictures, "raw": read("raw")[at]}


def _centre(size: int) -> slice:
    start = max((size - _SIDE) // 2, 0)
    return slice(start, start + min(size, _SIDE))


def draw_steps(file: ModelFile, clip: Clip, path: str | os.PathLike[str]) -> bool:
    """Draws :func:`steps_of` side by side.

    Args:
      file: a network that has named outputs.
      clip: what to show it on.
      path: the PNG to write.

    Returns:
      False where matplotlib is not installed and nothing was drawn.
    """
    if not plots.available():
        return False
    from matplotlib.figure import Figure

    pictures = steps_of(file, clip)
    figure = Figure(figsize=(2.4 * len(pictures), 2.8), layout="constrained")
    for axes, (name, picture) in zip(figure.subplots(1, len(pictures)), pictures.items(),
                                     strict=True):  # fmt: skip
        axes.imshow(np.clip(picture, 0, 1).squeeze(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize="small")
        axes.axis("off")
    figure.suptitle(f"{clip.title}, frame {clip.count // 2}", fontsize="small")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return True


def draw_all_steps(
    subjects: Sequence[Subject], clips: Sequence[Clip], folder: str | os.PathLike[str]
) -> None:
    """A strip for every model and clip, ``CLIP_MODEL_steps.png``.

    Args:
      subjects: networks that have named outputs.
      clips: what to show them on.
      folder: where to.
    """
    for subject, clip in itertools.product(subjects, clips):
        name = re.sub(r"[^\w.-]+", "_", f"{clip.name}_{subject.label}_steps")
        draw_steps(subject.at_qp(clip.qp), clip, Path(folder) / f"{name}.png")
