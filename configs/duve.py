"""DUVE of the VIP&DJI team (NTIRE 2021, section 4.12, track 3).

  python -m vqe_jax.data ldv --data-dir data --help
  python train.py --config configs/duve.py --workdir runs/duve
  python evaluate.py runs/duve --dataset ldv --split test --self-ensemble

Five frames, squared error, evaluated with flips and rotations, as the report has them; it names
neither crop, batch, optimizer nor length, and no training code was released. These are ours: crops
of 128, batch 16, Adam at 1e-4 that falls along a cosine, 300,000 steps. Published on track 3: 29.28
dB in RGB, where the compressed videos have 28.34 dB, trained with the team's SkyPixel clips beside
LDV. 219,659,435 parameters: several large GPUs.

Variants:
  track1, track3   HM at QP 37, x265 at 200 kbps (default: track3, the team's)
  small, demo      8 features, the frame added to the result: minutes on two cores (`demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common, cvqenet
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_SMALL = {"features": 8, "blocks1": 1, "blocks2": 1, "reduction": 4, "residual": True}
# Blocks near the identity and no residual at first; convolutions without an activation behind them
# keep what comes in, and do not let it grow from one U-Net to the next.
_INIT = (
    *HIGH_PASS,
    ("conv2/kernel$", "kaiming", {"scale": 0.1}),
    (r"(narrow|fuse|_tail|wider\d)/kernel$", "kaiming", {"scale": 0.7}),
    ("^conv_tail/kernel$", "zeros"),
)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track3", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage(
            "duve", 500, 1e-3, init=_INIT, ema=0.99, rates=common.quiet_end("^conv_tail/")
        )
        data = common.demo(5, crop=48, batch=4, color="rgb")
        return common.small("duve", {**_SMALL, "remat": False}, few, data=data)
    return cvqenet.published("duve", {}, track, "l2")
