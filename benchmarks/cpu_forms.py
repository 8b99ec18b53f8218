"""Forms of one function on the CPU: what was tried for VIG's frame, STDF's step and DCNGAN.

    python -m benchmarks.cpu_forms [--size 480x832] [--repeats 15] [--what WORDS]

Each pair computes the same; they take turns. Medians of the wall clock and of the processor's time,
which other work on the machine touches less. Widths are those of the packaged VIG: F0 and F1 have
8 channels, TSD1 gives 16.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.races import race
from vqe_jax.flags import Parser
from vqe_jax.ops.conv2d import conv2d
from vqe_jax.ops.conv_transpose import conv_transpose
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle, unshuffled_kernel

Form = tuple[str, Callable[..., Any], tuple[Any, ...]]


def conv(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _random(*shape: int, dtype: Any = jnp.float32) -> jax.Array:
    return jax.random.normal(jax.random.key(sum(shape)), shape).astype(dtype)


def _folded(form: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, kernel: form(x, unshuffled_kernel(kernel, 2))


def pairs(h: int, w: int) -> Iterator[tuple[str, Form, Form]]:
    """What it is about, the form before and the form now."""
    h2, w2 = h // 2, w // 2
    frame, kernel = _random(1, h, w, 1), _random(3, 3, 1, 8)
    yield (
        "F0 for TSD1: 1 to 8 channels",
        (
            "full size, then unshuffled",
            lambda x, k: pixel_unshuffle(conv(x, k), 2),
            (frame, kernel),
        ),
        (
            "unshuffled before",
            _folded(lambda x, k: conv(pixel_unshuffle(x, 2), k)),
            (frame, kernel),
        ),
    )
    hidden, kernel = _random(1, h2, w2, 32), _random(3, 3, 8, 1)
    yield (
        "picture of F1: 8 channels to 1",
        ("shuffled before", lambda x, k: conv(pixel_shuffle(x, 2), k), (hidden, kernel)),
        ("shuffled after", _folded(lambda x, k: pixel_shuffle(conv(x, k), 2)), (hidden, kernel)),
    )
    slices = [_random(1, h2, w2, 32) for _ in range(3)]
    five, four = _random(3, 3, 32 * 5, 16), _random(3, 3, 32, 48)
    yield (
        "TSD1 on frames alone, a frame of a stream",
        (
            "5 taps over kept slices",
            lambda k, *s: (
                conv(jnp.concatenate(s, -1), k[:, :, :96]),
                conv(jnp.concatenate(s[:2], -1), k[:, :, 96:]),
            ),
            (five, *slices),
        ),
        (
            "3 taps of the new slice, sums kept",
            lambda k, x, *kept: [
                a + b for a, b in zip(kept, jnp.split(conv(x, k), 3, -1), strict=True)
            ],
            (four, slices[0], *(_random(1, h2, w2, 16) for _ in range(3))),
        ),
    )
    for name, inside, out, part in (("32 to 48", 32, 48, 2), ("64 to 64", 64, 64, 4)):
        inputs = _random(1, h // part, w // part, inside), _random(3, 3, inside, out)
        small = tuple(x.astype(jnp.bfloat16) for x in inputs)
        title = f"convolution {name}, 1/{part} of the size"
        yield title, ("float32", conv, inputs), ("bfloat16 (not taken)", conv, small)

    def gradient(in_phases: bool) -> Callable[..., Any]:
        def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return jnp.square(conv_transpose(x, kernel, 2, 1, in_phases=in_phases)).mean()

        return jax.grad(loss, argnums=(0, 1))

    maps = _random(4, 32, 32, 32), _random(4, 4, 32, 32)
    yield (
        "transposed convolution, 4x32x32x32, both gradients",
        ("dilated", gradient(False), maps),
        ("in phases", gradient(True), maps),
    )
    yield from _unpadded()
    yield from _kernel_gradients()


def _unpadded() -> Iterator[tuple[str, Form, Form]]:
    """Convolutions of DCNGAN over maps that were mirrored at their borders."""

    def forward(spare_row: bool) -> Callable[..., Any]:
        return lambda x, kernel: conv2d(x, kernel, spare_row=spare_row)

    def gradient(spare_row: bool) -> Callable[..., Any]:
        run = forward(spare_row)
        return jax.grad(lambda x, kernel: jnp.square(run(x, kernel)).mean(), argnums=(0, 1))

    for side, inside, out, size in ((64, 64, 64, 7), (64, 64, 1, 7), (8, 512, 512, 3)):
        maps = (
            _random(2, side + size - 1, side + size - 1, inside),
            _random(size, size, inside, out),
        )
        title = f"{size}x{size} without padding, {inside} to {out}, 2x{side}x{side}"
        for name, form in (("", forward), (", both gradients", gradient)):
            yield title + name, ("alone", form(False), maps), ("a row more", form(True), maps)


def _kernel_gradients() -> Iterator[tuple[str, Form, Form]]:
    """What is slowest of QECNN's training step, and of small kernels."""

    def ours(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
        kernel = jnp.zeros((size, size, x.shape[-1], y.shape[-1]))
        return jax.vjp(lambda kernel: conv(x, kernel), kernel)[1](y)[0]

    def in_rows(x: jax.Array, y: jax.Array, size: int) -> jax.Array:
        _, h, w, c = x.shape
        reach = (size // 2,) * 2
        x = jnp.pad(x, [(0, 0), reach, reach, (0, 0)])
        beside = jnp.concatenate([x[:, :, j : j + w] for j in range(size)], -1)
        rows = [beside[:, i : i + h].reshape(-1, size * c) for i in range(size)]
        y = y.reshape(-1, y.shape[-1])
        return jnp.stack([row.T @ y for row in rows]).reshape(size, size, c, -1)

    def by_taps(x: jax.Array, y: jax.Array) -> jax.Array:
        _, h, w, c = x.shape
        x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        outward = lax.optimization_barrier(y.reshape(-1, y.shape[-1]).T)
        taps = [x[:, i : i + h, j : j + w].reshape(-1, c) for i in range(3) for j in range(3)]
        return jnp.stack([(outward @ tap).T for tap in taps]).reshape(3, 3, c, -1)

    for channels, size in ((128, 7), (64, 3)):
        maps = _random(2, 64, 64, channels), _random(2, 64, 64, channels)
        yield (
            f"kernel's gradient, {size}x{size}, {channels} to {channels}, 2x64x64",
            ("convolution", functools.partial(ours, size=size), maps),
            ("a product a row of taps (not taken)", functools.partial(in_rows, size=size), maps),
        )
    for batch, c, o in ((1, 64, 64), (4, 64, 64), (1, 64, 256), (1, 256, 64)):
        maps = _random(batch, 64, 64, c), _random(batch, 64, 64, o)
        title = f"3x3, {c} to {o}, {batch}x64x64"
        gradient = ("its kernel's gradient", functools.partial(ours, size=3), maps)
        yield (title, ("convolution", conv, (maps[0], _random(3, 3, c, o))), gradient)
        yield (title, gradient, ("the same, a product a tap (not taken)", by_taps, maps))


def _runner(form: Form) -> Callable[[], Any]:
    _, function, inputs = form
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(*inputs))


def main() -> None:
    """Prints a row a pair."""
    parser = Parser(description=__doc__)
    parser.add_argument("--size", default="480x832", help="HEIGHTxWIDTH of VIG's frame")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--what", default="", help="only rows whose title holds this")
    args = parser.parse_args()
    height, width = map(int, args.size.split("x"))
    print("| what | before | ms (processor) | now | ms (processor) | ratio |")
    print("|---" * 6 + "|", flush=True)
    for title, *forms in pairs(height, width):
        if args.what not in title:
            continue
        found = race({form[0]: _runner(form) for form in forms}, args.repeats)
        told = [(name, f"{t.wall:.1f} ({t.processor:.1f})") for name, t in found.items()]
        before, now = found.values()
        cells = (title, *told[0], *told[1], f"{now.processor / before.processor:.2f}")
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
