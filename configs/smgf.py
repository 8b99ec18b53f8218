"""SMGF, first of track 1 of NTIRE 2021: two models on nine frames, merged by a predicted mask.

    python train.py --config configs/smgf.py --workdir runs/smgf --config.data.data_dir=DIR

The report's order: one model on LDV, one of the same shape on other videos (theirs were 4k videos
from Bilibili and YouTube; here your own, data set `clips`), then the mask. The references are
frames of lower QP than their neighbors; L1 + FFT + gradient losses. Published: 32.52 dB on track 1
(compressed video: 30.54), 29.95 dB on track 3 (28.34), eight flips and turns averaged, 9 s a frame
on a V100. Loss weights, optimizer and lengths are not published: equal weights, with the
spectrum scaled to the size of the pixels' errors; Adam, 1e-4, a cosine. It wants a large GPU.

Variants:
  track3       I and P frames as candidates, data of track 3, from runs/smgf/last.safetensors, a
               tenth of the steps
  small, demo  narrow, the demo data for both models: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

LOSSES = (("l1", 1.0), ("fft", 1.0, {"orthonormal": True}), ("gradient", 1.0))
SMALL: dict[str, Any] = {"stdf_features": 8, "stdf_depth": 2, "fused_features": 16, "features": 12}
SMALL |= {"expanded": 32, "blocks": 2, "reduction": 4, "gate_features": 8, "gate_depth": 3}
SMALL |= {"each_side": 2, "remat": False}
_STEPS = {"first": 300_000, "second": 300_000, "gate": 50_000}
_FEW = {"first": 900, "second": 900, "gate": 200}
_TRACK1 = "runs/smgf/last.safetensors"
# No offsets and no residual at first.
INIT = (
    *HIGH_PASS,
    ("offset_mask/", "zeros"),
    ("deform_conv/kernel$", "high_pass", {"blind": True}),
    ("/reconstruction/kernel$", "zeros"),
    ("^gate/mask/kernel$", "zeros"),
)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track1", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    fields = {"candidates": "qp" if track == "track1" else "type"}
    if width == "small":
        slow = common.quiet_end("/reconstruction/")
        few = [common.fast_stage(p, n, 1e-3, ema=0.99, **_only(p, *slow)) for p, n in _FEW.items()]
        few[0]["init"] = INIT
        data = common.demo(frames=1, crop=32, batch=4, color="rgb")
        return common.small("smgf", {**SMALL, **fields}, *few, data=data)
    share = 1 if track == "track1" else 10
    stages = [
        common.annealed(part, steps // share, losses=LOSSES, **_only(part))
        for part, steps in _STEPS.items()
    ]
    stages[1]["data"] = {"dataset": "clips", "config_name": "qp37"}
    if track == "track3":
        stages[0]["start"] = _TRACK1
    return common.run("smgf", fields, *stages, data=common.ldv(track, frames=1, crop=128, batch=16))


def _only(part: str, *rates: tuple[str, float]) -> dict[str, Any]:
    """Keys of a stage that trains one part; the others are held."""
    held = common.frozen(*(other for other in _STEPS if other != part))
    start = {} if part == "first" else {"start": "previous"}
    output = {"output": "fused" if part == "gate" else part}
    return {**start, "rates": rates + held, "model_kwargs": output}
