"""MGBP-3D of the BOE-IOT-AIBD team (NTIRE 2021, section 4.10): back-projection on five grids.

  python train.py --config configs/mgbp3d.py --workdir runs/mgbp3d
  python evaluate.py runs/mgbp3d --dataset ldv --split test --tile 272

Tracks 1 and 3: squared error. Track 2: the network has a channel of noise; 0.001 x RSGAN and 0.1 x
LPIPS of the picture with noise, 10 x L1 of the picture without, against a discriminator of several
scales. Patches are of the size that the tiles have at test time. Sizes, schedule and discriminator
are not published: five frames of 256 pixels, batch 8, Adam at 1e-4, 300,000 steps. The team reports
31.37 dB on track 1, LPIPS 0.0674 on track 2 and 28.93 dB on track 3 (from 28.34 dB unprocessed), at
1.16 seconds a frame on a GTX 1080. Track 2 needs `python -m vqe_jax.weights fetch lpips_alex`.

Variants:
  track1, track2, track3   HM at QP 37; the same for the eye; x265 at 200 kbps (default: track1)
  v                one way down and up in each of two blocks, in place of the full recursion
  small, demo      three sizes of 8 to 16 channels: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_SMALL = {"frames": 3, "widths": (8, 12, 16), "remat": False}
_STEPS = 300_000


@variants
def get_config(
    track: Literal["track1", "track2", "track3"] = "track1",
    cycle: Literal["w", "v"] = "w",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        # Back-projection begins near the identity.
        init = (*HIGH_PASS, ("/up", "kaiming", {"scale": 0.1}), ("synthesis/conv/kernel$", "zeros"))
        few = common.fast_stage("mgbp3d", 800, init=(*init, ("bias$", "zeros")))
        return common.small("mgbp3d", _SMALL, few, data=common.demo(3, crop=32, color="rgb"))
    data = common.ldv("track3" if track == "track3" else "track1", frames=5, crop=256, batch=8)
    if track == "track2":
        return common.run("mgbp3d", {"cycle": cycle, "noise": True}, _perceptual(), data=data)
    stage = common.stage("mgbp3d", _STEPS, 1e-4, losses=(("l2", 1.0),))
    return common.run("mgbp3d", {"cycle": cycle}, stage, data=data)


def _perceptual() -> dict[str, Any]:
    """Eq. 11: noise on for the discriminator and LPIPS, off for L1."""
    quiet = {"name": "l1", "weight": 10.0, "of": "quiet"}
    several = {"discriminator": {"name": "multiscale"}}
    terms = common.adversarial(("lpips", 0.1), quiet, loss="rsgan", weight=0.001, **several)
    return common.stage("mgbp3d", _STEPS, 1e-4, **terms)
