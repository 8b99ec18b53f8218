"""RCAN_A of the HNU_CVers team at NTIRE 2021 (report section 4.14).

  python train.py --config configs/rcan_a.py --workdir runs/rcan_a

The report gives the loss, L1, and no more; crops, batch, rate and length here are RCAN's own (crops
of 48 that it enlarges twice, batch 16, Adam at 1e-4, halved every 200 epochs of 1,000 steps). It
wants a GPU.

Variants:
  small, demo   16 channels, 2 groups of 2 blocks: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants

# Pixels are multiplied by 255 inside.
INIT = (("^conv_first/kernel$", "high_pass", {"gain": 0.04}),)
LOSSES = (("l1", 1.0),)
SCHEDULE = common.halved(0.2, 0.4, 0.6, 0.8)


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        fields = {"features": 16, "groups": 2, "blocks": 2}
        return common.small_frames("rcan_a", fields, init=INIT, last="conv_last")
    only = common.stage("rcan_a", 1_000_000, losses=LOSSES, schedule=SCHEDULE)
    return common.run("rcan_a", {}, only, data=common.ldv(frames=1, crop=96, batch=16))
