"""PeQuENet: adversarial training for perceptual quality at four QPs (TCSVT 2022).

    python -m vqe_jax.weights fetch vgg19 lpips_alex
    python -m vqe_jax.data mfqe_v2 --data-dir data --source MFQEv2 --qp 22 27 32 37
    python train.py --config configs/pequenet.py --workdir runs/pequenet

The default is the released recipe: three frames, crops of 128, batch 32, the four QPs mixed, Adam
1e-4 for both sides, 300,000 steps; LSGAN + 10 x feature matching + 10 x VGG pyramid. It wants a
GPU; the published LPIPS (mean of the 18 sequences) needs the VGG-19 of torchvision.

Variants:
  vgg16          VGG-16 in generator and loss, where VGG-19 is not to be had; not the paper's
  deformable     alignment by a deformable convolution in place of attention (Fig. 10)
  flow           alignment along optical flow, learned from scratch (Fig. 11)
  half, quarter, sixth      attention between maps smaller by 2, 4, 6 (Fig. 14)
  ablation_a .. ablation_i  which of the three attentions there are, and whether the QP is told;
                 the components are the paper's (Table VI), the letters' order is ours:
                 a none, b 3, c 4, d 5, e 3+4, f 3+5, g 4+5 (all with the QP but a),
                 h 3+4+5 without the QP, i everything
  no_adversarial, no_matching, no_vgg, vgg_only   losses left out (Table VII)
  lpips          LPIPS (VGG) in place of the VGG pyramid
  ragan, rsgan, hinge       other adversarial losses
  small, demo    an eighth of the widths, untrained features, on the demo data: minutes on two
                 cores (``python -m vqe_jax.data demo --data-dir data``,
                 ``python -m vqe_jax.weights fetch lpips_alex``)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants

VGG = ("vgg_pyramid", 10.0)

_SMALLER = {"whole": 1, "half": 2, "quarter": 4, "sixth": 6}
_DEPTHS = {"a": (), "b": (3,), "c": (4,), "d": (5,), "e": (3, 4), "f": (3, 5), "g": (4, 5)}
_WITHOUT_QP = ("a", "h")
Ablation = Literal[
    "ablation_a",
    "ablation_b",
    "ablation_c",
    "ablation_d",
    "ablation_e",
    "ablation_f",
    "ablation_g",
    "ablation_h",
    "ablation_i",
]


@variants
def get_config(
    vgg16: bool = False,
    alignment: Literal["attention", "deformable", "flow"] = "attention",
    maps: Literal["whole", "half", "quarter", "sixth"] = "whole",
    ablation: Ablation = "ablation_i",
    losses: Literal["all", "no_adversarial", "no_matching", "no_vgg", "vgg_only", "lpips"] = "all",
    gan: Literal["lsgan", "ragan", "rsgan", "hinge"] = "lsgan",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        return small("pequenet", {"divisor": 8, "head_features": 16, "residual": True})
    fields: dict[str, Any] = {"backbone": "vgg16"} if vgg16 else {}
    fields |= {} if alignment == "attention" else {"alignment": alignment}
    fields |= {} if maps == "whole" else {"attention_downsample": _SMALLER[maps]}
    letter = ablation[-1]
    fields |= {"attention_depths": _DEPTHS[letter]} if letter in _DEPTHS else {}
    fields |= {"conditioning": None} if letter in _WITHOUT_QP else {}
    return recipe("pequenet", fields, **_stage(losses, gan, vgg16))


def _stage(losses: str, gan: str, vgg16: bool) -> dict[str, Any]:
    pyramid = (*VGG, {"depth": 16}) if vgg16 else VGG
    if losses == "vgg_only":
        return {"losses": (pyramid,)}
    terms = {"no_vgg": (), "lpips": (("lpips", 10.0, {"net": "vgg"}),)}
    left_out = {"no_adversarial": {"weight": 0.0}, "no_matching": {"feature_matching": 0.0}}
    kind = {} if gan == "lsgan" else {"loss": gan}
    return {
        "kind": "adversarial",
        "losses": terms.get(losses, (pyramid,)),
        "options": left_out.get(losses, {}) | kind,
    }


def recipe(model: str, fields: dict[str, Any], **stage: Any) -> dict[str, Any]:
    """The released recipe, which PeQuENet and DCNGAN share, with a stage's own keys."""
    data = common.mfqe_v2((22, 27, 32, 37), frames=3, crop=128, batch=32)
    judged = {"config_name": "qp37", "frames": 30, "protocol": "lpips_alex_y"}
    own = {"eval": {"split": "test", "every": 10_000, **judged}, "seed": 7}
    return common.run(model, fields, common.stage("gan", 300_000, **stage), data=data, **own)


def small(model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The demo data: LPIPS in place of the VGG pyramid, whose levels need larger crops."""
    stage = common.stage(
        "gan",
        300,
        2e-3,
        kind="adversarial",
        schedule=common.cosine(1e-5),
        losses=(("l1", 1.0), ("lpips", 2.0)),
        ema=0.98,
        options={
            "weight": 0.01,
            "feature_matching": 0.05,
            "discriminator_learning_rate": 5e-4,
            "discriminator": {"features": 8},
            "sample_every": 100,
        },
    )
    # Clips of a data set made with variants lie around the QP of its name.
    fields = {**fields, "conditioning": {"qps": (32, 37, 42), "interpolate": True}}
    judged = {"split": "val", "every": 100, "frames": 6, "protocol": "lpips_alex_y"}
    data = common.demo(frames=3, batch=4)
    return common.small(model, fields, stage, data=data, eval=judged, log_every=20)
