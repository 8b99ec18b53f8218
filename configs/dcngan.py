"""DCNGAN: PeQuENet's elder sibling, by the same losses and recipe (ICASSP 2022).

    python -m vqe_jax.weights fetch vgg19
    python train.py --config configs/dcngan.py --workdir runs/dcngan

Data, losses and lengths are those of configs/pequenet.py. 45,979,186 parameters: it wants a GPU.

Variants:
  default   the released recipe
  small     a sixteenth of the width and two residual blocks on the demo data; minutes on two cores
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs.pequenet import VGG, recipe, small


def get_config(variant: str = "default") -> ConfigDict:
    """The recipe; ``variant`` as above.

    Raises:
      ValueError: another variant.
    """
    if variant == "small":
        return small("dcngan", {"features": 4, "blocks": 2, "fusion_features": 8})
    if variant != "default":
        raise ValueError(f"variant {variant!r} is not one of default, small")
    return recipe("dcngan", {}, {"kind": "adversarial", "losses": (VGG,)}, variant)
