"""RCVN of the HNU_CVers team at NTIRE 2021 (report section 4.14).

  python train.py --config configs/rcvn.py --workdir runs/rcvn

Windows of five frames; L1 loss, as the report says. The rest is not published: it is that of
configs/rcan_a.py here, and both halves are trained together. Published on track 1, with overlapping
patches: 31.59 dB in RGB where the compressed videos have 30.54. It wants a GPU.

Variants:
  small, demo   16 channels, a group of 2 blocks in each half: minutes on two cores (data set
                `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common, rcan_a
from vqe_jax.recipes.common import variants

# Pixels are multiplied by 255 inside; the first half begins with no residual too.
_INIT = (
    ("^rcan_a/conv_first/kernel$", "high_pass", {"gain": 0.04}),
    ("^pair/kernel$", "high_pass", {"gain": 0.04, "blind": True}),
    ("^rcan_a/conv_last/kernel$", "zeros"),
)


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        fields = {"features": 16, "groups": 1, "blocks": 2}
        return common.small_frames("rcvn", fields, 600, frames=5, init=_INIT, last="conv_last")
    only = common.stage("rcvn", 1_000_000, losses=rcan_a.LOSSES, schedule=rcan_a.SCHEDULE)
    return common.run("rcvn", {}, only, data=common.ldv(frames=5, crop=96, batch=16))
