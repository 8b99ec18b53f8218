"""What a training run is: a tuple of stages and the few settings around them, checked.

:func:`parse` turns a ``ConfigDict`` into frozen dataclasses whose fields are the config's keys. A
key that does not exist, or a value of the wrong kind, is one line that names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.training.bounds import check_bounds
from vqe_jax.training.sections import read_section, to_plain

__all__ = [
    "Checkpointing",
    "Evaluation",
    "Init",
    "Optimizer",
    "Rate",
    "Run",
    "Schedule",
    "Stage",
    "Term",
    "TermWeight",
    "changes",
    "check",
    "parse",
    "plain",
]


# Keys that stages had once, and what stands for each.
_REPLACED = {
    "frozen": "(pattern, 0)",
    "freeze_steps": "(pattern, factor, steps)",
    "lr_scales": "(pattern, factor)",
}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Learning rate over a stage, as a function of its steps.

    Attributes:
      name: "constant", "cosine" (down to ``end``, with restarts) or "step" (times ``factor`` at
        each of ``fractions`` of the length).
      end: learning rate at the end of a cosine period.
      periods: lengths of the cosine periods in steps; empty: one of the length of the stage.
      restart_scales: what the learning rate is multiplied by in each period; empty: ones.
      fractions: of the length, where "step" takes place.
      factor: see "step"; one for all fractions, or one for each.
      length: steps that fractions and an empty ``periods`` refer to; None: those of the stage.
      offset: steps of the schedule that lie before the stage, where stages share one.
      warmup: steps over which the learning rate rises from zero.
    """

    name: str = "constant"
    end: float = 0.0
    periods: tuple[int, ...] = ()
    restart_scales: tuple[float, ...] = ()
    fractions: tuple[float, ...] = (0.6, 0.9)
    factor: float | tuple[float, ...] = 0.5
    length: int | None = None
    offset: int = 0
    warmup: int = 0


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """What turns gradients into updates.

    Attributes:
      name: "adam", "adamw", "sgd", "lion", "nadam", "radam", "lamb" or "muon".
      betas: decay of the moments (of "sgd": momentum, the second is not used).
      eps: added to the root of the second moment.
      weight_decay: decoupled weight decay, for those that have it.
      clip_norm: gradients are scaled down to this global norm; None: never.
      adaptive_clip: the gradient of each output channel is scaled down to this share of the norm
        of its weights (arXiv 2102.06171; 0.01 there); None: never.
    """

    name: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None
    adaptive_clip: float | None = None


@dataclasses.dataclass(frozen=True)
class TermWeight:
    """A loss's weight that changes over the steps of its stage.

    Attributes:
      values: the weight at each of ``steps``; before the first and after the last it stays.
      steps: of the stage, rising.
      hold: keep each value until the next step, in place of a straight line between them.
    """

    values: tuple[float, ...]
    steps: tuple[int, ...]
    hold: bool = False


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss of a stage, in a config a section or a tuple in the order of the attributes.

    Attributes:
      name: in :mod:`vqe_jax.losses`, or ``"package.module:Name"``.
      weight: what it is multiplied by.
      options: of the loss.
      of: which of the network's outputs it is taken of.
    """

    name: str
    weight: float | TermWeight = 1.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    of: str = "picture"


@dataclasses.dataclass(frozen=True)
class Init:
    """How some parameters begin, in a config a tuple ``(pattern, scheme)`` or with options.

    Attributes:
      pattern: of their paths.
      scheme: "high_pass", "kaiming", "uniform", "zeros", "constant", "dirac", "pass_on",
        "open_gates", "keep", or one of the reader's own; see :mod:`vqe_jax.training.inits`.
      options: of the scheme.
    """

    pattern: str
    scheme: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Rate:
    """How fast some parameters learn, in a config a tuple in the order of the attributes.

    Attributes:
      pattern: of their paths.
      factor: of the stage's learning rate; 0: they are not trained.
      start: step of the stage before which they are not trained.
    """

    pattern: str
    factor: float
    start: int = 0


@dataclasses.dataclass(frozen=True)
class Stage:
    """One part of a training run.

    Attributes:
      name: of the stage; also of its model file under ``stages/`` in the work directory.
      steps: optimizer steps.
      kind: which step it takes: "plain", "adversarial", or one of the reader's own, see
        :mod:`vqe_jax.training.kinds`.
      start: where its parameters come from: "scratch", "previous", the name of an earlier
        stage, a packaged model or the path of a model file.
      init: how parameters that the start does not give are drawn, in order; the last that matches
        a path wins, and what none matches begins as the network has it.
      start_averaged: begin from an earlier stage's averaged weights where it kept them.
      keep_optimizer: go on with the previous stage's optimizer state, raw weights and average.
      fresh: path patterns of parameters that the start may lack, or have in another shape; they
        begin anew.
      unused: path patterns of the start's parameters that may be left out.
      parts: (subtree, source): parts of the parameters that start from elsewhere: from another
        subtree of the start ("stage1"), or from a file of official tensors of the network that
        the subtree is named after ("spynet").
      rates: what is not trained (factor 0), learns at a rate of its own, or later than the
        rest, in order; the last that matches a path wins.
      learning_rate: the highest of the schedule.
      schedule: see :class:`Schedule`.
      optimizer: see :class:`Optimizer`.
      losses: what is minimized.
      corruption: what is done to the input (``name`` and options), or None; see
        :mod:`vqe_jax.training.corruption`.
      data: overrides of the run's ``data`` (clip length, crop, batch size, ...).
      model_kwargs: overrides of the run's ``model_kwargs``.
      ema: decay of the averaged weights, 0 for none. It is warmed up: the decay of step n is
        at most (1 + n) / (10 + n).
      options: of the kind of step ("adversarial": see there).
    """

    name: str
    steps: int
    kind: str = "plain"
    start: str = "scratch"
    init: tuple[Init, ...] = ()
    start_averaged: bool = True
    keep_optimizer: bool = False
    fresh: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    rates: tuple[Rate, ...] = ()
    learning_rate: float = 1e-4
    schedule: Schedule = Schedule()
    optimizer: Optimizer = Optimizer()
    losses: tuple[Term, ...] = (Term("charbonnier"),)
    corruption: dict[str, Any] | None = None
    data: dict[str, Any] = dataclasses.field(default_factory=dict)
    model_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    ema: float = 0.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Validation on whole clips while training.

    Attributes:
      dataset: of the clips; None: that of ``data``.
      data_dir: where it lies; None: that of ``data``.
      split: which part of it.
      config_name: its variant, or several; None: that of ``data``.
      inputs_dir: folder of another network's results in place of the compressed clips, as in
        ``data``; None: the compressed clips.
      protocol: what the best model is chosen by: a name of :mod:`vqe_jax.metrics` ("ssim_y",
        "lpips_alex" on RGB, "lpips_alex_y" on luma, ...); None: "psnr_y", or "psnr_rgb_uint8" for
        a network on RGB. Where smaller is better, the gain is what it falls by.
      clips: names of the clips; empty: all.
      frames: at most so many of each clip, from the start; None: all.
      every: steps between validations; 0: at the end of a stage only.
      worst_weight: the best model is chosen by ``(1 - w) * mean + w * worst clip``.
    """

    dataset: str | None = None
    data_dir: str | None = None
    split: str = "val"
    config_name: str | tuple[str, ...] | None = None
    inputs_dir: str | None = None
    protocol: str | None = None
    clips: tuple[str, ...] = ()
    frames: int | None = None
    every: int = 1000
    worst_weight: float = 0.5


@dataclasses.dataclass(frozen=True)
class Checkpointing:
    """Checkpoints: ``every`` so many steps, the last ``keep`` stay."""

    every: int = 1000
    keep: int = 2


@dataclasses.dataclass(frozen=True)
class Distributed:
    """How long the processes of one run wait for each other, in seconds.

    Attributes:
      start_timeout: for all to come; who is missing then is named.
      peer_timeout: for a sign of life; who gave none for so long is named, and the others end.
    """

    start_timeout: int = 60
    peer_timeout: int = 45


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
      model: the network's name, as :func:`vqe_jax.models.build` takes it.
      data: keyword arguments of :class:`vqe_jax.data.pipeline.DataConfig`.
      stages: in order.
      model_kwargs: the network's keyword arguments.
      eval: validation; None: none.
      checkpoint: see :class:`Checkpointing`.
      distributed: see :class:`Distributed`.
      seed: of everything random.
      dtype: of the computation, "float32" or "bfloat16"; parameters are float32 always.
      devices: how many devices share a batch; None: all there are.
      log_every: steps between lines of metrics.
      max_skipped: so many steps in a row without a finite gradient end the run.
      tensorboard: write TensorBoard files too.
      source: a sentence on the data and the recipe that goes into the model files.
    """

    model: str
    data: dict[str, Any]
    stages: tuple[Stage, ...]
    model_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    eval: Evaluation | None = None
    checkpoint: Checkpointing = Checkpointing()
    distributed: Distributed = Distributed()
    seed: int = 0
    dtype: str = "float32"
    devices: int | None = None
    log_every: int = 50
    max_skipped: int = 20
    tensorboard: bool = False
    source: str = ""

    def first_step(self, index: int) -> int:
        """Global number of the first step of a stage."""
        return sum(stage.steps for stage in self.stages[:index])


def parse(config: Run | ConfigDict | Mapping[str, Any]) -> Run:
    """Reads and checks a config.

    Args:
      config: a ``ConfigDict`` or nested dictionaries; its keys are the fields of :class:`Run`.

    Returns:
      The same as dataclasses.

    Raises:
      UserError: a missing or unknown key, a value of another kind, and what :func:`check` finds.
    """
    run = config if isinstance(config, Run) else read_section(Run, _current(config), "config")
    check(run)
    return run


def _current(config: ConfigDict | Mapping[str, Any]) -> Any:
    """The config as plain values, without the empty keys that runs of older versions have kept."""
    given = to_plain(config)
    stages = given.get("stages", ()) if isinstance(given, dict) else ()
    for index, stage in enumerate(stages if isinstance(stages, tuple) else ()):
        for key, pair in _REPLACED.items():
            if isinstance(stage, dict) and stage.pop(key, None):
                raise UserError(f"config.stages[{index}].{key} is now a line of 'rates': {pair}")
    return given


def check(run: Run) -> None:
    """Finds values that cannot be together.

    Raises:
      UserError: no stage, one that starts from a stage that does not come before it, an unknown
        loss.
    """
    if not run.stages:
        raise UserError("config.stages is empty; a run needs at least one stage")
    check_bounds(run)
    if run.dtype not in ("float32", "bfloat16"):
        raise UserError(f"config.dtype={run.dtype!r}; expected 'float32' or 'bfloat16'")
    earlier: list[str] = []
    for index, stage in enumerate(run.stages):
        _check_stage(stage, f"config.stages[{index}]", earlier)
        earlier.append(stage.name)


def plain(run: Run) -> dict[str, Any]:
    """The run as nested dictionaries and lists, as JSON has them; :func:`parse` reads it back."""
    return json.loads(json.dumps(dataclasses.asdict(run)))


def changes(kept: dict[str, Any], run: Run) -> list[str]:
    """Where a run differs from a config that was kept, as ``"seed (0 -> 1)"``."""
    with contextlib.suppress(UserError):  # told as they are where they cannot be read
        kept = plain(parse(kept))  # with what it left to the defaults
    return _differences(kept, plain(run))


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for k in keys for d in _differences(old.get(k), new.get(k), f"{where}.{k}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [d for i, (a, b) in pairs for d in _differences(a, b, f"{where}[{i}]")]
    return [] if old == new else [f"{where.lstrip('.')} ({old!r} -> {new!r})"]


def _check_stage(stage: Stage, where: str, earlier: list[str]) -> None:
    if stage.name in earlier:
        raise UserError(f"{where}.name={stage.name!r} is taken by an earlier stage")
    if (stage.start == "previous" or stage.keep_optimizer) and not earlier:
        raise UserError(
            f"{where} is the first stage and has no previous one; start it from "
            "'scratch' or a model file"
        )
    if stage.keep_optimizer and stage.start != "previous":
        raise UserError(f"{where}.keep_optimizer needs start='previous', not {stage.start!r}")
    if not stage.losses and stage.kind == "plain":
        raise UserError(f"{where}.losses is empty; name at least one, as ('charbonnier', 1.0)")
    for index, term in enumerate(stage.losses):
        losses.build(term.name, **term.options)
        if isinstance(term.weight, TermWeight):
            _check_weight(term.weight, f"{where}.losses[{index}].weight")


def _check_weight(weight: TermWeight, where: str) -> None:
    if len(weight.values) != len(weight.steps) or not weight.values:
        raise UserError(f"{where} has {len(weight.values)} values for {len(weight.steps)} steps")
    if list(weight.steps) != sorted(set(weight.steps)):
        raise UserError(f"{where}.steps={weight.steps} must rise")
