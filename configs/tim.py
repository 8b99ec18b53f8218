"""The anonymous team's three stages of NTIRE 2021, track 2: textures, EDVR, sharpened edges.

    python -m vqe_jax.weights fetch vgg19
    python train.py --config configs/tim.py --workdir runs/tim --config.data.data_dir=DIR

The report's recipe: the texture module by 0.01 Charbonnier (eps 1e-6) + relativistic GAN + 0.005
VGG; then EDVR by Charbonnier, its entry alone for 80,000 steps, all of it for 155,000 at 1e-5.
Theirs was the published EDVR for blurred video; without its weights the two stages begin from
scratch at the same rates, and will want more steps. The third stage learns nothing. Published: MOS
50 of 100, LPIPS 0.0865 (compressed video: 36 and 0.0752), 4.52 s a frame on a V100. The first
stage's length and rate, crops and batch are not published. It wants a large GPU.

Variants:
  small, demo  narrow, squared errors in place of the GAN, the demo data: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import SLOW, STEADY
from vqe_jax.training.inits import HIGH_PASS

SMALL: dict[str, Any] = {"features": 8, "levels": 2, "frames": 3, "edvr_features": 8}
SMALL |= {"deform_groups": 2, "extraction_blocks": 1, "reconstruction_blocks": 1, "remat": False}
# A sharper picture is further from the truth: the small one stops before.
_TEXTURE, _ALIGNED = {"output": "texture"}, {"output": "aligned"}
INIT = (
    *HIGH_PASS,
    ("/offset/", "zeros"),
    ("/block|_block|_factor/|_shift/", "keep"),
    *STEADY,
    ("(texture/last|conv_last)/kernel$", "zeros"),
)


@variants
def get_config(width: Literal["full", "small"] = "full") -> dict[str, Any]:
    """The recipe; variants as above."""
    alone: dict[str, Any] = {"rates": common.frozen("edvr"), "model_kwargs": _TEXTURE}
    if width == "small":
        textures = _few("texture", init=INIT, **alone)
        after: dict[str, Any] = {"rates": common.frozen("texture"), "model_kwargs": _ALIGNED}
        aligned = _few("aligned", start="previous", **after)
        data = common.demo(frames=3, crop=32, batch=4, color="rgb")
        return common.small("tim", {**SMALL, **_ALIGNED}, textures, aligned, data=data)
    pixels, features = common.charbonnier(1e-6, 0.01), ("vgg_pyramid", 0.005)
    terms = common.adversarial(pixels, features, weight=1.0)
    textures = common.stage("texture", 300_000, 1e-4, **terms, **alone, data={"frames": 1})
    # Training sees the second stage; validation and the model file the sharpened one.
    term = {"name": "charbonnier", "weight": 1.0, "options": {"eps": 1e-6}, "of": "aligned"}
    own = {"losses": (term,), "start": "previous"}
    held = (("^texture/", 0), ("^edvr/(?!trunk/entry)", 0))
    entry = common.stage("predeblur", 80_000, 1e-4, rates=held, **own)
    whole = common.stage("edvr", 155_000, 1e-5, rates=common.frozen("texture"), **own)
    data = common.ldv("track2", frames=5, crop=256, batch=8)
    return common.run("tim", {}, textures, entry, whole, data=data, eval=common.by_eye())


def _few(name: str, rates: tuple[Any, ...], **changes: Any) -> dict[str, Any]:
    """A stage of the narrow network."""
    slow = (*SLOW[1:], *common.quiet_end("(texture/last|conv_last)/"), *rates)
    return common.fast_stage(name, 600, 1e-3, ema=0.99, rates=slow, **changes)
