"""BasicVSR without pixel-shuffle, for enhancement (Chan et al., CVPR 2021; VUE, NTIRE 2021).

    python train.py --config configs/basicvsr.py --workdir runs/basicvsr --config.data.data_dir=DIR

The default is the published recipe at full resolution: 64 channels, 30 blocks, 15 frames of 64x64,
batch 8, 300,000 steps. Fits a 16 GB GPU (benchmarks/basicvsr_memory.py).

Variants:
  small, demo 8 channels, 2 blocks and a narrow flow network on the demo data; minutes on two cores.
  x4          the super-resolution network of the paper, for its shapes and weights.
  spynet=PATH official SPyNet weights (.npz, .pth, .safetensors)
              start the flow network, which is then frozen for 5,000 steps, as published. Without
              them it starts with no motion at all and learns from the first step. Its rate is an
              eighth of the others' either way. The weights are for non-commercial research only.

Adam (0.9, 0.99), 2e-4, cosine to 1e-7, Charbonnier with eps 1e-12, flips and rotations.
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.training.inits import HIGH_PASS

_SPYNET_LR, _SPYNET_HELD = 0.125, 5000

_QUICK = {"flow_levels": 4, "flow_widths": (8, 16, 8)}
FIELDS: dict[str, dict[str, Any]] = {
    "full": {"features": 64, "blocks": 30},
    "narrow": {"features": 16, "blocks": 3, "remat": False, **_QUICK},
    "small": {"features": 8, "blocks": 2, **_QUICK},
}

# In few steps the residual is all there is to learn, so it starts from nothing.
_NOTHING = ((r"(^|/)conv_last/", "zeros"),)
# Half the gain for what comes back from the last frame, so that it fades. Flow networks and
# residual blocks begin as their authors have them.
INIT = (
    *HIGH_PASS,
    (r"trunk/conv/kernel$", "high_pass", {"scale": 0.5}),
    (r"(^|/)spynet/|/blocks/", "keep"),
    *_NOTHING,
)


@variants
def get_config(
    x4: bool = False, spynet: str = "", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    return recipe(FIELDS[width] | ({"upscale": 4} if x4 else {}), spynet, width)


def recipe(fields: dict[str, Any], spynet: str, width: str, **data: Any) -> dict[str, Any]:
    """One network, trained in one stage."""
    small = width != "full"
    average = {"ema": 0.99} if small else {}
    only = stage("basicvsr", 600 if small else 300_000, width, **average, **flow_start(spynet))
    return common.run("basicvsr", fields, only, data=crops(width, **data), **rhythm(width))


def stage(name: str, steps: int, width: str, **changes: Any) -> dict[str, Any]:
    """A stage by the published optimizer, a higher rate where steps are few."""
    own: dict[str, Any] = {"losses": (common.charbonnier(1e-12),)}
    if width == "full":
        return common.annealed(name, steps, 2e-4, **{**own, **changes})
    return common.annealed(name, steps, 1e-3, **{**own, "init": _NOTHING, **changes})


def flow_start(path: str, *subtrees: str) -> dict[str, Any]:
    """Keys of a stage for its flow networks, which start from official weights if given."""
    flows = [f"{tree}/spynet" for tree in subtrees] or ["spynet"]
    held = _SPYNET_HELD if path else 0
    keys: dict[str, Any] = {"rates": tuple((f"^{flow}/", _SPYNET_LR, held) for flow in flows)}
    return keys | ({"parts": tuple((flow, path) for flow in flows)} if path else {})


def crops(width: str, **changes: Any) -> dict[str, Any]:
    """Crops in RGB: of LDV's track 1, or of the demo clips."""
    if width != "full":
        return common.demo(frames=5, batch=2, color="rgb", **changes)
    return common.ldv(**{"frames": 15, "crop": 64, "batch": 8, **changes})


def rhythm(width: str) -> dict[str, Any]:
    """How often a run is validated and kept."""
    every = 5000 if width == "full" else 200
    first = {} if width == "full" else {"frames": 10}
    return {"eval": {"every": every, **first}, "checkpoint": {"every": every}}
