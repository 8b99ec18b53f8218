"""Gogoing's system of NTIRE 2021, tracks 1 and 3: EDVR's alignment, then a residual U-Net.

    python train.py --config configs/gogoing.py --workdir runs/gogoing --config.data.data_dir=DIR

The report's recipe: seven frames, RGB crops of 256, batch 12, flips and quarter turns, Adam from
4e-4 along cosines with restarts, squared error. Published: 31.86 dB on track 1 (compressed video:
30.54), 29.44 dB on track 3 (28.34), with four flips and turns averaged, 8.5 and 6.8 s a frame on a
V100. The report names no periods; those of BasicSR, whose schedule it names, for EDVR at this rate
stand in. It wants a GPU.

Variants:
  track3       the data of track 3
  picture      the first stage hands on a picture instead of features
  small, demo  8 channels, three frames, luma of the demo data: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import SLOW, STEADY
from vqe_jax.training.inits import HIGH_PASS

_PERIODS = (50_000, 100_000, 150_000, 150_000, 150_000)
SMALL = {"channels": 1, "frames": 3, "features": 8, "deform_groups": 2, "extraction_blocks": 1}
SMALL |= {"levels": 2, "blocks": 1, "reduction": 4, "remat": False}
# Neither offsets nor a residual at first; the U-Net as its authors' layers begin, since its groups
# and shuffles have no activations to lose what Kaiming's gain adds.
INIT = (
    *HIGH_PASS,
    ("conv2/kernel$", "kaiming", {"scale": 0.1}),
    ("/offset/kernel$", "zeros"),
    *STEADY,
    ("^spatial/", "keep"),
    ("^conv_last/kernel$", "zeros"),
)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track1",
    handed: Literal["features", "picture"] = "features",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    fields = {"handed": handed}
    if width == "small":
        slow = (*SLOW, *common.quiet_end("conv_last/"))
        few = common.fast_stage("gogoing", 500, 1e-3, init=INIT, ema=0.99, rates=slow)
        data = common.demo(frames=3, crop=32, batch=4)
        return common.small("gogoing", {**SMALL, **fields}, few, data=data)
    restarts = common.cosine(1e-7, periods=_PERIODS)
    losses = (("l2", 1.0),)
    only = common.annealed("gogoing", sum(_PERIODS), 4e-4, losses=losses, schedule=restarts)
    data = common.ldv(track, frames=7, crop=256, batch=12)
    return common.run("gogoing", fields, only, data=data)
