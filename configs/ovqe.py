"""OVQE: four passes over the clip, bands of frequency (Peng, IEEE TBC 2022).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/ovqe.py --workdir runs/ovqe

As the authors' code trains it: clips of 15 frames, crops of 64, batch 8, a Charbonnier loss on all
frames, 400,000 steps of Adam at 1e-4, from 150,000 at 5e-5, from 250,000 at 2e-5, from 350,000 at
1e-5. (In their file the schedule is off; their training loop sets these rates.) The repository
names no gain. It wants a GPU.

Variants:
  qp22, qp27, qp32, qp37, qp42   the QP (default: qp37)
  small, demo  a narrow one on clips of 3 frames, minutes on two cores (data set `demo`)
"""

import itertools
from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import QP, variants
from vqe_jax.training.inits import HIGH_PASS

_SMALL = {
    "features": 8,
    "unet_features": 4,
    "blocks": 1,
    "window": 3,
    "attention_reduction": 4,
    "remat": False,
    "unroll": 1,
}
_STEPS = 400_000
_RATES = {150_000: 5e-5, 250_000: 2e-5, 350_000: 1e-5}
# No offsets and no residual at first; the layers that read the frames are blind to brightness.
_INIT = (
    *HIGH_PASS,
    (r"/offset_mask/", "zeros"),
    ("^window_fusion/deform_conv/kernel$", "high_pass", {"gain": 20.0, "blind": True}),
    # Features of four passes add up.
    ("^reconstruction/conv_in/kernel$", "kaiming", {"scale": 0.15}),
    ("/conv_last/", "zeros"),
)


@variants
def get_config(qp: QP = 37, width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage(
            "ovqe", 300, 1e-3, init=_INIT, ema=0.99, rates=common.quiet_end("/conv_last/")
        )
        return common.small("ovqe", _SMALL, few, data=common.demo(3, crop=32, batch=4))
    rates = [1e-4, *_RATES.values()]
    factors = tuple(new / old for old, new in itertools.pairwise(rates))
    schedule = common.stepped(factors, *(step / _STEPS for step in _RATES))
    losses = (common.charbonnier(),)
    only = common.stage("ovqe", _STEPS, 1e-4, losses=losses, schedule=schedule)
    return common.run("ovqe", {}, only, data=common.mfqe_v2(qp, frames=15, crop=64, batch=8))
