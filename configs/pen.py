"""PEN of the McEnhance team (NTIRE 2021, section 4.15).

  python train.py --config configs/pen.py --workdir runs/pen
  python evaluate.py runs/pen --dataset ldv --split test
  python enhance.py IN.mp4 OUT.mp4 --model runs/pen --peaks qp

Each frame with the peak-quality frames before and after it, which training knows from the ground
truth (`data.peaks="truth"`), as the team's did; crops of 128, batch 32, Adam at a
constant 1e-4, Charbonnier loss with eps 1e-6 inside the root, flips and turns. The released
configuration asks for 3,000,000 steps; its checkpoint was to be that of step 360,000, which is
what stands here. The report adds both residuals to the frame; the released code averages two
pictures (`--config.model_kwargs.residual=released`). One large GPU.

Variants:
  track1, track3   HM at QP 37, x265 at 200 kbps (default: track3, the team's)
  small, demo      8 channels in both branches: minutes on two cores (data set `demo`); its last
                   validation said 0.03 dB in RGB (2026-11, 2 CPU cores)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import INIT

_SMALL: dict[str, Any] = {
    "stdf": {"features": 8, "depth": 2, "fused": 16, "qe_features": 12, "qe_depth": 4},
    "edvr": {
        "features": 8,
        "deform_groups": 2,
        "extraction_blocks": 1,
        "reconstruction_blocks": 1,
    },
    "remat": False,
}


@variants
def get_config(
    track: Literal["track1", "track3"] = "track3", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        init = (*INIT, ("offset_mask/kernel$", "zeros"), ("out_conv/kernel$", "zeros"))
        init += (("fusion/out_conv/kernel$", "kaiming"),)  # not a last layer
        few = common.fast_stage("pen", 500, init=init)
        return common.small("pen", _SMALL, few, data=common.demo(1, crop=32, color="rgb"))
    stage = common.stage("pen", 360_000, 1e-4, losses=(common.charbonnier(1e-6),))
    data = common.ldv(track, frames=1, crop=128, batch=32, peaks="truth")
    return common.run("pen", {}, stage, data=data)
