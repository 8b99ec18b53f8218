"""AR-CNN as PowerQE trains it on compressed pictures (Dong et al., ICCV 2015; PowerQE).

  python train.py --config configs/arcnn.py --workdir runs/arcnn

Data, loss and lengths are those of configs/dncnn.py, so that the baselines can be compared.
`direct` gives the picture instead of its residual, as the paper and the baseline of NTIRE 2021 do.

Variants:
  direct        the last layer gives the picture
  small, demo   32 channels: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants


@variants
def get_config(direct: bool = False, width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    fields: dict[str, Any] = {"output": "picture"} if direct else {}
    if width == "small":
        # Faster, half of the units that sum 49 places are dead within a hundred steps.
        fields |= {"features": 32}
        return common.small_frames("arcnn", fields, last="conv3", rate=3e-4)
    return common.powerqe("arcnn", fields)
