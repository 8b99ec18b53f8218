"""ProVQE, stage 1: propagation by peak-quality frames, and a network that grows (NTIRE 2022).

    python train.py --config configs/provqe.py --workdir runs/provqe --config.data.data_dir=DIR

The winner's recipe as far as it is told: 5, 15, ..., 55 blocks of reconstruction in six rounds,
each beginning with what the one before has learned and nothing frozen (+0.1 dB); a Charbonnier
loss, then squared error (+0.02 dB); exact duplicates of frames left out in training and test
(+0.05 to 0.1 dB); the x8 ensemble. 58,834,031 parameters in the end. Its result on track 1, with a
second stage (SwinIR) behind: 32.07 dB in RGB, the first. Width and depth of the passes (128, 25)
and all lengths are not given: BasicVSR++'s stand in, and a third as many steps for each round after
the first.

Variants:
  start=PATH  a model of `basicvsrpp` (track 1) or `provqe` for the first round.
  powerqe     64 channels, 7 blocks, 5 blocks of reconstruction, 7 frames, 500,000 steps.
  small, demo 16 channels, one block, which grows from 1 to 2 blocks of reconstruction, on luma of
              the demo data; minutes on two cores.
  spynet=PATH official SPyNet weights, see configs/basicvsrpp.py.

Peak-quality frames come with the data (by the QPs of the streams); a video's own come with
``enhance.py --peaks``. Adam (0.9, 0.99), 1e-4, cosine, 30 frames, crops of 256, batch 8.
"""

from typing import Any, Literal

from vqe_jax.recipes import basicvsrpp, common
from vqe_jax.recipes.common import variants

_DEPTHS = (5, 15, 25, 35, 45, 55)
_ROUND, _FINISH = 200_000, 100_000

# What a deeper network has beside the one that it starts from.
_NEW = ("^reconstruction/blocks/",)


@variants
def get_config(
    recipe: Literal["winner", "powerqe", "small"] = "winner", start: str = "", spynet: str = ""
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if recipe == "small":
        fields = basicvsrpp.FIELDS["small"]
        stages = _rounds((1, 2), (600, 300), _small_round)
        fields = fields | {"reconstruction_blocks": 2}
        # Fewer frames know no key but the frame before the last.
        return basicvsrpp.small("provqe", fields, *stages, frames=5)
    changes = basicvsrpp.flow_start(spynet) | ({"start": start, "fresh": _NEW} if start else {})
    if recipe == "powerqe":
        return common.powerqe("provqe", basicvsrpp.FIELDS["powervqe"], frames=7, **changes)
    stages = _rounds(_DEPTHS, (600_000, *[_ROUND] * 5), basicvsrpp.stage)
    stages[0] |= changes
    squared = {"losses": (("l2", 1.0),), "start": "previous"}
    stages.append(basicvsrpp.stage("squared", _FINISH, **squared, **basicvsrpp.flow_start("")))
    fields = basicvsrpp.FIELDS["full"] | {"reconstruction_blocks": _DEPTHS[-1]}
    config = basicvsrpp.run("provqe", fields, *stages)
    return config | {"data": config["data"] | {"drop_duplicates": True}}


def _rounds(depths: tuple[int, ...], steps: tuple[int, ...], stage: Any) -> list[dict[str, Any]]:
    """One stage a depth; but for the first each loads the one before."""
    rounds = []
    for k, (depth, count) in enumerate(zip(depths, steps, strict=True)):
        grown = {"start": "previous", "fresh": _NEW} if k else {}
        changes = {"model_kwargs": {"reconstruction_blocks": depth}, **grown}
        slow = {} if "small" in stage.__name__ else basicvsrpp.flow_start("")
        rounds.append(stage(f"depth{depth}", count, **changes, **slow))
    return rounds


def _small_round(name: str, steps: int, **changes: Any) -> dict[str, Any]:
    init: dict[str, Any] = {} if "start" in changes else {"init": basicvsrpp.SMALL_INIT}
    return basicvsrpp.small_stage(name, steps, **init, **changes)
