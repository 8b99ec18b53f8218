"""ASTF: stage 1, EnhanceNet1, EnhanceNet2, in one file (CVPRW 2021, NTIRE 2021 track 2).

    python train.py --config configs/astf.py --workdir runs/astf --config.data.data_dir=DIR

Three stages of training: the first network on Charbonnier; then, on its results and with it frozen,
EnhanceNet1 on LPIPS (VGG) and EnhanceNet2 on Charbonnier and LPIPS, both starting from the weights
of stage 1. ``last.safetensors`` holds all three and gives the fusion; ``output`` chooses another
step. The LPIPS weights: ``python -m vqe_jax.weights fetch lpips_vgg``.

Variants:
  default     64 channels, 30 blocks, 15 frames of 64x64, batch 8, 300,000 steps a stage; LDV's
              190/10 split.
  literal     the other text's ``3 * Charbonnier + LPIPS``, taken literally.
  cached      the second stage's input is read from disk, whole clips restored once instead of
              crops at every step. Train stage 1 alone first (``first``), then make its results:
              ``python -m vqe_jax.training.stage_inputs runs/first --dataset ldv --config-name
              track1_190_10 --to data/astf_stage1``. It starts from
              ``runs/first/last.safetensors``.
  first       stage 1 alone.
  narrow      16 channels, 3 blocks, narrow flow networks, AlexNet for VGG, 5 frames of 64x64, batch
              2, 1,500 + 600 + 700 steps on your own clips and photographs in motion (data sets
              `clips` and `scenes`, QP 37): most of an hour on one core; docs/results.md.
  small, demo 8 channels, 2 blocks, narrow flow networks, AlexNet for VGG, the demo data.
  spynet=PATH official SPyNet weights to start from; see
              configs/basicvsr.py.

Adam (0.9, 0.99, 1e-8), 2e-4, cosine, flips and rotations. Lengths, periods, batch and clip length
are not published; BasicVSR's stand in.
"""

from typing import Any

from vqe_jax.recipes import basicvsr, common, stdf
from vqe_jax.recipes.common import Width, variants

# 0.15 * sum over a 64x64x3 patch in 0..255, against 10000 * LPIPS, is 47 * mean in 0..1 against 1.
_CHARBONNIER, _CHARBONNIER_IN_WORDS = 47.0, 3.0

# Where the "cached" variant reads the first stage's frames, and what made them.
_CACHE, _FIRST = "data/astf_stage1", "runs/first/last.safetensors"
# What leads to the residual hands its input on at first.
_NARROW_INIT = (*basicvsr.INIT, ("/(fusion|conv_hr)/kernel$", "pass_on"))
_STEPS = {
    "full": {"stage1": 300_000, "enhance1": 300_000, "enhance2": 300_000},
    "narrow": {"stage1": 1_500, "enhance1": 600, "enhance2": 700},
    "small": {"stage1": 400, "enhance1": 400, "enhance2": 400},
}


@variants
def get_config(
    literal: bool = False,
    cached: bool = False,
    first: bool = False,
    spynet: str = "",
    width: Width = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    stages = _stages(width, spynet, _CHARBONNIER_IN_WORDS if literal else _CHARBONNIER)
    own = basicvsr.rhythm(width)
    if first:
        stages = stages[:1]
    else:  # stage 1 is there for fidelity, the fusion of all three for the eye
        own["eval"]["protocol"] = "lpips_alex"
        stages = _from_disk(*stages[1:]) if cached else stages
    mixed: dict[str, Any] = {"dataset": "clips", "config_name": ("qp37", "scenes/qp37")}
    track: dict[str, Any] = {"config_name": "track1_190_10"}
    place: dict[str, dict[str, Any]] = {"full": track, "narrow": mixed}
    if width == "narrow":
        own["eval"] |= {"every": 500, "config_name": "qp37"}
        own["source"] = stdf.SOURCE.format("astf")
    data = basicvsr.crops(width) | place.get(width, {})
    return common.run("astf", basicvsr.FIELDS[width], *stages, data=data, **own)


def _stages(width: str, spynet: str, charbonnier: float) -> tuple[dict[str, Any], ...]:
    lpips = ("lpips", 1.0, {"net": "vgg" if width == "full" else "alex"})
    fidelity = common.charbonnier(1e-12, charbonnier)
    slow = {"rates": ((r"/spynet/", 0.125),)}
    begin = basicvsr.flow_start(spynet, "stage1")
    if width == "narrow":
        begin |= {"init": _NARROW_INIT}
        begin["rates"] += common.quiet_end("/conv_last/", 0.2)
    one = _stage(width, "stage1", **begin)
    two = _stage(
        width,
        "enhance1",
        losses=(lpips,),
        start="stage1",
        parts=(("enhance1", "stage1"), ("enhance2", "stage1")),
        **slow,
    )
    # Training sees EnhanceNet2; validation and the model file the fusion of all three.
    of_two = tuple((*term, "enhance2") for term in (fidelity, lpips))
    three = _stage(
        width,
        "enhance2",
        losses=of_two,
        start="enhance1",
        model_kwargs={"output": "fuse"},
        **slow,
    )
    return one, two, three


def _stage(width: str, trained: str, **changes: Any) -> dict[str, Any]:
    others = (part for part in _STEPS[width] if part != trained)
    changes["rates"] += common.frozen(*others)
    own = {"model_kwargs": {"output": trained}}
    return basicvsr.stage(trained, _STEPS[width][trained], width, **{**own, **changes})


def _from_disk(*stages: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The later stages on results of the first that were written before."""
    for stage in stages:
        stage["data"] = {"inputs_dir": _CACHE}
        stage["model_kwargs"] = {**stage["model_kwargs"], "trains_on": "stage1"}
    stages[0]["start"] = _FIRST
    return stages
