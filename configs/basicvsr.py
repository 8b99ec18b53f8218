"""BasicVSR without pixel-shuffle, for enhancement (Chan et al., CVPR 2021; VUE, NTIRE 2021).

    python train.py --config configs/basicvsr.py --workdir runs/basicvsr --config.data.data_dir=DIR

Variants, after a colon:
  default     the published recipe at full resolution: 64 channels, 30 blocks, 15 frames of 64x64,
              batch 8, 300,000 steps. Fits a 16 GB GPU (benchmarks/basicvsr_memory.py).
  small       8 channels, 2 blocks and a narrow flow network on the demo data; minutes on two cores.
  x4          the super-resolution network of the paper, for its shapes and weights.
  spynet=PATH with a comma behind any of these: official SPyNet weights (.npz, .pth, .safetensors)
              start the flow network, which is then frozen for 5,000 steps, as published. Without
              them it starts with no motion at all and learns from the first step. Its rate is an
              eighth of the others' either way. The weights are for non-commercial research only.

Adam (0.9, 0.99), 2e-4, cosine to 1e-7, Charbonnier with eps 1e-12, flips and rotations.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

_SPYNET_LR, _SPYNET_HELD = 0.125, 5000

FULL = {"features": 64, "blocks": 30}
# Few steps are for learning the residual, so it starts from nothing.
SMALL = {
    "features": 8,
    "blocks": 2,
    "flow_levels": 4,
    "flow_widths": (8, 16, 8),
    "zero_output": True,
}

# Half an hour on one core.
NARROW = {
    "features": 16,
    "blocks": 3,
    "flow_levels": 4,
    "flow_widths": (8, 16, 8),
    "zero_output": True,
    "weight_init": "high_pass",
    "remat": False,
}


def get_config(variant: str = "default") -> ConfigDict:
    """The recipe; ``variant`` as above."""
    name, spynet = parse_variant(variant, ("default", "small", "x4"))
    small = name == "small"
    steps = 600 if small else 300_000
    stage = {
        "name": "basicvsr",
        "steps": steps,
        "learning_rate": 1e-3 if small else 2e-4,
        "schedule": {"name": "cosine", "end": 1e-7},
        "optimizer": {"name": "adam", "betas": (0.9, 0.99), "eps": 1e-8},
        "losses": (("charbonnier", 1.0, {"eps": 1e-12}),),
        "ema": 0.99 if small else 0.0,
        **flow_start(spynet),
    }
    return ConfigDict(
        {
            "model": "basicvsr",
            "model_kwargs": SMALL if small else {**FULL, "upscale": 4 if name == "x4" else 1},
            "data": data(small),
            "stages": (stage,),
            "eval": evaluation(small),
            "checkpoint": {"every": 200 if small else 5000},
            "source": f"configs/basicvsr.py:{variant}",
        }
    )


def parse_variant(variant: str, known: tuple[str, ...]) -> tuple[str, str]:
    """The variant's name, and the path behind ``spynet=`` or nothing.

    Raises:
      ValueError: something else.
    """
    name, _, option = variant.partition(",")
    key, _, path = option.partition("=")
    if name.startswith("spynet="):
        name, key, path = "default", "spynet", name.partition("=")[2]
    if name not in known or key not in ("", "spynet") or (key and not path):
        raise ValueError(f"variant {variant!r}; expected {', '.join(known)}, or one of them "
                         "with ',spynet=PATH' behind it")  # fmt: skip
    return name, path


def flow_start(path: str, *subtrees: str) -> dict[str, Any]:
    """Keys of a stage for its flow networks, which start from official weights if given."""
    flows = [f"{tree}/spynet" for tree in subtrees] or ["spynet"]
    slow = {"lr_scales": tuple((f"^{flow}/", _SPYNET_LR) for flow in flows)}
    if not path:
        return slow
    return {
        **slow,
        "parts": tuple((flow, path) for flow in flows),
        "freeze_steps": tuple((f"^{flow}/", _SPYNET_HELD) for flow in flows),
    }


def data(small: bool) -> dict[str, Any]:
    """Crops in RGB: of LDV's track 1, or of the demo clips."""
    place = {"dataset": "demo", "config_name": "qp37"} if small else {
        "dataset": "ldv", "config_name": "track1"
    }  # fmt: skip
    return {
        "data_dir": "data",
        **place,
        "color": "rgb",
        "frames": 5 if small else 15,
        "crop": 64,
        "batch": 2 if small else 8,
    }


def evaluation(small: bool) -> dict[str, Any]:
    """Validation by PSNR in RGB."""
    return {"every": 200 if small else 5000, "frames": 10 if small else None}
