"""BRNet of the Ivp-tencent team at NTIRE 2021 (report section 4.16).

  python train.py --config configs/brnet.py --workdir runs/brnet

RGB crops of 64 from the LDV videos, batch 64, Adam at 1e-4, L1 loss. The report says 100,000
epochs; read as steps. Published on track 1: 31.13 dB in RGB where the compressed videos have
30.54. The team's weights load with `python -m vqe_jax.weights convert`.

Variants:
  small, demo   16 channels, 2 blocks, begun as the identity: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants

# The head and the tail pass the picture through, and the blocks begin with nothing.
_IDENTITY = (
    ("^(head|tail)/kernel$", "dirac"),
    ("_conv1/kernel$", "kaiming"),
    ("_conv2/kernel$", "kaiming", {"scale": 0.1}),
    ("^body/kernel$", "zeros"),
    ("^(head|tail|body|block.*)/bias$", "zeros"),
)


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage("brnet", 1_200, init=_IDENTITY)
        fields = {"features": 16, "blocks": 2}
        return common.small("brnet", fields, few, data=common.demo(1, color="rgb"))
    only = common.stage("brnet", 100_000, losses=(("l1", 1.0),))
    return common.run("brnet", {}, only, data=common.ldv(frames=1, crop=64, batch=64))
