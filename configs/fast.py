"""A fast network for any file: RepNet on luma, for real time on CPU cores.

  python -m vqe_jax.data clips --data-dir data --source CLIPS --recipe mixed --encodings 10 \
      --frames 64 --augment 1
  python -m vqe_jax.data scenes --data-dir data --source PHOTOS --recipe mixed --encodings 6
  python train.py --config configs/fast.py --workdir runs/fast

Single frames of many encoders and qualities; the loss is the mean over frames of PSNR itself, so
that a good stream counts as much as a bad one. The packaged model `fast` is this recipe's, folded;
time and result: docs/models.md.

Variants:
  small, demo   16 channels, 1 block: a minute on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants

_SOURCE = (
    "trained by configs/fast.py on permissively licensed clips by ten encoders each and on scenes "
    "made of photographs; see NOTICE"
)

_LOG_MSE = ("log_mse", 0.1, {"floor": 3e-6})
_TOLD: dict[str, Any] = {
    # Streams of which nothing is known must gain too.
    "corruption": {"name": "untold", "ratio": 0.15},
    # At the rate of the rest the residual overshoots what is to be learned, which is faint.
    "rates": (("^last/", 0.3),),
}


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return common.small("repnet", {"features": 16, "blocks": 1}, frames=1)
    data = {"dataset": "clips", "config_name": ("mixed_varied", "scenes/mixed")}
    even = common.fast_stage("even", 15_000, 1e-3, losses=(_LOG_MSE,), **_TOLD)
    # So small a network would clean what VP9 and AV1 have kept well, whose quality is not told.
    harmless = common.fast_stage(
        "harmless",
        4_000,
        4e-4,
        losses=(_LOG_MSE, ("harm", 0.5, {"floor": 3e-6})),
        start="previous",
        **_TOLD,
    )
    return common.run(
        "repnet",
        {"features": 64, "blocks": 2},
        even,
        harmless,
        data={**data, "frames": 1, "crop": 96, "batch": 16},
        eval={"split": "val", "config_name": "mixed", "every": 4_500, "frames": 4},
        source=_SOURCE,
    )
