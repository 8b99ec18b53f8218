"""VIG's direct and factored forms: operations and time of a clip, and of a frame of a stream.

    python benchmarks/vig_forms.py [--size 240x416] [--frames 7]

Operations are counted from the jaxpr, in multiply-adds a pixel of output; times are medians of
interleaved runs of the forward pass, as ratios to the direct form.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp

sys.path.insert(0, str(Path(__file__).parents[1]))  # the figure's form lives with the tests

from benchmarks.races import race
from vqe_jax import models
from vqe_jax.models.cost import multiply_adds
from vqe_jax.models.shapes import initial_variables

FORMS = {"direct": "tests.models.vig_direct:DirectVIG", "factored": "vig"}


def enhancing(network, variables, clip) -> Callable[[], jax.Array]:
    """Enhances the clip."""
    apply = jax.jit(network.apply)
    return lambda: jax.block_until_ready(apply(variables, clip))


def stream_operations(network, variables, window) -> float:
    """Of one frame of a stream under way."""

    def step(variables, state, window):
        return network.apply(variables, state, window, method="step")

    state, _ = jax.eval_shape(step, variables, None, window)
    return multiply_adds(step, variables, state, window)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="240x416", help="HEIGHTxWIDTH")
    parser.add_argument("--frames", type=int, default=7)
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    pixels = height * width
    clip = jax.random.uniform(jax.random.key(0), (1, given.frames, height, width, 1))
    forms = {form: models.build(name) for form, name in FORMS.items()}
    variables = initial_variables(forms["direct"], jax.random.key(1))
    run = {form: enhancing(network, variables, clip) for form, network in forms.items()}
    difference = float(jnp.abs(run["direct"]() - run["factored"]()).max())
    found = race(run, given.runs)
    print(f"VIG, {given.frames} frames of {width}x{height}; largest difference {difference:.1e}\n")
    print("| form | multiply-adds a pixel, clip | stream | ms a frame, clip | ratio |")
    print("|---|---|---|---|---|")
    window = jax.ShapeDtypeStruct((1, 4, height, width, 1), jnp.float32)
    for form, network in forms.items():
        in_clip = multiply_adds(network.apply, variables, clip) / (pixels * given.frames)
        in_stream = stream_operations(network, variables, window) / pixels
        ms = found[form].wall
        print(
            f"| {form} | {in_clip:,.0f} | {in_stream:,.0f} | "
            f"{ms / given.frames:.1f} | {ms / found['direct'].wall:.2f} |"
        )


if __name__ == "__main__":
    main()
