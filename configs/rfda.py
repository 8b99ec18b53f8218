"""RFDA: Recursive Fusion and Deformable Spatiotemporal Attention (Zhao et al., ACM MM 2021).

  python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 37
  python train.py --config configs/rfda.py --workdir runs/rfda

Two stages. First without recursion, frame by frame: windows of 7 frames, crops of 112, batch 32,
1e-4 halved at 60 % and 90 % of 300,000 steps. Then with it, on clips of 15 frames and through
time: the loss is summed over the frames, the recursion learns at 1e-4 and what stage 1 trained at
a tenth of that; crops, batch and schedule are those of the authors' code (96, 8 a GPU on two GPUs,
halved at 80 % and 90 % of 100,000 steps). Published gain in PSNR-Y at QP 37: 0.91 dB.

Variants:
  qp22, qp27, qp32, qp37, qp42   the QP (default: qp37)
  paper          what the paper's text says where the code differs: the first frame's features
                 unchanged, no last ReLU, crops of 112 and batch 32, halved at 60 % and 90 %
  stdf_r3, stdf_r4                  neither RF nor DSTA; radius 3 and 4
  rf, dsta       one of the two alone
  one_stage      RF and DSTA trained together from scratch on clips
  no_deformable, no_channel         DSTA without that part
  rf15           the past forgotten every 15 frames
  conv_lstm      a ConvLSTM in place of RF
  narrow         the recipe of the packaged model `rfda_qp37`: RF and DSTA put into the network of
                 configs/stdf.py:narrow, which runs/stdf/last.safetensors holds, on its data: half
                 an hour on one core
  small, demo    a narrow one in two stages, minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common, stdf
from vqe_jax.recipes.common import QP, Width, variants

_STEPS = (300_000, 100_000)
_ALONE = {"recursive_fusion": "none"}
# The network's fields; those without recursion have no second stage.
_NETS: dict[str, dict[str, Any]] = {
    "rfda": {},
    "stdf_r3": {**_ALONE, "attention": "none"},
    "stdf_r4": {**_ALONE, "attention": "none", "radius": 4},
    "rf": {"attention": "none"},
    "dsta": _ALONE,
    "no_deformable": {"attention": "no_deformable"},
    "no_channel": {"attention": "no_channel"},
    "rf15": {"reset_every": 15},
    "conv_lstm": {"recursive_fusion": "conv_lstm"},
}


def _windows(steps: int, learning_rate: float = 1e-4, **changes: Any) -> dict[str, Any]:
    """Single frames out of whole windows, without recursion."""
    own = {"losses": stdf.LOSSES, "schedule": common.halved(0.6, 0.9), "model_kwargs": _ALONE}
    return common.stage("windows", steps, learning_rate, **{**own, **changes})


def _clips(steps: int, **changes: Any) -> dict[str, Any]:
    """The whole network through time, the loss summed over the frames of a clip."""
    own = {
        "schedule": common.halved(0.8, 0.9),
        "losses": (common.charbonnier(reduction="frame_sum"),),
        "data": {"frames": 15, "crop": 96, "batch": 16},
    }
    return common.stage("clips", steps, **{**own, **changes})


def _after_windows(steps: int, **changes: Any) -> dict[str, Any]:
    slower = (("^fusion/", 0.1), ("^enhancement/", 0.1))
    own = {"start": "previous", "fresh": ("^recursion/",), "rates": slower}
    return _clips(steps, **own, **changes)


def _small() -> dict[str, Any]:
    changes: dict[str, Any] = {
        "learning_rate": 1e-3,
        "schedule": common.cosine(1e-5, warmup=50),
        "ema": 0.99,
    }
    second = _after_windows(300, data={"frames": 7, "crop": 48, "batch": 2}, **changes)
    stages = (_windows(1_500, **changes), second)
    return common.small("rfda", stdf.SMALL, *stages)


def _narrow(qp: int) -> dict[str, Any]:
    """RF and DSTA begin as nearly nothing, so that the first step is STDF's result."""
    slow = (("^(fusion|enhancement)/", 0.3), *stdf.SLOW, ("^enhancement/attention", 1.0))
    stage = common.fast_stage(
        "clips",
        1_500,
        5e-4,
        start="runs/stdf/last.safetensors",
        init=_INIT,
        fresh=("^recursion/", "^enhancement/attention"),
        losses=(stdf.LOG_MSE,),
        rates=slow,
        schedule=common.cosine(1e-5, warmup=100),
        ema=0.995,
        data={"frames": 7, "crop": 48, "batch": 2},
    )
    name = (f"qp{qp}", f"scenes/qp{qp}")
    data = common.mfqe_v2(qp, frames=7, crop=112) | {"config_name": name}
    own: dict[str, Any] = {"eval": {"every": 500, "config_name": f"qp{qp}", "frames": 12}}
    own["source"] = stdf.SOURCE.format("rfda")
    return common.narrow("rfda", stdf.NARROW, stage, data=data, **own)


# As STDF, beside which RF aligns features, and attention begins with its gates open.
_INIT = (
    *stdf.INIT,
    (r"align/deform_conv/kernel$", "kaiming", {"scale": 2.0}),
    (r"attention\d+/", "keep"),
    (r"attention\d+/(conv4|excite)/bias$", "open_gates"),
)


@variants
def get_config(
    qp: QP = 37,
    net: Literal[
        "rfda",
        "stdf_r3",
        "stdf_r4",
        "rf",
        "dsta",
        "no_deformable",
        "no_channel",
        "rf15",
        "conv_lstm",
    ] = "rfda",
    paper: bool = False,
    one_stage: bool = False,
    width: Width = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return _small()
    if width == "narrow":
        return _narrow(qp)
    fields, second = _NETS[net], _after_windows(_STEPS[1])
    if paper:
        fields = {**fields, "first_state": "identity", "last_relu": False}
        larger = {"frames": 15, "crop": 112, "batch": 32}
        second = _after_windows(_STEPS[1], schedule=common.halved(0.6, 0.9), data=larger)
    stages: tuple[dict[str, Any], ...] = (_windows(_STEPS[0]), second)
    if fields.get("recursive_fusion") == "none":
        stages = stages[:1]
    elif one_stage:
        stages = (_clips(sum(_STEPS)),)
    data = common.mfqe_v2(qp, frames=2 * fields.get("radius", 3) + 1, crop=112)
    return common.run("rfda", fields, *stages, data=data)
