"""The VUE team's fidelity entries to NTIRE 2021 (tracks 1 and 3): BasicVSRs, averaged.

Track 1 averages two BasicVSR, each under the eight flips and quarter turns, and gives the result to
a second-stage BasicVSR; track 3 averages four. The report says neither how the members differ nor
how long they were trained; here they differ by their seed and by their depth.

    python train.py --config configs/vue.py:track1_a --workdir runs/vue/track1_a
    python train.py --config configs/vue.py:track1_b --workdir runs/vue/track1_b
    python -m vqe_jax.training.stage_inputs runs/vue/track1_a runs/vue/track1_b --self_ensemble \
        --split train val --dataset ldv --config_name track1 --to data/vue_track1
    python train.py --config configs/vue.py:track1_second --workdir runs/vue/track1_second

Variants: track1_a, track1_b, track1_second; track3_a, track3_b, track3_c, track3_d; ``small_a``,
``small_b`` and ``small_second``, the first track on the demo data in minutes. ``,spynet=PATH`` is
that of configs/basicvsr.py. Adam (0.9, 0.99), 2e-4, cosine, Charbonnier with eps 1e-12, 64x64.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from configs import basicvsr

# Seed and residual blocks of each member.
_MEMBERS = {"a": (0, 30), "b": (1, 20), "c": (2, 30), "d": (3, 20), "second": (4, 30)}
_SMALL_BLOCKS = {"a": 2, "b": 1, "second": 1}
_VARIANTS = (
    "track1_a", "track1_b", "track1_second",
    "track3_a", "track3_b", "track3_c", "track3_d",
    "small_a", "small_b", "small_second",
)  # fmt: skip

# Results of the first members, from `stage_inputs`.
_CACHE = {"track1": "data/vue_track1", "small": "data/vue_small"}


def get_config(variant: str = "track1_a") -> ConfigDict:
    """The recipe of one member; ``variant`` as above."""
    name, spynet = basicvsr.parse_variant(variant, _VARIANTS)
    group, _, member = name.partition("_")
    base = "small" if group == "small" else "default"
    config = basicvsr.get_config(base + (f",spynet={spynet}" if spynet else ""))
    config.seed, blocks = _MEMBERS[member]
    config.model_kwargs.blocks = _SMALL_BLOCKS[member] if group == "small" else blocks
    if group == "track3":
        config.data.config_name = "track3"
    if member == "second":
        config.data.inputs_dir = config.eval.inputs_dir = _CACHE[group]
    config.source = f"configs/vue.py:{variant}"
    return config
