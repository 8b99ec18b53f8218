"""BLUEDOT (NTIRE 2021, section 4.13): EDVR with the textures of an intra frame, in two stages.

  python train.py --config configs/bluedot.py --workdir runs/bluedot
  python evaluate.py runs/bluedot --dataset ldv --split test

Stage 1 takes textures from the compressed intra frame; stage 2 goes on with the intra frame that
the network of stage 1 has enhanced, which stays as it is. Losses, sizes and schedule are not
published: EDVR-M, Charbonnier, and the lengths of configs/edvr.py halved between the stages. The
team trained with the videos of MFQE 2.0 beside LDV and reports 29.28 dB on track 3 (from 28.34 dB
unprocessed), 2.85 seconds a frame on an RTX 3090. Eight large GPUs.

Variants:
  track1, track3   HM at QP 37, x265 at 200 kbps (default: track3, the team's)
  network          the fusion has an attention network of its own
  nearest          the nearest intra frame, in place of the most relevant one
  small, demo      8 channels, 3 frames, luma: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import INIT, PASSING, SLOW, SMALL, STEADY

_STEPS = 300_000
_SMALL: dict[str, Any] = {**SMALL, "channels": 1, "lookback": 16, "lookahead": 16}
_INIT = (*INIT, *STEADY, ("extractor/conv2/kernel$", "kaiming"), PASSING)


@variants
def get_config(
    track: Literal["track1", "track3"] = "track3",
    fusion: Literal["soft", "network"] = "soft",
    relevance: Literal["content", "nearest"] = "content",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        slow = (*SLOW, *common.quiet_end("conv_last/", 0.2))
        first = common.fast_stage("compressed", 300, 1e-3, init=_INIT, rates=slow)
        second = _second(common.fast_stage("predicted", 200, 1e-3), *slow)
        data = common.demo(1, crop=32, batch=8)
        return common.small("bluedot", _SMALL, first, second, data=data)
    own = {"losses": (common.charbonnier(1e-12),), "schedule": common.cosine(1e-7)}
    first = common.stage("compressed", _STEPS, 2e-4, **own)
    second = _second(common.stage("predicted", _STEPS, 1e-4, **own))
    fields = {"fusion": fusion, "relevance": relevance}
    data = common.ldv(track, frames=1, crop=256, batch=32)
    return common.run("bluedot", fields, first, second, data=data)


def _second(stage: dict[str, Any], *rates: tuple[str, float]) -> dict[str, Any]:
    """A stage on what the network of the stage before makes of the intra frame."""
    return {
        **stage,
        "start": "compressed",
        "fresh": ("^first/",),
        "parts": (("first", "main"),),
        "rates": (*rates, *common.frozen("first")),
        "model_kwargs": {"intra": "predicted"},
    }
