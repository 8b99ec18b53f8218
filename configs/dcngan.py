"""DCNGAN: PeQuENet's elder sibling, by the same losses and recipe (ICASSP 2022).

    python -m vqe_jax.weights fetch vgg19
    python train.py --config configs/dcngan.py --workdir runs/dcngan

Data, losses and lengths are those of configs/pequenet.py. 45,979,186 parameters: it wants a GPU.

Variants:
  small, demo   a sixteenth of the width, two residual blocks, the demo data: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import pequenet
from vqe_jax.recipes.common import variants


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return pequenet.small("dcngan", {"features": 4, "blocks": 2, "fusion_features": 8})
    return pequenet.recipe("dcngan", {}, kind="adversarial", losses=(pequenet.VGG,))
