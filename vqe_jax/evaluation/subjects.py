"""What is evaluated: model files, run folders and packaged models, under a label each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import Ready, resolve
from vqe_jax.weights import ModelFile, load_model, packaged_models

__all__ = ["Subject", "open_subjects", "run_config"]


@dataclasses.dataclass(frozen=True)
class Subject:
    """A network under its label; several files where one was trained for each QP.

    Attributes:
      label: its column in the report.
      files: at least one.
      paths: where they came from, in the same order.
    """

    label: str
    files: tuple[ModelFile, ...]
    paths: tuple[str, ...]

    def at_qp(self, qp: int | None) -> ModelFile:
        """The file trained nearest to a QP; the first where nothing is known."""
        if qp is None:
            return self.files[0]
        return min(self.files, key=lambda f: min((abs(q - qp) for q in f.qp), default=99))

    def ready(self, qp: int | None) -> Ready:
        """The network that enhances a clip of this QP."""
        return resolve(self.at_qp(qp))

    @property
    def colour(self) -> str:
        """``"luma"`` or ``"rgb"``."""
        return self.files[0].colour

    @property
    def parameters(self) -> int:
        """How many one file has, batch statistics not counted."""
        return sum(int(x.size) for x in jax.tree.leaves(self.files[0].variables["params"]))

    def to_json(self) -> dict[str, Any]:
        """What a report says about it."""
        return {
            "label": self.label,
            "parameters": self.parameters,
            "files": [
                {"path": path, "model": f.model, "kwargs": f.kwargs, "qp": list(f.qp),
                 "source": f.source}
                for path, f in zip(self.paths, self.files, strict=True)
            ],
        }  # fmt: skip


def open_subjects(names: Sequence[str]) -> list[Subject]:
    """Opens what the command line names.

    Args:
      names: each a run folder (its best model), a model file, a packaged name, or one of them
        behind ``LABEL=``. Files of one given label are one network trained for several QPs.
        Empty: every packaged model.

    Raises:
      UserError: nothing packaged, nothing there, or models of luma and of RGB together.

    """
    names = names or sorted(packaged_models())
    if not names:
        raise UserError("no model to evaluate; name a run folder, a model file or a packaged model")
    opened: dict[str, list[tuple[str, ModelFile]]] = {}
    for name in names:
        label, given, target = name.rpartition("=")
        path = _model_path(target)
        label = label if given else _label(path, opened)
        opened.setdefault(label, []).append((path, load_model(path)))
    subjects = [
        Subject(label, tuple(f for _, f in files), tuple(path for path, _ in files))
        for label, files in opened.items()
    ]
    colours = {s.colour for s in subjects}
    if len(colours) > 1:
        raise UserError(
            "models of luma and of RGB cannot share a report; evaluate them separately: "
            + ", ".join(f"{s.label} ({s.colour})" for s in subjects)
        )
    return subjects


def _model_path(name: str) -> str:
    folder = Path(name)
    if not folder.is_dir():
        return name
    for file in ("best.safetensors", "last.safetensors"):
        if (folder / file).is_file():
            return str(folder / file)
    raise UserError(f"run folder {name} has neither best.safetensors nor last.safetensors yet")


def _label(path: str, taken: dict[str, Any]) -> str:
    stem = Path(path).stem
    label = Path(path).resolve().parent.name if stem in ("best", "last") else stem
    return path if label in taken else label


def run_config(name: str) -> dict[str, Any] | None:
    """The config of a run folder; None for other models."""
    file = Path(name.rpartition("=")[2]) / "config.json"
    return json.loads(file.read_text()) if file.is_file() else None
