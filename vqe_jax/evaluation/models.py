"""What is evaluated: model files, run folders and packaged models, under a label each.

The command line names them as ``[LABEL=]MEMBER[+MEMBER...][@ENSEMBLE]``: members are averaged over
their results, and over the symmetries of the ensemble (``x8``). A member is a name, a path, or
``mean:A,B,C``, the mean of several files' weights; ``mean:A:0.6,B:0.4`` weighs them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.files import read_json
from vqe_jax.inference.ensemble import ensemble_text, symmetries_of
from vqe_jax.inference.resolve import Ready, resolve
from vqe_jax.weights import ModelFile, load_model, packaged_models
from vqe_jax.weights.averaging import average_models

__all__ = ["Choice", "EvalModel", "member_names", "open_models", "run_config"]

_MEAN = "mean:"


@dataclasses.dataclass(frozen=True)
class Choice:
    """What enhances the clips of some QPs: a model file, or several whose results are averaged.

    Attributes:
      files: at least one.
    """

    files: tuple[ModelFile, ...]
    path: str

    @property
    def qp(self) -> tuple[int, ...]:
        """What it was trained at."""
        return tuple(sorted({qp for f in self.files for qp in f.qp}))

    @functools.cached_property
    def ready(self) -> tuple[Ready, ...]:
        """The networks, their variables on the device."""
        return tuple(resolve(f) for f in self.files)


@dataclasses.dataclass(frozen=True)
class EvalModel:
    """What stands under one label of a report.

    Attributes:
      choices: at least one; several where one was trained for each QP.
      ensemble: name of the symmetries that results are averaged over.
    """

    label: str
    choices: tuple[Choice, ...]
    ensemble: str = "x1"

    def at_qp(self, qp: int | None) -> Choice:
        """The choice trained nearest to a QP; the first where nothing is known."""
        if qp is None:
            return self.choices[0]
        return min(self.choices, key=lambda c: min((abs(q - qp) for q in c.qp), default=99))

    def ready(self, qp: int | None) -> tuple[Ready, ...]:
        """The networks that enhance a clip of this QP."""
        return self.at_qp(qp).ready

    @property
    def symmetries(self) -> tuple[int, ...]:
        """What each network sees, as numbers of :mod:`vqe_jax.symmetry`."""
        return symmetries_of(self.ensemble, len(self.choices[0].files))

    @property
    def ensemble_text(self) -> str:
        """What is averaged, in words; empty where nothing is."""
        files = self.choices[0].files
        means = [text for f in files if (text := f.extra.get("average"))]
        said = ensemble_text(self.symmetries, len(files))
        return "; ".join([*([said] if said else []), *dict.fromkeys(means)])

    @property
    def color(self) -> str:
        """``"luma"`` or ``"rgb"``."""
        return self.choices[0].files[0].color

    @property
    def parameters(self) -> int:
        """How many run for one QP, those of all members; batch statistics not counted."""
        variables = [f.variables["params"] for f in self.choices[0].files]
        return sum(int(x.size) for x in jax.tree.leaves(variables))

    def to_json(self) -> dict[str, Any]:
        """What a report says about it."""
        return {
            "label": self.label,
            "parameters": self.parameters,
            "ensemble": self.ensemble_text,
            "files": [
                {
                    "path": choice.path,
                    "model": f.model,
                    "kwargs": f.kwargs,
                    "qp": list(f.qp),
                    "source": f.source,
                }
                for choice in self.choices
                for f in choice.files
            ],
        }


@dataclasses.dataclass(frozen=True)
class _Spec:
    """What one argument of the command line says."""

    label: str
    members: tuple[str, ...]
    ensemble: str

    @property
    def path(self) -> str:
        return "+".join(self.members)


def _parse(text: str, ensemble: str) -> _Spec:
    if Path(text).exists():
        return _Spec("", (text,), ensemble)
    label, _, target = text.rpartition("=")
    if Path(target).exists():
        return _Spec(label, (target,), ensemble)
    target, at, own = target.rpartition("@") if "@" in target else (target, "", "")
    return _Spec(label, tuple(target.split("+")), own if at else ensemble)


def member_names(texts: Sequence[str]) -> list[str]:
    """The files, run folders and packaged names that arguments speak of, without the rest."""
    found: list[str] = []
    for member in (m for text in texts for m in _parse(text, "x1").members):
        found += [name for name, _ in _weighed(member)]
    return found


def _weighed(member: str) -> list[tuple[str, float]]:
    """Names of a member and the weight of each."""
    if not member.startswith(_MEAN):
        return [(member, 1.0)]
    found = []
    for part in member.removeprefix(_MEAN).split(","):
        name, colon, number = part.rpartition(":")
        try:
            found.append((name, float(number)) if colon else (part, 1.0))
        except ValueError:
            raise UserError(
                f"{member}: {number!r} is no weight; expected mean:A:0.6,B:0.4 or mean:A,B"
            ) from None
    return found


def open_models(names: Sequence[str], ensemble: str = "x1") -> list[EvalModel]:
    """Opens what the command line names.

    Args:
      names: each a run folder (its best model), a model file, a packaged name, or several of them,
        see above. Files of one given label are one network trained for several QPs. Empty: every
        packaged model.

    Raises:
      UserError: nothing packaged, nothing there, no such ensemble, models of luma and of RGB
        together, or files under one label that are not averaged alike.
    """
    names = names or sorted(packaged_models())
    if not names:
        raise UserError("no model to evaluate; name a run folder, a model file or a packaged model")
    opened: dict[str, list[tuple[Choice, str]]] = {}
    for name in names:
        spec = _parse(name, ensemble)
        symmetries_of(spec.ensemble, len(spec.members))
        choice = Choice(tuple(_member(m) for m in spec.members), spec.path)
        label = spec.label or _label(spec, opened)
        opened.setdefault(label, []).append((choice, spec.ensemble))
    models = []
    for label, found in opened.items():
        if len({(len(choice.files), used) for choice, used in found}) > 1:
            raise UserError(
                f"{label}: its files for several QPs are not averaged alike; name as "
                "many members and one ensemble for each"
            )
        models.append(EvalModel(label, tuple(choice for choice, _ in found), found[0][1]))
    _check_colors(models)
    return models


def _check_colors(models: Sequence[EvalModel]) -> None:
    files = [(m.label, f.color) for m in models for c in m.choices for f in c.files]
    if len({color for _, color in files}) > 1:
        raise UserError(
            "models of luma and of RGB cannot share a report; evaluate them separately: "
            + ", ".join(f"{label} ({color})" for label, color in dict.fromkeys(files))
        )


def _member(text: str) -> ModelFile:
    weighed = _weighed(text)
    files = [load_model(name) for name, _ in weighed]
    return files[0] if len(files) == 1 else average_models(files, [w for _, w in weighed])


def _label(spec: _Spec, taken: dict[str, Any]) -> str:
    stems = [_stem(name) for member in spec.members for name, _ in _weighed(member)]
    label = "+".join(stems) + ("" if spec.ensemble == "x1" else f" {spec.ensemble}")
    return spec.path if label in taken else label


def _stem(path: str) -> str:
    stem = Path(path).stem
    return Path(path).resolve().parent.name if stem in ("best", "last") else stem


def run_config(name: str) -> dict[str, Any] | None:
    """The config of a run folder; None for other models."""
    file = Path(name) / "config.json"
    return read_json(file) if file.is_file() else None
