"""ASTF: stage 1, EnhanceNet1, EnhanceNet2, in one file (CVPRW 2021, NTIRE 2021 track 2).

    python train.py --config configs/astf.py --workdir runs/astf --config.data.data_dir=DIR

Three stages of training: the first network on Charbonnier; then, on its results and with it frozen,
EnhanceNet1 on LPIPS (VGG) and EnhanceNet2 on Charbonnier and LPIPS, both starting from the weights
of stage 1. ``last.safetensors`` holds all three and gives the fusion; ``output`` chooses another
step. The LPIPS weights: ``python -m vqe_jax.weights fetch lpips_vgg``.

Variants, after a colon:
  default     64 channels, 30 blocks, 15 frames of 64x64, batch 8, 300,000 steps a stage; LDV's
              190/10 split.
  literal     the other text's ``3 * Charbonnier + LPIPS``, taken literally.
  cached      the second stage's input is read from disk, whole clips restored once instead of
              crops at every step. Train stage 1 alone first (``first``), then make its results:
              ``python -m vqe_jax.training.stage_inputs runs/first --dataset ldv --config_name
              track1_190_10 --to data/astf_stage1``. It starts from
              ``runs/first/last.safetensors``.
  first       stage 1 alone.
  narrow      16 channels, 3 blocks, narrow flow networks, AlexNet for VGG, 5 frames of 64x64, batch
              2, 2,400 + 900 + 900 steps on your own clips (data set `clips`): an hour on one core;
              docs/results.md.
  small       8 channels, 2 blocks, narrow flow networks, AlexNet for VGG, the demo data.
  spynet=PATH with a comma behind any of these: official SPyNet weights to start from; see
              configs/basicvsr.py.

Adam (0.9, 0.99, 1e-8), 2e-4, cosine, flips and rotations. Lengths, periods, batch and clip length
are not published; BasicVSR's stand in.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from configs.basicvsr import FULL, NARROW, SMALL, data, evaluation, flow_start, parse_variant

# 0.15 * sum over a 64x64x3 patch in 0..255, against 10000 * LPIPS, is 47 * mean in 0..1 against 1.
_CHARBONNIER = {"literal": 3.0}
_USUAL_CHARBONNIER = 47.0
_VARIANTS = ("default", "literal", "cached", "first", "narrow", "small")
_WIDTHS = {"narrow": NARROW, "small": SMALL}

# Steps and rates of the variants that two cores can train.
_STEPS = {"narrow": {"stage1": 2_400, "enhance1": 900, "enhance2": 900}}

# Where the "cached" variant reads the first stage's frames.
_CACHE = "data/astf_stage1"
_FIRST = "runs/first/last.safetensors"


def get_config(variant: str = "default") -> ConfigDict:
    """The recipe; ``variant`` as above."""
    name, spynet = parse_variant(variant, _VARIANTS)
    small = name in _WIDTHS
    crops = data(small)
    if not small:
        crops["config_name"] = "track1_190_10"
    elif name == "narrow":
        crops["dataset"] = "clips"
    return ConfigDict(
        {
            "model": "astf",
            "model_kwargs": _WIDTHS.get(name, FULL),
            "data": crops,
            "stages": _stages(name, spynet),
            # The first stage is there for fidelity, the fusion of all three for the eye.
            "eval": evaluation(small) | ({} if name == "first" else {"protocol": "lpips_alex"}),
            "checkpoint": {"every": 200 if small else 5000},
            "source": f"configs/astf.py:{variant}",
        }
    )


def _stages(name: str, spynet: str) -> tuple[dict[str, Any], ...]:
    lpips = ("lpips", 1.0, {"net": "alex" if name in _WIDTHS else "vgg"})
    fidelity = ("charbonnier", _CHARBONNIER.get(name, _USUAL_CHARBONNIER), {"eps": 1e-12})
    later = {"lr_scales": ((r"/spynet/", 0.125),)}
    first = {
        **_stage(name, "stage1", [("charbonnier", 1.0, {"eps": 1e-12})]),
        **flow_start(spynet, "stage1"),
        "model_kwargs": {"output": "stage1"},
    }
    one = {
        **_stage(name, "enhance1", [lpips]),
        **later,
        "start": "stage1",
        "parts": (("enhance1", "stage1"), ("enhance2", "stage1")),
        "model_kwargs": {"output": "enhance1"},
    }
    two = {
        **_stage(name, "enhance2", [fidelity, lpips]),
        **later,
        "start": "enhance1",
        # Training sees EnhanceNet2; validation and the model file the fusion of all three.
        "model_kwargs": {"output": "fuse", "trains": "enhance2"},
    }
    if name == "first":
        return (first,)
    if name != "cached":
        return (first, one, two)
    for stage in (one, two):
        stage["data"] = {"inputs_dir": _CACHE}
        stage["model_kwargs"]["trains_on"] = "stage1"
    return ({**one, "start": _FIRST}, two)


def _stage(name: str, trained: str, losses: list[Any]) -> dict[str, Any]:
    others = [part for part in ("stage1", "enhance1", "enhance2") if part != trained]
    small = name in _WIDTHS
    steps = _STEPS.get(name, {}).get(trained, 400 if small else 300_000)
    return {
        "name": trained,
        "steps": steps,
        "learning_rate": 1e-3 if small else 2e-4,
        "schedule": {"name": "cosine", "end": 1e-7},
        "optimizer": {"name": "adam", "betas": (0.9, 0.99), "eps": 1e-8},
        "frozen": tuple(f"^{part}/" for part in others),
        "losses": tuple(losses),
    }
