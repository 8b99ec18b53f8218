"""DnCNN as PowerQE trains it on compressed video (Zhang et al., TIP 2017; PowerVQE).

  python -m vqe_jax.data ldv --data-dir data --help
  python train.py --config configs/dncnn.py --workdir runs/dncnn

RGB crops of 128 from the LDV videos, batch 32, Adam at 1e-4 that falls along a cosine, L1 loss,
500,000 steps, with batch normalization. Published by PowerVQE, trained on LDV 2.0: 0.601 dB in
RGB on that set's 15 test videos, 0.415 dB in Y on 16 of the JCT-VC sequences (HM 16.20, low
delay P, QP 37).
It wants a GPU.

Variants:
  plain         without batch normalization, PowerQE's default
  small, demo   16 channels, 5 hidden convolutions: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants


@variants
def get_config(plain: bool = False, width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    fields = {"bn": not plain}
    if width == "small":
        return common.small_frames("dncnn", {**fields, "features": 16, "depth": 5})
    return common.powerqe("dncnn", fields)
