"""Block2Rock of the Noah-Hisilicon team (NTIRE 2021, section 4.7), fourth on track 3.

  python train.py --config configs/block2rock.py --workdir runs/block2rock
  python evaluate.py runs/block2rock --dataset ldv --split test --self-ensemble

Blocks of 48x48 with their matches in 50 frames, through EDVR; L1, Adam with a warm-up to 2e-4,
times 0.98 after each of 100 epochs of 2,000 batches, gradients clipped to 0.01 of the weights'
norms. Crops, batch and warm-up are not published: 96 pixels, 4, one epoch. The team trained with
videos of its own choice beside LDV and reports 29.64 dB on track 3 (from 28.34 dB unprocessed),
with flips and turns, 300 seconds a frame on a V100. Several large GPUs.

Variants:
  track1, track3   HM at QP 37, x265 at 200 kbps (default: track3, the team's)
  rrdb             the team's baseline: ESRGAN's trunk over the stack as channels
  small, demo      8 features, blocks of 32, 3 frames, luma: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import INIT, NARROW, PASSING, SLOW, STEADY

_EPOCHS, _BATCHES = 100, 2_000
_SMALL: dict[str, Any] = {**NARROW, "channels": 1, "past": 1, "future": 1, "stacks_at_once": 64}
_SMALL |= {"patch": 32, "stride": 32, "method": "conv"}
# That the blocks are cut from pictures is not seen by the tracing of HIGH_PASS: where they lie
# depends on what is in them.
_BLIND = ("conv_first/kernel$", "high_pass", {"blind": True})
_INIT = (*INIT, *STEADY, _BLIND, PASSING)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track3",
    backbone: Literal["edvr", "rrdb"] = "edvr",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        slow = (*SLOW, *common.quiet_end("conv_last/", 0.2))
        few = common.fast_stage("block2rock", 400, init=_INIT, rates=slow)
        return common.small("block2rock", _SMALL, few, data=common.demo(3, batch=4))
    stage = common.stage(
        "block2rock",
        _EPOCHS * _BATCHES,
        2e-4,
        losses=(("l1", 1.0),),
        optimizer=common.adam(0.9, 0.999, adaptive_clip=0.01),
        schedule=common.stepped(0.98, *(k / _EPOCHS for k in range(1, _EPOCHS)), warmup=_BATCHES),
    )
    data = common.ldv(track, frames=50, crop=96, batch=4)
    return common.run("block2rock", {"backbone": backbone}, stage, data=data)
