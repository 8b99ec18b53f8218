"""Train with losses of your own: ``python examples/own_loss.py``.

A loss is a function of a prediction and the ground truth. One that wants more, or less, says so in
its entry; a term may be taken of any output that the network names, and its weight may change.
"""

from pathlib import Path

import flax.linen as nn
import jax.numpy as jnp
from own_network import config

from vqe_jax import losses, models
from vqe_jax.data.build import build
from vqe_jax.nn.layers import Conv
from vqe_jax.training import loop


def log_cosh(prediction, target, *, scale=100.0):
    """Squared near zero, absolute far from it; clips ``[b, t, h, w, c]``."""
    error = scale * (prediction - target)
    return jnp.mean(jnp.logaddexp(error, -error) - jnp.log(2.0)) / scale


def total_variation(maps):
    """Smoothness of something that has no ground truth."""
    return jnp.mean(jnp.abs(jnp.diff(maps, axis=-2))) + jnp.mean(jnp.abs(jnp.diff(maps, axis=-3)))


class Gated(models.FrameNetwork):
    """A correction and where it is applied; the gate is an output beside the picture."""

    features: int = 8

    @property
    def context(self):
        """Names the output."""
        return models.Context(outputs=("gate",))

    @nn.compact
    def enhance(self, frames, side=models.Side(), *, train=False):
        """Frames ``[n, h, w, c]`` to pictures and gates."""
        x = nn.relu(Conv(self.features, name="first")(frames))
        gate = nn.sigmoid(Conv(1, name="gate")(x))
        return {"picture": frames + gate * Conv(self.channels, name="last")(x), "gate": gate}


losses.register("total_variation", losses.Loss(total_variation, target=None))
models.register("gated", Gated)

TERMS = (
    ("own_loss:log_cosh", 10.0, {"scale": 50.0}),  # a function of a module needs no registration
    {  # smooth gates to begin with
        "name": "total_variation",
        "of": "gate",
        "weight": {"values": (0.1, 0.0), "steps": (0, 200)},
    },
)


def main(folder=Path("runs/own_network"), steps=600, crop=64, **size):
    """Builds the demo clips (those of ``own_network.py``, if they are there) and trains."""
    build("demo", folder / "data", qp=(37,), **size)
    plan = config(folder / "data", steps, model="gated", losses=TERMS, crop=crop)
    return loop.run(plan, folder / "run_own_loss")


if __name__ == "__main__":
    main()
