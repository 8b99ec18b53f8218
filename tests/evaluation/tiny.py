"""Models and clips small enough for tests."""

import functools

import jax
import numpy as np

from vqe_jax import models
from vqe_jax.evaluation.clips import EvalClip
from vqe_jax.evaluation.models import Choice, EvalModel
from vqe_jax.inference.resolve import Ready
from vqe_jax.models.shapes import initial_variables
from vqe_jax.weights import ModelFile

TINY = {"width": 4, "down_widths": (4, 4, 4), "lookahead": 1, "temporal_kernels": (2, 2, 1)}


@functools.cache
def model_file(identity=True, qp=37, **fields):
    """A tiny VIG; with a zero last layer it gives its input back."""
    kwargs = {**TINY, **fields}
    variables = initial_variables(models.build("vig", **kwargs), jax.random.key(0))
    variables = jax.tree.map(np.array, variables)
    if identity:
        last = variables["params"]["fusion"]
        variables["params"]["fusion"] = jax.tree.map(np.zeros_like, last)
    return ModelFile("vig", kwargs, variables, qp=(qp,), source="test")


def model(label="same", **options):
    return EvalModel(label, (Choice((model_file(**options),), f"{label}.safetensors"),))


class Stub(EvalModel):
    """A model that runs whatever network it is given."""

    def of(network, variables):
        made = Stub("stub", (Choice((model_file(),), "stub"),))
        object.__setattr__(made, "_ready", Ready(network, variables))
        return made

    def ready(self, qp):
        return (self._ready,)


def clip(name="clip", count=6, height=20, width=24, noise=0.05, qp=37, seed=0, kbps=100.0):
    """Smooth frames that move, as the truth, and the same with noise."""
    rng = np.random.default_rng(seed)
    wave = np.linspace(0.2, 0.8, width + count, dtype=np.float32)
    raw = np.stack([np.tile(wave[i : i + width], (height, 1)) for i in range(count)])[..., None]
    coded = raw + noise * rng.standard_normal(raw.shape).astype(np.float32)
    sides = {"raw": raw, "compressed": np.clip(coded, 0, 1)}
    return EvalClip(
        name=name,
        qp=qp,
        width=width,
        height=height,
        count=count,
        fps=25.0,
        kbps=kbps,
        frame_types="I" + "P" * (count - 1),
        frame_qps=(-1 if qp is None else qp,) * count,
        reader=lambda side, color: iter(sides[side]),
    )
