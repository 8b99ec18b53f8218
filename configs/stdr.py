"""STDR: detail from deformable convolutions of three reaches (Luo, IEEE TMM 2023).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/stdr.py --workdir runs/stdr

As the authors' code trains it: windows of 7 frames, crops of 128, batch 32, Adam at a constant
1e-4, the squared error plus one minus Pearson's correlation over the batch, 300,000 steps at QP 37.
The other QPs are 100,000 steps more from the model of QP 37 (``qp32,start=PATH``). The repository
names no gain. It wants a GPU.

Variants:
  qp22, qp27, qp32, qp37, qp42   the QP (default: qp37)
  start=PATH   go on from a model: 100,000 steps
  small, demo  a narrow one on windows of 3 frames, minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import QP, variants
from vqe_jax.training.inits import HIGH_PASS

_SMALL = {
    "radius": 1,
    "unet_features": 8,
    "depth": 2,
    "fused": 16,
    "features": 12,
    "growth": 8,
    "layers": 2,
    "blocks": 2,
    "remat": False,
}
_LOSSES = (("l2", 1.0), ("pearson", 1.0))
_STEPS, _MORE_STEPS = 300_000, 100_000
# No offsets and no residual at first; the layers that read the frames are blind to brightness,
# those that sample them too. Of the selective weights' products little would be left.
_INIT = (
    *HIGH_PASS,
    (r"offset\d_point/", "zeros"),
    (r"deform\d/kernel$", "high_pass", {"gain": 20.0, "blind": True}),
    (r"(weight\d|merge)/kernel$", "kaiming", {"scale": 2.0}),
    ("^conv_last/", "zeros"),
)


@variants
def get_config(
    qp: QP = 37, start: str = "", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        few = common.fast_stage("stdr", 1_200, 5e-4, init=_INIT, ema=0.99)
        return common.small("stdr", _SMALL, few, data=common.demo(3, crop=48, batch=4))
    return windows("stdr", qp, start, _LOSSES)


def windows(model: str, qp: int, start: str, losses: tuple[Any, ...]) -> dict[str, Any]:
    """The authors' run: windows of seven frames from nothing, or for less long from a model."""
    changes: dict[str, Any] = {"start": start} if start else {}
    only = common.stage(model, _MORE_STEPS if start else _STEPS, losses=losses, **changes)
    return common.run(model, {}, only, data=common.mfqe_v2(qp, frames=7, crop=128, batch=32))
