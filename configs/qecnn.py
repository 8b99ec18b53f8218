"""QE-CNN as the baseline of NTIRE 2021 has it (Yang et al., TCSVT 2018).

  python train.py --config configs/qecnn.py --workdir runs/qecnn

How the baseline was trained is not published: data, loss and lengths are those of configs/dncnn.py.
It wants a GPU.

Variants:
  small, demo   16 channels: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        wide = tuple(
            (f"^{part}0/kernel$", "high_pass", {"gain": 3.0}) for part in ("intra", "inter")
        )
        return common.small_frames("qecnn", {"features": 16}, init=wide)
    return common.powerqe("qecnn", {})
