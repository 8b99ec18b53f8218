"""Train a network of your own: ``python examples/own_network.py``.

It is a class with fields and ``enhance``; streaming, tiles, checkpoints, validation and model files
come with it. Here: three frames in, a correction of the middle one out. A few minutes on two cores.
"""

from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp

import vqe_jax
from vqe_jax import models
from vqe_jax.data.build import build
from vqe_jax.nn.layers import Conv
from vqe_jax.training import loop
from vqe_jax.training.inits import HIGH_PASS


class Plain(models.WindowNetwork):
    """Plain convolutions over the frames of a window."""

    radius: int = 1  # frames before and after the current one
    features: int = 16
    depth: int = 4

    @nn.compact
    def enhance(self, windows, side=models.Side(), *, train=False):
        """Windows ``[n, 3, h, w, c]`` to pictures ``[n, h, w, c]``."""
        x = jnp.concatenate(jnp.moveaxis(windows, 1, 0), axis=-1)
        for i in range(self.depth):
            x = nn.relu(Conv(self.features, name=f"conv{i}")(x))
        return windows[:, self.radius] + Conv(self.channels, name="last")(x)


models.register("plain", Plain)


def config(data_dir, steps, model="plain", losses=(("l2", 30.0),), **data):
    """One stage on crops of the demo clips."""
    return {
        "model": model,
        "data": {"dataset": "demo", "data_dir": str(data_dir), "config_name": "qp37",
                 "frames": 3, "crop": 64, "batch": 8} | data,
        "stages": ({"name": "all", "steps": steps, "learning_rate": 2e-3, "losses": losses,
                    "init": (*HIGH_PASS, ("^last/", "zeros")), "ema": 0.99},),
        "eval": {"every": max(steps // 3, 1), "frames": 8},
    }  # fmt: skip


def main(folder=Path("runs/own_network"), steps=600, crop=64, **size):
    """Builds the demo clips, trains, and enhances with what was trained."""
    build("demo", folder / "data", qp=(37,), **size)
    outcome = loop.run(config(folder / "data", steps, crop=crop), folder / "run")
    clip = jnp.full((4, 48, 64, 1), 0.5)
    result = vqe_jax.enhance(clip, model=str(folder / "run" / "best.safetensors"))
    print(f"gained {outcome.best_score:.3f} dB; an enhanced clip is {result.shape}")
    return outcome


if __name__ == "__main__":
    main()
