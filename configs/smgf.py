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
_OTHERS = {"first": ("second", "gate"), "second": ("first", "gate"), "gate": ("first", "second")}
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
    fields: dict[str, Any] = {} if track == "track1" else {"candidates": "type"}
    if width == "small":
        data = common.demo(frames=1, crop=32, batch=4, color="rgb")
        return common.small("smgf", {**SMALL, **fields}, *_stages(_FEW, few=True), data=data)
    steps = _STEPS if track == "track1" else {k: n // 10 for k, n in _STEPS.items()}
    stages = _stages(steps)
    stages[1]["data"] = {"dataset": "clips", "config_name": "qp37"}
    if track == "track3":
        stages[0]["start"] = _TRACK1
    return common.run("smgf", fields, *stages, data=common.ldv(track, frames=1, crop=128, batch=16))


def _stages(steps: dict[str, int], *, few: bool = False) -> tuple[dict[str, Any], ...]:
    """One model, the other, and the mask; what is not trained is held."""
    stages: list[dict[str, Any]] = []
    for index, (name, count) in enumerate(steps.items()):
        own: dict[str, Any] = {
            "rates": common.frozen(*_OTHERS[name]),
            "model_kwargs": {"output": "fused" if name == "gate" else name},
        }
        own |= {"start": "previous"} if index else {}
        if few:
            own |= {"init": INIT} if not index else {}
            own["rates"] = common.quiet_end("/reconstruction/") + own["rates"]
            stages.append(common.fast_stage(name, count, 1e-3, ema=0.99, **own))
            continue
        stages.append(common.annealed(name, count, **{"losses": LOSSES, **own}))
    return tuple(stages)
