"""CF-STIF: coarse-to-fine spatio-temporal information fusion (Luo, IEEE SPL 2022).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/cfstif.py --workdir runs/cfstif

As the authors' code trains it: windows of 7 frames, crops of 128, batch 32, Adam at a constant
1e-4, the squared error, 300,000 steps at QP 37. The other QPs are 100,000 steps more from the model
of QP 37 (``qp32,start=PATH``). The repository names no gain. It wants a GPU.

Variants:
  qp22, qp27, qp32, qp37, qp42   the QP (default: qp37)
  start=PATH   go on from a model: 100,000 steps
  small, demo  a narrow one on windows of 3 frames, minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common, stdr
from vqe_jax.recipes.common import QP, variants
from vqe_jax.training.inits import HIGH_PASS

_SMALL = {
    "radius": 1,
    "features": 8,
    "volume_features": 4,
    "fused": 16,
    "qe_features": 12,
    "remat": False,
}
# No offsets and no residual at first; the layers that read the frames are blind to brightness.
_INIT = (
    *HIGH_PASS,
    (r"/offset_mask/", "zeros"),
    (r"/deform_conv/kernel$", "high_pass", {"gain": 20.0, "blind": True}),
    ("/conv_last/", "zeros"),
)


@variants
def get_config(
    qp: QP = 37, start: str = "", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage(
            "cfstif", 400, 1e-3, init=_INIT, ema=0.99, rates=common.quiet_end("/conv_last/")
        )
        return common.small("cfstif", _SMALL, few, data=common.demo(3, crop=48, batch=4))
    return stdr.windows("cfstif", qp, start, (("l2", 1.0),))
