"""ShannonNet of the Shannon team (NTIRE 2021, section 4.6, tracks 1 and 2).

  python -m vqe_jax.data ldv --data-dir data --help
  python train.py --config configs/shannonnet.py --workdir runs/shannonnet
  python train.py --config configs/shannonnet.py:track2 --config.stages[0].start=runs/shannonnet
  python evaluate.py runs/shannonnet --dataset ldv --split test --self-ensemble

Each frame with the two multiples of four around it, where the encoder spends its bits. Track 1:
Charbonnier losses on the pictures of the three stages, weighted 1.6, 0.5 and 0.4, crops of 192,
batch 16, Adam at 3e-5, as the released options have it; their 1,000 epochs are 300,000 steps here,
and their mean over five checkpoints is a running average. It was evaluated with flips and
rotations; published: 31.62 dB in RGB, where the compressed videos have 30.54 dB. Track 2 goes on
from there: losses on low frequencies, edges of green and LPIPS, and a discriminator that sees high
frequencies alone, with 0.06 of the learning rate. Several large GPUs.

Variants:
  track1, track2   fidelity (default: track1), perceptual quality
  small, demo      8 features, one group a place: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants

_LEARNING_RATE = 3e-5
_EPS = 1e-9
_SMALL: dict[str, Any] = {
    "features": 8,
    "unet_features": 4,
    "orsnet_features": 4,
    "alignment_widths": (8, 8, 12, 16, 16),
    "groups": 1,
    "remat": False,
}
# No residual and no offsets at first; the first layers on frames do not see brightness. Further in,
# the many sums want the default's small kernels.
_INIT = (
    ("^shallow[12]/kernel$", "high_pass"),
    ("(^tail|/picture)/kernel$", "zeros"),
    ("^alignment/offset/kernel$", "zeros"),
)


@variants
def get_config(
    track: Literal["track1", "track2"] = "track1", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    kind = fidelity() if track == "track1" else perceptual()
    if width == "small":
        crop = common.demo(1, crop=64, batch=2, color="rgb")
        few = {
            "init": _INIT,
            "optimizer": common.adam(0.9, 0.99, clip_norm=1.0),
            "ema": 0.99,
            "schedule": common.cosine(1e-5, warmup=20),
        }
        rate = 1e-3
        if track == "track2":
            kind = perceptual(rate, net="alex", features=8)
        stage = common.stage("shannonnet", 400, rate, **{**kind, **few})
        return common.small("shannonnet", _SMALL, stage, data=crop)
    stage = common.stage("shannonnet", 300_000, _LEARNING_RATE, ema=0.999, **kind)
    data = common.ldv("track1", frames=1, crop=192, batch=16)
    return common.run("shannonnet", {}, stage, data=data)


def fidelity() -> dict[str, Any]:
    """Losses on the pictures of all stages."""
    coarse = {"stage2": 0.5, "stage1": 0.4}
    terms = (("charbonnier", weight, {"eps": _EPS}, stage) for stage, weight in coarse.items())
    return {"losses": (common.charbonnier(_EPS, 1.6), *terms)}


def perceptual(
    learning_rate: float = _LEARNING_RATE, net: str = "vgg", features: int = 64
) -> dict[str, Any]:
    """Losses on low frequencies, edges and LPIPS, and a game on high frequencies."""
    coarse = {"stage2": 0.1, "stage1": 0.08}
    terms = (("charbonnier", weight, {"eps": _EPS}, stage) for stage, weight in coarse.items())
    return common.adversarial(
        common.charbonnier(_EPS),
        *terms,
        ("low_pass", 1.0, {"eps": _EPS}),
        ("sobel", 0.02),
        ("lpips", 1.2, {"net": net}),
        weight=0.002,
        discriminator={"name": "high_pass", "features": features},
        discriminator_learning_rate=0.06 * learning_rate,
    )
