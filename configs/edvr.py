"""EDVR for compressed video: MT.MaxClear (NTIRE 2021, 4.5), PowerVQE, PowerQE (Wang, CVPRW 2019).

  python -m vqe_jax.data ldv --data-dir data --help
  python train.py --config configs/edvr.py --workdir runs/edvr
  python evaluate.py runs/edvr --dataset ldv --split test --self-ensemble

The default is MT.MaxClear's: EDVR with a Charbonnier loss and two regularizers of its deformable
offsets whose weights fall to zero while it trains; it was evaluated with flips and rotations (and
several models). The report tells neither size nor schedule: M at a quarter of the frame's size
here, as PowerVQE trains it (5 frames, crops of 256, batch 32, Adam at 2e-4 that falls along a
cosine to 1e-7, 600,000 steps). MT.MaxClear gained 1.35 dB in RGB on track 3, with private data.
Eight large GPUs.

Variants:
  track1, track3   HM at QP 37 (default: track1), x265 at 200 kbps
  l                128 channels, 40 blocks
  powervqe         M without the regularizers; published, trained on LDV 2.0: 0.878 dB in RGB on
                   that set's 15 test videos, 0.750 dB in Y on 16 of the JCT-VC sequences
  powerqe          32 channels, 3 frames, no attention, at full size; PowerQE's schedule
  small, demo      8 channels, 3 frames: minutes on two cores (data set `demo`); its last
                   validation said 0.04 dB in RGB (2026-11, 2 CPU cores)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_STEPS = 600_000
_M = {"strided": True}
_L = {**_M, "features": 128, "reconstruction_blocks": 40}
_POWERQE = {
    "features": 32,
    "frames": 3,
    "extraction_blocks": 2,
    "reconstruction_blocks": 5,
    "tsa": False,
}
# What a narrow EDVR's trunk has in each network that holds one.
NARROW = {
    "features": 8,
    "deform_groups": 2,
    "extraction_blocks": 1,
    "reconstruction_blocks": 2,
    "remat": False,
}
SMALL = {**NARROW, "frames": 3}
# Blind to brightness, blocks near the identity, no offsets and no residual at first.
INIT: tuple[tuple[Any, ...], ...] = (
    *HIGH_PASS,
    ("conv2/kernel$", "kaiming", {"scale": 0.1}),
    ("offset/kernel$", "zeros"),
    ("conv_last/kernel$", "zeros"),
)

# Of small recipes: what runs away, or shuts what comes before it, while the residual is noise yet:
# the offsets and the correlations with the middle frame (a sigmoid of their sum). The last layer,
# which does so too, has another name in each network (`common.quiet_end`).
STEADY: tuple[tuple[Any, ...], ...] = (("fusion/temporal_.*kernel$", "kaiming", {"scale": 0.1}),)
SLOW = (("offset", 0.1), ("fusion/temporal_", 0.1))
# Layers of one convolution that are to pass on what they get: of a narrow network that adds its
# result to the frame nothing is left else where the residual is made.
PASSING = (
    r"(deform/conv|l\d_feature|fusion/fusion|pyramid/l\d_conv\d|conv_hr|joined)/kernel$",
    "pass_on",
)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track1",
    net: Literal["m", "l", "powervqe", "powerqe"] = "m",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage("edvr", 500, init=INIT)
        few["losses"] += regularizers(500)
        return common.small("edvr", SMALL, few, data=common.demo(3, crop=32, color="rgb"))
    if net == "powerqe":
        return common.powerqe("edvr", _POWERQE, frames=3)
    stage = common.stage(
        "edvr",
        _STEPS,
        2e-4,
        losses=(common.charbonnier(1e-12), *(() if net == "powervqe" else regularizers(_STEPS))),
        schedule=common.cosine(1e-7),
    )
    data = common.ldv(track, frames=5, crop=256, batch=32)
    return common.run("edvr", _L if net == "l" else _M, stage, data=data)


def regularizers(steps: int, weight: float = 1e-3) -> tuple[dict[str, Any], ...]:
    """Both losses of the offsets, with weights that fall to zero over the steps."""
    falling = {"values": (weight, 0.0), "steps": (0, steps)}
    return tuple(
        {"name": name, "weight": falling, "of": "offsets"}
        for name in ("offset_tv", "offset_deviation")
    )
