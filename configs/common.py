"""What recipes share: schedules, data sets, the stages that are quick to learn, and the run around.

A recipe is a function of keywords under ``@variants``; it names its network's fields, its stages
and its data, and ends with :func:`run` (the paper's) or :func:`small` (minutes on two cores).
"""

from __future__ import annotations

from typing import Any, Literal

from vqe_jax.training.inits import HIGH_PASS
from vqe_jax.training.variants import variants

__all__ = [
    "QP",
    "Width",
    "adam",
    "adversarial",
    "annealed",
    "by_eye",
    "charbonnier",
    "cosine",
    "demo",
    "fast_stage",
    "halved",
    "ldv",
    "mfqe_v2",
    "narrow",
    "powerqe",
    "run",
    "small",
    "small_frames",
    "stage",
    "stepped",
    "variants",
]

Config = dict[str, Any]
QP = Literal[22, 27, 32, 37, 42]
# The network of the paper; one for an hour, one for minutes on two CPU cores.
Width = Literal["full", "narrow", "small"]


def cosine(end: float, **changes: Any) -> Config:
    """A learning rate that falls to ``end`` along a cosine."""
    return {"name": "cosine", "end": end, **changes}


def halved(*fractions: float) -> Config:
    """A learning rate halved at these fractions of the stage."""
    return stepped(0.5, *fractions)


def stepped(factor: float | tuple[float, ...], *fractions: float, **changes: Any) -> Config:
    """A learning rate times ``factor``, or the one of its turn, at these fractions of the stage."""
    return {"name": "step", "fractions": fractions, "factor": factor, **changes}


def adam(*betas: float, **changes: Any) -> Config:
    """Adam with its betas; a gradient is clipped with ``clip_norm=1.0``."""
    return {"name": "adam", "betas": betas, **changes}


def charbonnier(eps: float = 1e-6, weight: float = 1.0, **options: Any) -> tuple[Any, ...]:
    """The loss that most papers train with, ``sqrt(x^2 + eps)``."""
    return ("charbonnier", weight, {"eps": eps, **options})


def frozen(*subtrees: str) -> tuple[tuple[str, float], ...]:
    """The ``rates`` of a stage that leaves parts of the network as they are."""
    return tuple((f"^{subtree}/", 0.0) for subtree in subtrees)


def quiet_end(path: str, factor: float = 0.1) -> tuple[tuple[str, float], ...]:
    """The ``rates`` of a stage whose last layer learns slower than the rest.

    The residual to be learned is faint. At the rate of the rest the first steps of a layer that
    begins at zero overshoot it, and what lies before shrinks until nothing comes through.
    """
    return ((path, factor),)


def stage(name: str, steps: int, learning_rate: float = 1e-4, **changes: Any) -> Config:
    """A stage; ``changes`` are further fields of :class:`vqe_jax.training.stages.Stage`."""
    return {"name": name, "steps": steps, "learning_rate": learning_rate, **changes}


def annealed(name: str, steps: int, learning_rate: float = 1e-4, **changes: Any) -> Config:
    """A stage as the BasicVSR family trains: Adam with 0.99, a cosine to nothing."""
    own = {"schedule": cosine(1e-7), "optimizer": adam(0.9, 0.99)}
    return stage(name, steps, learning_rate, **{**own, **changes})


def fast_stage(name: str, steps: int, learning_rate: float = 2e-3, **changes: Any) -> Config:
    """A stage that learns in few steps: it minimizes what PSNR measures, and starts fast."""
    own = {
        "losses": (("l2", 30.0),),
        "optimizer": adam(0.9, 0.99, clip_norm=1.0),
        "schedule": cosine(1e-5, warmup=min(200, steps // 10)),
        "ema": 0.999,
    }
    return stage(name, steps, learning_rate, **{**own, **changes})


def adversarial(*losses: Any, weight: float, loss: str = "ragan", **options: Any) -> Config:
    """Keys of a stage against a discriminator whose features need not match.

    Args:
      *losses: beside the discriminator's.
      weight: of its word.
      loss: how it compares what is real with what was made.
      **options: further fields of :class:`vqe_jax.training.game.Options`.
    """
    game = {"loss": loss, "weight": weight, "feature_matching": 0.0, **options}
    return {"kind": "adversarial", "losses": losses, "options": game}


def by_eye(every: int = 5_000) -> Config:
    """The ``eval`` of a run for the eye: LPIPS chooses the best model."""
    return {"split": "test", "every": every, "protocol": "lpips_alex"}


def mfqe_v2(qp: int | tuple[int, ...] = 37, **changes: Any) -> Config:
    """Crops of luma from MFQE's training sequences; several QPs are mixed."""
    name = f"qp{qp}" if isinstance(qp, int) else tuple(f"qp{one}" for one in qp)
    return {"dataset": "mfqe_v2", "config_name": name, **changes}


def ldv(track: str = "track1", **changes: Any) -> Config:
    """Crops in RGB from the LDV data set of NTIRE 2021."""
    return {"dataset": "ldv", "config_name": track, "color": "rgb", **changes}


def demo(frames: int, **changes: Any) -> Config:
    """Small crops of the demo clips, which come with scikit-image."""
    place = {"dataset": "demo", "config_name": "qp37"}
    return {**place, "frames": frames, "crop": 64, "batch": 8, **changes}


def run(model: str, fields: Config, *stages: Config, data: Config, **changes: Any) -> Config:
    """The run of a paper: validated on the test sequences, which chooses the best model.

    Args:
      model: the network's name.
      fields: its fields.
      *stages: in order, see :func:`stage`.
      data: see :func:`mfqe_v2`, :func:`ldv`.
      **changes: further fields of :class:`vqe_jax.training.stages.Run`.
    """
    own = {"eval": {"split": "test", "every": 5_000}, "checkpoint": {"every": 1_000}}
    base = {"model": model, "model_kwargs": fields, "data": data, "stages": stages}
    return {**base, **own, **changes}


def small(model: str, fields: Config, *stages: Config, frames: int = 3, **changes: Any) -> Config:
    """A narrow network on demo clips, minutes on two cores; by default in one fast stage."""
    stages = stages or (fast_stage(model, 1_500),)
    every = max(stages[0]["steps"] // 3, 1)
    own = {"eval": {"split": "val", "every": every, "frames": 12}, "checkpoint": {"every": every}}
    return run(model, fields, *stages, **{"data": demo(frames), **own, **changes})


def small_frames(
    model: str,
    fields: Config,
    steps: int = 1_200,
    *,
    frames: int = 1,
    last: str = "last",
    init: tuple[Any, ...] = (),
    rate: float = 2e-3,
) -> Config:
    """A narrow network on RGB crops of the demo clips, blind to brightness, no residual at first.

    Args:
      model: the network's name.
      fields: its fields.
      steps: of its one stage.
      frames: of a clip.
      last: path of the convolution that gives the residual.
      init: how further parameters begin.
      rate: at which it learns.
    """
    init = (*HIGH_PASS, *init, (f"^{last}/kernel$", "zeros"))
    only = fast_stage(model, steps, rate, init=init)
    return small(model, fields, only, data=demo(frames, color="rgb"))


def powerqe(
    model: str, fields: Config, *, frames: int = 1, video: bool = False, **changes: Any
) -> Config:
    """What PowerQE trains every network with: RGB, Adam, a cosine, 500,000 steps.

    Args:
      model: the network's name.
      fields: its fields.
      frames: of a clip.
      video: it takes several frames, as where ``frames`` says so: a Charbonnier loss, batches of 16
        crops of 256; otherwise L1, batches of 32 crops of 128.
      **changes: further fields of the stage.
    """
    video = video or frames > 1
    data: Config = {"crop": 256, "batch": 16} if video else {"crop": 128, "batch": 32}
    own = {
        "losses": (charbonnier(1e-12),) if video else (("l1", 1.0),),
        "schedule": cosine(1e-7),
        "optimizer": adam(0.9, 0.999),
    }
    only = stage(model, 500_000, 1e-4, **{**own, **changes})
    return run(model, fields, only, data=ldv(frames=frames, **data))


def narrow(model: str, fields: Config, *stages: Config, data: Config, **changes: Any) -> Config:
    """A narrow network on the reader's own folder (data set ``clips``), an hour on one core."""
    own = {"eval": {"split": "val", "every": 2_500, "frames": 24}}
    return run(model, fields, *stages, data={**data, "dataset": "clips"}, **{**own, **changes})
