"""The VUE team's fidelity entries to NTIRE 2021 (tracks 1 and 3): BasicVSRs, averaged.

Track 1 averages two BasicVSR, each under the eight flips and quarter turns, and gives the result to
a second-stage BasicVSR; track 3 averages four. The report says neither how the members differ nor
how long they were trained; here they differ by their seed and by their depth.

    python train.py --config configs/vue.py:track1_a --workdir runs/vue/track1_a
    python train.py --config configs/vue.py:track1_b --workdir runs/vue/track1_b
    python -m vqe_jax.training.stage_inputs runs/vue/track1_a runs/vue/track1_b --self-ensemble \
        --split train val --dataset ldv --config-name track1 --to data/vue_track1
    python train.py --config configs/vue.py:track1_second --workdir runs/vue/track1_second

Variants:
  track1_a, track1_b, track1_second   of track 1 (default: track1_a)
  track3_a, track3_b, track3_c, track3_d  of track 3
  small_a, small_b, small_second      the first track on the demo data, in minutes
  spynet=PATH                         as in configs/basicvsr.py

Adam (0.9, 0.99), 2e-4, cosine, Charbonnier with eps 1e-12, 64x64.
"""

from typing import Any, Literal

from vqe_jax.recipes import basicvsr
from vqe_jax.recipes.common import variants

# Seed and residual blocks of each member.
_MEMBERS = {"a": (0, 30), "b": (1, 20), "c": (2, 30), "d": (3, 20), "second": (4, 30)}
_SMALL_BLOCKS = {"a": 2, "b": 1, "second": 1}

# Results of the first members, from `stage_inputs`.
_CACHE = {"track1": "data/vue_track1", "small": "data/vue_small"}


@variants
def get_config(
    member: Literal[
        "track1_a",
        "track1_b",
        "track1_second",
        "track3_a",
        "track3_b",
        "track3_c",
        "track3_d",
        "small_a",
        "small_b",
        "small_second",
    ] = "track1_a",
    spynet: str = "",
) -> dict[str, Any]:
    """The recipe of one member; variants as above."""
    group, _, which = member.partition("_")
    width = "small" if group == "small" else "full"
    seed, blocks = _MEMBERS[which]
    blocks = _SMALL_BLOCKS[which] if group == "small" else blocks
    data = {"config_name": "track3"} if group == "track3" else {}
    config = basicvsr.recipe(basicvsr.FIELDS[width] | {"blocks": blocks}, spynet, width, **data)
    if which == "second":
        config["data"]["inputs_dir"] = config["eval"]["inputs_dir"] = _CACHE[group]
    return config | {"seed": seed}
