"""STDF: Spatio-Temporal Deformable Convolution for Video Quality Enhancement (Deng, AAAI 2020).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/stdf.py --workdir runs/stdf

The default is STDF-R3 as the authors' code trains it: windows of 7 frames, crops of 128, batch 32,
Adam at a constant 1e-4, Charbonnier loss, 300,000 steps. Published gain in PSNR-Y at QP 37 on the
18 test sequences: 0.65 dB (R1), 0.75 dB (R3), 0.83 dB (R3L); the released R3 gains 0.78 dB. It
wants a GPU.

Variants:
  qp22, qp27, qp32, qp37, qp42   the QP (default: qp37)
  r1, r3, r3l  STDF-R1; STDF-R3L, with widths that its published parameter count fits
  rgb          on RGB
  narrow       the recipe of the packaged model `stdf_qp37`: a narrow STDF-R3, 40 minutes on one
               core; your own clips and scenes made of photographs:
                 python -m vqe_jax.data clips --data-dir data --source CLIPS --qp 37 --augment 1
                 python -m vqe_jax.data scenes --data-dir data --source PHOTOS --qp 37 --length 32
  small, demo  a narrow STDF-R1, a few minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import QP, Width, variants
from vqe_jax.training.inits import HIGH_PASS

SMALL = {"radius": 1, "features": 8, "depth": 2, "fused_features": 16}
SMALL |= {"qe_features": 12, "qe_depth": 5}
NARROW = {"features": 16, "fused_features": 32, "qe_features": 24}
# The frames are read twice, by the U-Net and where they are sampled; no offsets and no residual at
# first. Of an upsampling kernel's 16 taps 4 meet a pixel, and the mask is a half at first.
INIT = (
    *HIGH_PASS,
    (r"_up/kernel$", "kaiming", {"scale": 2.0}),
    (r"offset_mask/", "zeros"),
    (r"fusion/deform_conv/kernel$", "high_pass", {"gain": 20.0, "blind": True}),
    (r"enhancement/out_conv/", "zeros"),
)
# What runs away, or shuts what comes before it, while the residual is still noise.
SLOW = (("offset_mask/", 0.1), *common.quiet_end("enhancement/out_conv/", 0.2))
LOSSES = (common.charbonnier(),)
# The mean of PSNR over frames itself.
LOG_MSE = ("log_mse", 0.1, {"floor": 3e-6})
SOURCE = (
    "trained by configs/{}.py:narrow on permissively licensed clips and photographs; see NOTICE"
)
_NETS: dict[str, dict[str, Any]] = {
    "r1": {"radius": 1},
    "r3": {},
    "r3l": {"features": 64, "qe_features": 64, "qe_depth": 16},
}


def _narrow_stage() -> dict[str, Any]:
    """A narrow enhancement is too deep to begin at random: its layers hand their inputs on."""
    passing = (r"enhancement/(in_conv|conv\d+)/kernel$", "pass_on")
    return common.fast_stage(
        "windows", 9_000, 1e-3, init=(*INIT, passing), losses=(LOG_MSE,), rates=SLOW
    )


@variants
def get_config(
    qp: QP = 37, net: Literal["r1", "r3", "r3l"] = "r3", rgb: bool = False, width: Width = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    color = {"channels": 3} if rgb else {}
    data = common.mfqe_v2(qp, crop=128, batch=32, color="rgb" if rgb else "luma")
    if width == "small":
        cosine = common.cosine(1e-5, warmup=100)
        few = common.stage("windows", 1_500, 1e-3, losses=LOSSES, schedule=cosine, ema=0.99)
        demo = common.demo(frames=3, color=data["color"])
        return common.small("stdf", {**SMALL, **color}, few, data=demo)
    if width == "narrow":
        data |= {"frames": 7, "crop": 48, "batch": 8}
        data["config_name"] = (f"qp{qp}", f"scenes/qp{qp}")
        judged = {"eval": {"every": 1_000, "config_name": f"qp{qp}", "frames": 12}}
        own = {"source": SOURCE.format("stdf"), **judged}
        return common.narrow("stdf", {**NARROW, **color}, _narrow_stage(), data=data, **own)
    fields = {**_NETS[net], **color}
    data["frames"] = 2 * fields.get("radius", 3) + 1
    only = common.stage("windows", 300_000, losses=LOSSES)
    return common.run("stdf", fields, only, data=data)
