"""RFDA: Recursive Fusion and Deformable Spatiotemporal Attention (Zhao et al., ACM MM 2021).

  python -m vqe_jax.data mfqe_v2 --data_dir data --source MFQEv2 --qp 37
  python train.py --config configs/rfda.py --workdir runs/rfda

Two stages. First without recursion, frame by frame: windows of 7 frames, crops of 112, batch 32,
1e-4 halved at 60 % and 90 % of 300,000 steps. Then with it, on clips of 15 frames and through
time: the loss is summed over the frames, the recursion learns at 1e-4 and what stage 1 trained at
a tenth of that; crops, batch and schedule are those of the authors' code (96, 8 a GPU on two GPUs,
halved at 80 % and 90 % of 100,000 steps). Published gain in PSNR-Y at QP 37: 0.91 dB.

Variants:
  default, qp22, qp27, qp32, qp37, qp42   both stages (default: qp37)
  paper          what the paper's text says where the code differs: the first frame's features
                 unchanged, no last ReLU, crops of 112 and batch 32, halved at 60 % and 90 %
  stdf_r3, stdf_r4                  neither RF nor DSTA; radius 3 and 4
  rf, dsta       one of the two alone
  one_stage      RF and DSTA trained together from scratch on clips
  no_deformable, no_channel         DSTA without that part
  rf15           the past forgotten every 15 frames
  conv_lstm      a ConvLSTM in place of RF
  clips          the default on your own folder (data set `clips`)
  narrow         RF and DSTA put into the network of configs/stdf.py:narrow, which
                 runs/stdf/last.safetensors holds: minutes on one core (data set `clips`);
                 docs/results.md
  small, demo    a narrow one in two stages, minutes on two cores (data set `demo`)
  smoke          a handful of steps of it, to see it run
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from configs import stdf

_STEPS = (300_000, 100_000)
_ALONE = {"recursive_fusion": "none"}


def _halved(*fractions: float) -> dict[str, Any]:
    return {"name": "step", "fractions": fractions, "factor": 0.5}


def _first_stage(steps: int, **changes: Any) -> dict[str, Any]:
    changes = {"schedule": _halved(0.6, 0.9), "model_kwargs": _ALONE, **changes}
    return stdf.window_stage(steps, **changes)


def _clip_stage(steps: int, **changes: Any) -> dict[str, Any]:
    """The whole network through time, the loss summed over the frames of a clip."""
    return {
        "name": "clips",
        "steps": steps,
        "learning_rate": 1e-4,
        "schedule": _halved(0.8, 0.9),
        "losses": (("charbonnier", 1.0, {"eps": 1e-6, "reduction": "frame_sum"}),),
        "data": {"frames": 15, "crop": 96, "batch": 16},
        **changes,
    }


def _second_stage(steps: int, **changes: Any) -> dict[str, Any]:
    slower = (("^fusion/", 0.1), ("^enhancement/", 0.1))
    return _clip_stage(
        steps, **{"start": "previous", "fresh": ("^recursion/",), "lr_scales": slower, **changes}
    )


def _config(qp: int, stages: tuple[dict[str, Any], ...], **model_kwargs: Any) -> ConfigDict:
    return ConfigDict(
        {
            "model": "rfda",
            "model_kwargs": model_kwargs,
            "data": stdf.data(qp, frames=2 * model_kwargs.get("radius", 3) + 1, crop=112),
            "stages": stages,
            "eval": {"split": "test", "every": 5_000},
            "checkpoint": {"every": 1_000, "keep": 2},
            "source": f"trained by configs/rfda.py on MFQEv2 at QP {qp}",
        }
    )


def _both(qp: int = 37, **model_kwargs: Any) -> ConfigDict:
    first, second = _STEPS
    return _config(qp, (_first_stage(first), _second_stage(second)), **model_kwargs)


def _windows(**model_kwargs: Any) -> ConfigDict:
    return _config(37, (_first_stage(_STEPS[0]),), **_ALONE, **model_kwargs)


def _paper() -> ConfigDict:
    second = _second_stage(
        _STEPS[1],
        schedule=_halved(0.6, 0.9),
        data={"frames": 15, "crop": 112, "batch": 32},
    )
    return _config(37, (_first_stage(_STEPS[0]), second), first_state="identity", last_relu=False)


def _small(first: int, second: int) -> ConfigDict:
    def changes(steps: int) -> dict[str, Any]:
        schedule = {"name": "cosine", "end": 1e-5, "warmup": min(50, steps)}
        return {"learning_rate": 1e-3, "schedule": schedule, "ema": 0.99}

    config = _config(
        37,
        (
            _first_stage(first, **changes(first)),
            _second_stage(second, data={"frames": 7, "crop": 48, "batch": 2}, **changes(second)),
        ),
        **stdf.SMALL,
    )
    config.data = ConfigDict(stdf.small_data())
    config.eval = ConfigDict({"split": "val", "every": max(first // 3, 1), "frames": 12})
    config.checkpoint = ConfigDict({"every": max(first // 3, 1), "keep": 2})
    config.source = "trained by configs/rfda.py:small"
    return config


def _narrow(steps: int) -> ConfigDict:
    """RF and DSTA begin as nearly nothing, so that the first step is STDF's result.

    The rest is held: on few clips it learns them by heart, even at a tenth of the rate.
    """
    stage = _clip_stage(
        steps,
        start="runs/stdf/last.safetensors",
        fresh=("^recursion/", "^enhancement/attention"),
        frozen=("^fusion/", "^enhancement/(conv|in_conv|out_conv)"),
        learning_rate=1e-3,
        losses=(("l2", 30.0),),
        optimizer={"name": "adam", "betas": (0.9, 0.99), "clip_norm": 1.0},
        schedule={"name": "cosine", "end": 1e-5, "warmup": 100},
        ema=0.995,
        data={"frames": 7, "crop": 48, "batch": 2},
    )
    config = _config(37, (stage,), **stdf.NARROW)
    config.data.dataset = "clips"
    config.eval = ConfigDict({"split": "val", "every": 150, "frames": 24})
    config.source = "trained by configs/rfda.py:narrow"
    return config


def get_config(variant: str = "default") -> ConfigDict:
    """The config of a variant; see the top of this file.

    Raises:
      KeyError: an unknown variant.
    """
    if variant == "clips":
        config = _both()
        config.data.dataset = "clips"
        config.eval.split = "val"
        return config
    variants = {
        "default": _both,
        **{f"qp{qp}": (lambda qp=qp: _both(qp)) for qp in stdf.QPS},
        "paper": _paper,
        "stdf_r3": lambda: _windows(attention="none"),
        "stdf_r4": lambda: _windows(attention="none", radius=4),
        "rf": lambda: _both(attention="none"),
        "dsta": _windows,
        "one_stage": lambda: _config(37, (_clip_stage(sum(_STEPS)),)),
        "no_deformable": lambda: _both(attention="no_deformable"),
        "no_channel": lambda: _both(attention="no_channel"),
        "rf15": lambda: _both(reset_every=15),
        "conv_lstm": lambda: _both(recursive_fusion="conv_lstm"),
        "narrow": lambda: _narrow(450),
        "small": lambda: _small(1_500, 300),
        "demo": lambda: _small(1_500, 300),
        "smoke": lambda: _small(4, 2),
    }
    return variants[variant]()
