"""PeQuENet: adversarial training for perceptual quality at four QPs (TCSVT 2022).

    python -m vqe_jax.weights fetch vgg19 lpips_alex
    python -m vqe_jax.data mfqe_v2 --data_dir data --source MFQEv2 --qp 22 27 32 37
    python train.py --config configs/pequenet.py --workdir runs/pequenet

The default is the released recipe: three frames, crops of 128, batch 32, the four QPs mixed, Adam
1e-4 for both sides, 300,000 steps; LSGAN + 10 x feature matching + 10 x VGG pyramid. It wants a
GPU; the published LPIPS (mean of the 18 sequences) needs the VGG-19 of torchvision.

Variants:
  default        the released recipe
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
  small          an eighth of the widths, untrained features, on the demo data: minutes on two
                 cores (``python -m vqe_jax.data demo --data_dir data``,
                 ``python -m vqe_jax.weights fetch lpips_alex``)
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

QPS = ("qp22", "qp27", "qp32", "qp37")
VGG = ("vgg_pyramid", 10.0)

_MODELS: dict[str, dict[str, Any]] = {
    "vgg16": {"backbone": "vgg16"},
    "deformable": {"alignment": "deformable"},
    "flow": {"alignment": "flow"},
    "half": {"attention_downsample": 2},
    "quarter": {"attention_downsample": 4},
    "sixth": {"attention_downsample": 6},
    "ablation_a": {"attention_depths": (), "qp_conditioning": False},
    "ablation_b": {"attention_depths": (3,)},
    "ablation_c": {"attention_depths": (4,)},
    "ablation_d": {"attention_depths": (5,)},
    "ablation_e": {"attention_depths": (3, 4)},
    "ablation_f": {"attention_depths": (3, 5)},
    "ablation_g": {"attention_depths": (4, 5)},
    "ablation_h": {"qp_conditioning": False},
    "ablation_i": {},
}
_LOSSES: dict[str, tuple[tuple[Any, ...], ...]] = {
    "vgg16": ((*VGG, {"depth": 16}),),
    "no_vgg": (),
    "lpips": (("lpips", 10.0, {"net": "vgg"}),),
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "no_adversarial": {"weight": 0.0},
    "no_matching": {"feature_matching": 0.0},
    "ragan": {"loss": "ragan"},
    "rsgan": {"loss": "rsgan"},
    "hinge": {"loss": "hinge"},
}
_OTHERS = ("default", "vgg_only", "small")


def get_config(variant: str = "default") -> ConfigDict:
    """The recipe; ``variant`` as above.

    Raises:
      ValueError: another variant.
    """
    known = {*_MODELS, *_LOSSES, *_OPTIONS, *_OTHERS}
    if variant not in known:
        raise ValueError(f"variant {variant!r} is not one of {', '.join(sorted(known))}")
    if variant == "small":
        return small("pequenet", {"divisor": 8, "head_features": 16, "residual": True})
    if variant == "vgg_only":
        stage = {"losses": (VGG,)}
    else:
        stage = {
            "kind": "adversarial",
            "losses": _LOSSES.get(variant, (VGG,)),
            "options": _OPTIONS.get(variant, {}),
        }
    return recipe("pequenet", _MODELS.get(variant, {}), stage, variant)


def recipe(
    model: str, model_kwargs: dict[str, Any], stage: dict[str, Any], variant: str
) -> ConfigDict:
    """The released recipe, which PeQuENet and DCNGAN share, with a stage's own keys."""
    return ConfigDict(
        {
            "model": model,
            "model_kwargs": model_kwargs,
            "data": {
                "dataset": "mfqe_v2",
                "config_name": QPS,
                "frames": 3,
                "crop": 128,
                "batch": 32,
            },
            "stages": ({"name": "gan", "steps": 300_000, "learning_rate": 1e-4, **stage},),
            "eval": {
                "split": "test",
                "every": 10_000,
                "config_name": "qp37",
                "frames": 30,
                "protocol": "lpips_alex_y",  # what the best model is chosen by
            },
            "checkpoint": {"every": 1_000},
            "seed": 7,
            "source": f"trained by configs/{model}.py:{variant} on MFQEv2",
        }
    )


def small(model: str, model_kwargs: dict[str, Any]) -> ConfigDict:
    """The demo data: LPIPS in place of the VGG pyramid, whose levels need larger crops."""
    stage = {
        "name": "gan",
        "kind": "adversarial",
        "steps": 300,
        "learning_rate": 2e-3,
        "schedule": {"name": "cosine", "end": 1e-5},
        "losses": (("l1", 1.0), ("lpips", 2.0)),
        "ema": 0.98,
        "options": {
            "weight": 0.01,
            "feature_matching": 0.05,
            "discriminator_learning_rate": 5e-4,
            "discriminator": {"features": 8},
            "sample_every": 100,
        },
    }
    return ConfigDict(
        {
            "model": model,
            # Clips of a data set made with variants lie around the QP of its name.
            "model_kwargs": {**model_kwargs, "qps": (32, 37, 42), "qp_interpolation": True},
            "data": {
                "dataset": "demo",
                "config_name": "qp37",
                "frames": 3,
                "crop": 64,
                "batch": 4,
            },
            "stages": (stage,),
            "eval": {"split": "val", "every": 100, "frames": 6, "protocol": "lpips_alex_y"},
            "checkpoint": {"every": 100},
            "log_every": 20,
            "source": f"trained by configs/{model}.py:small on the demo data",
        }
    )
