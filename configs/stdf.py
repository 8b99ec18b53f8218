"""STDF: Spatio-Temporal Deformable Convolution for Video Quality Enhancement (Deng, AAAI 2020).

  python -m vqe_jax.data mfqe_v2 --data_dir data --source MFQEv2 --qp 37
  python train.py --config configs/stdf.py --workdir runs/stdf

The default is STDF-R3 as the authors' code trains it: windows of 7 frames, crops of 128, batch 32,
Adam at a constant 1e-4, Charbonnier loss, 300,000 steps. Published gain in PSNR-Y at QP 37 on the
18 test sequences: 0.65 dB (R1), 0.75 dB (R3), 0.83 dB (R3L); the released R3 gains 0.78 dB. It
wants a GPU.

Variants:
  default, qp22, qp27, qp32, qp37, qp42   STDF-R3 (default: qp37)
  r1, r3l      STDF-R1; STDF-R3L, with widths that its published parameter count fits
  rgb          STDF-R3 on RGB
  clips        STDF-R3 on your own folder (data set `clips`)
  narrow       a narrow STDF-R3, half an hour on one core (data set `clips`); docs/results.md
  small, demo  a narrow STDF-R1, a few minutes on two cores (data set `demo`)
  smoke        a handful of steps of it, to see it run
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

QPS = (22, 27, 32, 37, 42)

SMALL = {
    "radius": 1,
    "features": 8,
    "depth": 2,
    "fused_features": 16,
    "qe_features": 12,
    "qe_depth": 5,
}

NARROW = {
    "features": 16,
    "fused_features": 32,
    "qe_features": 24,
    "weight_init": "high_pass",
}


def data(qp: int, **changes: Any) -> dict[str, Any]:
    """Crops of luma from MFQE's training sequences."""
    place = {"data_dir": "data", "dataset": "mfqe_v2", "config_name": f"qp{qp}"}
    return {**place, "color": "luma", "frames": 7, "crop": 128, "batch": 32, **changes}


def small_data(**changes: Any) -> dict[str, Any]:
    """Small crops of the demo clips."""
    return data(37, dataset="demo", **{"frames": 3, "crop": 64, "batch": 8, **changes})


def window_stage(steps: int, **changes: Any) -> dict[str, Any]:
    """Single frames out of whole windows."""
    return {
        "name": "windows",
        "steps": steps,
        "learning_rate": 1e-4,
        "losses": (("charbonnier", 1.0, {"eps": 1e-6}),),
        **changes,
    }


def _paper(qp: int, **model_kwargs: Any) -> ConfigDict:
    radius = model_kwargs.get("radius", 3)
    color = "rgb" if model_kwargs.get("channels") == 3 else "luma"
    return ConfigDict(
        {
            "model": "stdf",
            "model_kwargs": model_kwargs,
            "data": data(qp, frames=2 * radius + 1, color=color),
            "stages": (window_stage(300_000),),
            "eval": {"split": "test", "every": 5_000},
            "checkpoint": {"every": 1_000, "keep": 2},
            "source": f"trained by configs/stdf.py on MFQEv2 at QP {qp}",
        }
    )


def _small(steps: int) -> ConfigDict:
    schedule = {"name": "cosine", "end": 1e-5, "warmup": min(100, steps)}
    every = max(steps // 3, 1)
    return ConfigDict(
        {
            "model": "stdf",
            "model_kwargs": SMALL,
            "data": small_data(),
            "stages": (window_stage(steps, learning_rate=1e-3, schedule=schedule, ema=0.99),),
            "eval": {"split": "val", "every": every, "frames": 12},
            "checkpoint": {"every": every, "keep": 2},
            "source": "trained by configs/stdf.py:small",
        }
    )


def _narrow(steps: int) -> ConfigDict:
    """Small crops and a squared error, which learns faster than Charbonnier's in few steps."""
    stage = window_stage(
        steps,
        learning_rate=2e-3,
        losses=(("l2", 30.0),),
        optimizer={"name": "adam", "betas": (0.9, 0.99), "clip_norm": 1.0},
        schedule={"name": "cosine", "end": 1e-5, "warmup": 200},
        ema=0.999,
    )
    return ConfigDict(
        {
            "model": "stdf",
            "model_kwargs": NARROW,
            "data": data(37, dataset="clips", crop=48, batch=8),
            "stages": (stage,),
            "eval": {"split": "val", "every": 2_500, "frames": 24},
            "checkpoint": {"every": 1_000, "keep": 2},
            "source": "trained by configs/stdf.py:narrow",
        }
    )


def get_config(variant: str = "default") -> ConfigDict:
    """The config of a variant; see the top of this file.

    Raises:
      KeyError: an unknown variant.
    """
    if variant == "clips":
        config = _paper(37)
        config.data.dataset = "clips"
        config.eval.split = "val"
        return config
    variants = {
        "default": lambda: _paper(37),
        **{f"qp{qp}": (lambda qp=qp: _paper(qp)) for qp in QPS},
        "r1": lambda: _paper(37, radius=1),
        "r3l": lambda: _paper(37, features=64, qe_features=64, qe_depth=16),
        "rgb": lambda: _paper(37, channels=3),
        "narrow": lambda: _narrow(10_000),
        "small": lambda: _small(1_500),
        "demo": lambda: _small(1_500),
        "smoke": lambda: _small(6),
    }
    return variants[variant]()
