"""BasicVSR++: second-order grid propagation, aligned by flow (NTU-SLab, NTIRE 2021; CVPR 2022).

    python train.py --config configs/basicvsrpp.py --workdir runs/basicvsrpp \
        --config.data.data_dir=DIR

The report's network (128 channels, 25 blocks a pass, 44,075,631 parameters) on crops of 256. Its
results, in RGB, with the x8 ensemble (``evaluate.py --self-ensemble``): 30.37 dB in track 3, the
first; second place in tracks 1 and 2. The report gives crop, losses and flips; clip length, batch,
rate and steps are those of the same code's recipes for same-size restoration.

Variants:
  track1, track2, track3
              of the challenge. The second and third start from the first's model: ``start=PATH``.
              In the second a stage on LPIPS (VGG) and a relativistic discriminator follows, whose
              networks and weights the report does not give.
  start=PATH  a model to start from: for track 1 the report has one trained for super-resolution,
              of which all but the first layers fit.
  x4          such a network (64 channels, 7 blocks), for its shapes and weights: the data sets here
              have no pairs of two sizes.
  powervqe    64 channels, 7 blocks, 7 frames, 500,000 steps: PowerQE's recipe. PowerVQE publishes
              +1.083 dB on luma, the mean of 16 JCT-VC sequences (HM 16.20, QP 37), and +1.209 dB in
              RGB on LDV 2.0's test videos, trained on LDV 2.0.
  small, demo 16 channels, 1 block and no flow on luma of the demo data; minutes on two cores.
  spynet=PATH official SPyNet weights (.npz, .pth, .safetensors), see configs/basicvsr.py: frozen
              for 5,000 steps, as published. Its rate is a quarter of the others'.

Adam (0.9, 0.99), 1e-4, cosine to 1e-7, 600,000 steps, Charbonnier with eps 1e-12, 30 frames, batch
8, flips and rotations. It wants GPUs: give ``--config.data.batch`` what fits.
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_SPYNET_LR, _SPYNET_HELD = 0.25, 5000

# What networks with and without strided convolutions in front do not share.
_FIRST_LAYERS = (r"^shrink_\d/", "^extract/conv/")

Recipe = Literal["track1", "track2", "track3", "x4", "powervqe", "small"]

FIELDS: dict[str, dict[str, Any]] = {
    "full": {"features": 128, "blocks": 25},
    "powervqe": {"features": 64, "blocks": 7},
    "x4": {"features": 64, "blocks": 7, "upscale": 4},
    "small": {
        "channels": 1,
        "features": 16,
        "blocks": 1,
        "reconstruction_blocks": 2,
        "upsampled_features": 16,
        "deform_groups": 4,
        "flow_levels": 2,
        "flow_widths": (8, 8),
        "remat": False,
        "unroll": 1,
    },
}

# The parts that start near the identity, or without any motion, stay so.
INIT = (
    *HIGH_PASS,
    (r"^spynet/|/blocks/|/offset3/|/deform/", "keep"),
    (r"^conv_last/kernel", "zeros"),
)

# A narrow network is too deep to begin at random: what is not a residual block passes its input on.
SMALL_INIT = (
    *INIT,
    (r"(trunk|reconstruction|upsample_\d|extract)/conv/kernel$", "pass_on"),
    ("^conv_hr/kernel$", "pass_on"),
    (r"/offset\d/kernel$", "zeros"),
)


@variants
def get_config(recipe: Recipe = "track1", start: str = "", spynet: str = "") -> dict[str, Any]:
    """The recipe; variants as above."""
    if recipe == "small":
        return small("basicvsrpp", FIELDS["small"])
    changes = flow_start(spynet) | ({"start": start, "fresh": _FIRST_LAYERS} if start else {})
    if recipe == "powervqe":
        return common.powerqe("basicvsrpp", FIELDS["powervqe"], frames=7, **changes)
    if recipe == "x4":
        return run("basicvsrpp", FIELDS["x4"], stage("basicvsrpp", **changes), crop=64)
    stages = [stage("basicvsrpp", **changes)]
    if recipe == "track2":
        stages.append(_perceptual())
    return run("basicvsrpp", FIELDS["full"], *stages, track=recipe)


def run(
    model: str, fields: dict[str, Any], *stages: dict[str, Any], track: str = "track1", **data: Any
) -> dict[str, Any]:
    """The run of the report: long clips of large crops from LDV."""
    crops = common.ldv(track, **{"frames": 30, "crop": 256, "batch": 8, **data})
    return common.run(model, fields, *stages, data=crops)


def stage(name: str, steps: int = 600_000, **changes: Any) -> dict[str, Any]:
    """A stage by the published optimizer."""
    return common.annealed(name, steps, **{"losses": (common.charbonnier(1e-12),), **changes})


def flow_start(path: str) -> dict[str, Any]:
    """Keys of a stage for its flow network, which starts from official weights if given."""
    keys = {"rates": (("^spynet/", _SPYNET_LR, _SPYNET_HELD if path else 0),)}
    return keys | ({"parts": (("spynet", path),)} if path else {})


def small(
    model: str, fields: dict[str, Any], *stages: dict[str, Any], frames: int = 3
) -> dict[str, Any]:
    """A narrow network on short clips of the demo data."""
    stages = stages or (small_stage(model, 700, init=SMALL_INIT),)
    crops = common.demo(frames=frames, crop=48, batch=4)
    return common.small(model, fields, *stages, data=crops)


def small_stage(name: str, steps: int, **changes: Any) -> dict[str, Any]:
    """A stage of a narrow network, whose flow stays zero."""
    slow = (("offset", 0.1), *common.frozen("spynet"), *common.quiet_end("conv_last/"))
    return common.fast_stage(name, steps, 1e-3, ema=0.99, rates=slow, **changes)


def _perceptual() -> dict[str, Any]:
    """Track 2's further losses; weights and discriminator are ours, as in the GANs of its time."""
    return stage(
        "perceptual",
        100_000,
        start="previous",
        **common.adversarial(
            common.charbonnier(1e-12), ("lpips", 0.1, {"net": "vgg"}), weight=5e-3
        ),
        **flow_start(""),
    )
