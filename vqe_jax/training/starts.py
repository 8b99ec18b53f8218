"""What a stage's parameters are before its first step, and the model files it leaves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vqe_jax import models
from vqe_jax.errors import UserError, near_misses
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import inits
from vqe_jax.training.feed import data_config
from vqe_jax.training.stages import Run, Stage
from vqe_jax.weights import ModelFile, from_torch, load_model, load_perceptual, save_model
from vqe_jax.weights.tensor_files import read_tensors

__all__ = [
    "build_network",
    "export",
    "fresh_shapes",
    "fresh_variables",
    "model_kwargs",
    "stage_file",
    "start_variables",
    "with_frozen",
    "with_parts",
]

_KEPT = ("params", "batch_stats", "frozen")


def model_kwargs(run: Run, stage: Stage) -> dict[str, Any]:
    """The network's keyword arguments in a stage, without the computation's dtype."""
    return {**run.model_kwargs, **stage.model_kwargs}


def build_network(run: Run, stage: Stage) -> models.Network:
    """The network of a stage.

    Raises:
      UserError: an unknown network or keyword, or bfloat16 for one that has no ``dtype``.
    """
    kwargs = model_kwargs(run, stage)
    if run.dtype != "float32":
        if "dtype" not in models.fields(run.model):
            raise UserError(
                f"config.dtype={run.dtype!r}: model {run.model!r} computes in float32 only"
            )
        kwargs["dtype"] = run.dtype
    return models.build(run.model, **kwargs)


def stage_file(workdir: Path, stage: Stage) -> Path:
    """Where a stage's result is kept."""
    return workdir / "stages" / f"{stage.name}.safetensors"


def start_variables(
    run: Run,
    index: int,
    network: models.Network,
    *,
    workdir: Path,
    previous: Any = None,
    fresh: Any = None,
) -> dict[str, Any]:
    """The variables that a stage begins with.

    Args:
      workdir: where earlier stages left their model files.
      previous: variables of the stage before, in memory; None in the first stage.
      fresh: newly initialized ones; None: :func:`fresh_variables`.

    Returns:
      ``{"params": ..., "batch_stats": ...}``.

    Raises:
      UserError: a start that does not exist, holds another network, or does not fit.
    """
    stage = run.stages[index]
    fresh = fresh_variables(run, index, network) if fresh is None else fresh
    if stage.start == "scratch":
        return with_parts(with_frozen(fresh, network), stage)
    if stage.start == "previous":
        source, origin = previous, f"stage {run.stages[index - 1].name!r}"
    else:
        earlier = {s.name: s for s in run.stages[:index]}
        found = earlier.get(stage.start)
        path = stage.start if found is None else stage_file(workdir, found)
        if (found or str(path).endswith(".safetensors")) and not Path(path).is_file():
            raise UserError(
                f"stage {stage.name!r} starts from {stage.start!r}, which has not been trained: "
                f"{path} is missing; train it first, or name another start"
            )
        # Parts that may start fresh say that another network's file is meant: RFDA from STDF.
        expect = None if stage.fresh else run.model
        source, origin = load_model(path, expect=expect).variables, f"model {path}"
    return with_parts(_fit(fresh, source, stage, origin), stage)


def with_frozen(variables: dict[str, Any], network: models.Network) -> dict[str, Any]:
    """Puts published weights where a network has a frozen part (``frozen_sources``).

    Raises:
      UserError: they are not at hand; says how to get them.
    """
    frozen = dict(variables.get("frozen", {}))
    for part, name in getattr(network, "frozen_sources", {}).items():
        given = load_perceptual(name).variables["params"]
        frozen[part] = jax.tree.map(lambda _, x: jax.numpy.array(x), frozen[part], given)
    return variables | {"frozen": frozen} if frozen else variables


def with_parts(variables: dict[str, Any], stage: Stage) -> dict[str, Any]:
    """Puts the stage's ``parts`` in place: copies of subtrees, or official tensors from files.

    Raises:
      UserError: a subtree or source that does not exist, or does not fit.
    """
    flat = flatten_dict(variables["params"], sep="/")
    result = dict(flat)
    for target, source in stage.parts:
        where = f"stage {stage.name!r}: parts ({target!r}, {source!r})"
        wanted = _subtree(flat, target)
        if not wanted:
            tops = {path.split("/")[0] for path in flat}
            raise UserError(f"{where}: no parameters under {target!r}{near_misses(target, tops)}")
        given = _subtree(flat, source) or _official_part(target, source, where)
        if wanted.keys() != given.keys():
            raise UserError(f"{where}: the two do not have the same parameters")
        for name, here in wanted.items():
            path, there = f"{target}/{name}", given[name]
            if there.shape != here.shape:
                raise UserError(f"{where}: {path} is {there.shape} there and {here.shape} here")
            result[path] = jax.numpy.array(there, here.dtype)
    return {**variables, "params": unflatten_dict(result, sep="/")}


def _subtree(flat: dict[str, Any], top: str) -> dict[str, Any]:
    inside = f"{top}/"
    return {p.removeprefix(inside): x for p, x in flat.items() if p.startswith(inside)}


def _official_part(target: str, source: str, where: str) -> dict[str, Any]:
    if not Path(source).is_file():
        raise UserError(f"{where}: the source is neither a subtree of the parameters nor a file")
    converted = from_torch(target.split("/")[-1], read_tensors(source))
    return flatten_dict(converted["params"], sep="/")


def _drawing(
    run: Run, index: int, network: models.Network
) -> tuple[Callable[[Any], dict[str, Any]], np.int32]:
    """How the variables of a stage are drawn, and the seed that it takes."""
    chosen = run.stages[index].init
    looks = any(init.scheme not in ("keep", "zeros") for init in chosen)
    pictures = inits.pictures_of(network) if looks else {}

    def draw(seed: Any) -> dict[str, Any]:
        # Far from the numbers of steps, which are folded into the same key.
        key = jax.random.fold_in(jax.random.key(seed), 1_000_000_007 + index)
        variables = initial_variables(network, key)
        params = inits.redraw(variables["params"], chosen, pictures, key)
        return {k: v for k, v in {**variables, "params": params}.items() if k in _KEPT}

    return draw, np.int64(run.seed).astype(np.int32)  # as jax.random.key reads a number


def fresh_variables(run: Run, index: int, network: models.Network) -> dict[str, Any]:
    """Newly initialized variables of a stage, a function of the run's seed and the stage's init."""
    draw, seed = _drawing(run, index, network)
    # It runs once: optimizing dozens of random generators would take longer than the first steps.
    quickly: dict[str, str | bool] = {"xla_backend_optimization_level": "0"}
    return jax.jit(draw, compiler_options=quickly)(seed)


def fresh_shapes(run: Run, index: int, network: models.Network) -> dict[str, Any]:
    """Shapes and dtypes of :func:`fresh_variables`; nothing is computed.

    Raises:
      UserError: an init that does not fit the network.
    """
    draw, seed = _drawing(run, index, network)
    return jax.eval_shape(draw, seed)


def _fit(fresh: Any, source: Any, stage: Stage, origin: str) -> dict[str, Any]:
    """The source's arrays in the shape of the fresh ones; differences only where allowed."""
    wanted, given = flatten_dict(fresh, sep="/"), flatten_dict(_plain(source), sep="/")
    result = {}
    for path, array in wanted.items():
        if path in given and given[path].shape == array.shape:
            result[path] = jax.numpy.asarray(given[path], array.dtype)
            continue
        problem = f"{origin} has no {path!r}"
        if path in given:
            problem = (
                f"{path} is {given[path].shape} in {origin}, but {array.shape} in this network"
            )
        _allow(path, stage, problem, "fresh")
        result[path] = array
    for path in given.keys() - wanted.keys():
        _allow(path, stage, f"{path!r} of {origin} is not in this network", "unused")
    return unflatten_dict(result, sep="/")


def _plain(tree: Any) -> Any:
    return {k: _plain(v) if isinstance(v, Mapping) else v for k, v in tree.items()}


def _allow(path: str, stage: Stage, problem: str, key: Literal["fresh", "unused"]) -> None:
    # Patterns are of parameters, as everywhere in a stage; other collections keep their names.
    if not any(re.search(p, path.removeprefix("params/")) for p in getattr(stage, key)):
        raise UserError(
            f"stage {stage.name!r}: {problem}; name it in the stage's {key!r} if that is meant"
        )


def export(
    path: Path, run: Run, stage: Stage, variables: Any, *, step: int, extra: dict[str, Any]
) -> None:
    """Writes variables as a model file that is enough to run the network."""
    kwargs = model_kwargs(run, stage)
    save_model(
        path,
        ModelFile(
            model=run.model,
            kwargs=kwargs,
            variables=jax.tree.map(np.asarray, variables),
            color=models.build(run.model, **kwargs).color,
            qp=_qps(run),
            source=run.source or "trained with train.py",
            extra={"stage": stage.name, "step": step, **extra},
        ),
    )


def _qps(run: Run) -> tuple[int, ...]:
    """The QPs that the names of the data's configurations tell ("qp37")."""
    names = data_config(run.data, {}, "config.data").config_name
    names = (names,) if isinstance(names, str) else names
    return tuple(sorted({int(m[1]) for n in names if (m := re.search(r"qp(\d+)", n))}))
