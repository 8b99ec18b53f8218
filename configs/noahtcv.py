"""NOAHTCV's system of NTIRE 2021, third of track 2: the frame and the peaks before and after it.

    python train.py --config configs/noahtcv.py --workdir runs/noahtcv --config.data.data_dir=DIR

One network for all tracks: squared error in tracks 1 and 3, a GAN, a perceptual loss and squared
error in track 2. Published: 31.90 dB on track 1 (compressed video: 30.54), 29.35 dB on track 3
(28.34), MOS 67 of 100 on track 2 (36), eight flips and turns averaged, 12.8 s a frame on a V100.
Crops, rates, lengths and loss weights are not published: 128, Adam, 1e-4 along a cosine, 300,000
steps; in track 2 those of ESRGAN. It wants a GPU.

Variants:
  track2       the perceptual track, from runs/noahtcv/last.safetensors; wants VGG-19
               (``python -m vqe_jax.weights fetch vgg19``)
  track3       the data of track 3
  small, demo  8 channels, luma of the demo data: minutes on two cores
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

SMALL: dict[str, Any] = {"channels": 1, "features": 8, "front_blocks": 1, "offset_features": 8}
SMALL |= {"levels": 1, "deform_groups": 1, "unet_blocks": 1, "back_blocks": 1, "remat": False}
# Blind to brightness, blocks near the identity, neither offsets nor a residual at first; what is
# between the first layer and the last passes its input on, else nothing is left of it there.
INIT = (
    *HIGH_PASS,
    ("conv2/kernel$", "kaiming", {"scale": 0.1}),
    ("offset/kernel$", "zeros"),
    (r"(deform/conv|join\d|strided\d|align|shuffled\d/conv)/kernel$", "pass_on"),
    ("^conv_last/kernel$", "zeros"),
)


@variants
def get_config(
    track: Literal["track1", "track2", "track3"] = "track1",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        slow = (("offset", 0.1), *common.quiet_end("^conv_last/", 0.2))
        few = common.fast_stage("noahtcv", 400, 1e-3, init=INIT, ema=0.99, rates=slow)
        data = common.demo(frames=1, crop=32, batch=8)
        return common.small("noahtcv", SMALL, few, data=data)
    own: dict[str, Any] = {"losses": (("l2", 1.0),)}
    if track == "track2":
        own = common.adversarial(*own["losses"], ("vgg_pyramid", 1.0), weight=0.005)
        own["start"] = "runs/noahtcv/last.safetensors"
    only = common.stage("noahtcv", 300_000, 1e-4, schedule=common.cosine(1e-7), **own)
    data = common.ldv(track, frames=1, crop=128, batch=16)
    return common.run("noahtcv", {}, only, data=data)
