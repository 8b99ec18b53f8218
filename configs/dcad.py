"""DCAD as PowerQE trains it on compressed video (Wang, Chen and Chao, DCC 2017; PowerVQE).

  python train.py --config configs/dcad.py --workdir runs/dcad

Data, loss and lengths are those of configs/dncnn.py. Published by PowerVQE, trained on LDV 2.0:
0.561 dB in RGB on that set's 15 test videos, 0.394 dB in Y on 16 of the JCT-VC sequences.

Variants:
  small, demo   16 channels, 3 hidden convolutions: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return common.small_frames("dcad", {"features": 16, "depth": 3})
    return common.powerqe("dcad", {})
