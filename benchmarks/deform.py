"""Deformable convolution: time and memory at seven sizes, against other ways to compute it.

    python -m benchmarks.deform [--scale 4] [--repeats 7] [--memory] [--formulations]

Times are medians of interleaved runs: ours, the plain gather formulation that JAX differentiates
itself and, where a GPU and torchvision exist, ``torchvision.ops.deform_conv2d``. ``--scale``
divides height and width (1 on a GPU; 4 makes the CPU's run short). ``--memory`` runs nothing: it
compiles the full sizes and prints XLA's analysis (inputs, results and temporary buffers together)
beside torchvision's peak as it was measured on an NVIDIA H200; on the CPU the analysis is that of
the CPU's program. ``--formulations`` times all of benchmarks/deform_formulations.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.deform_formulations import FORMULATIONS
from benchmarks.races import needed_bytes, race
from vqe_jax.ops.deform import deform_conv2d

_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of one use."""

    name: str
    batch: int
    height: int
    width: int
    channels: int
    groups: int
    size: int
    out: int
    frames_fixed: bool  # no gradient to what is sampled
    torch_mib: int  # torchvision's peak, forward and backward

    def shapes(self, scale: int = 1) -> tuple[jax.ShapeDtypeStruct, ...]:
        """Of frames, offsets, mask and kernel."""
        h, w = max(8, self.height // scale), max(8, self.width // scale)
        grid = (self.batch, h, w, self.groups, self.size**2)
        shapes = (
            (self.batch, h, w, self.channels),
            (*grid, 2),
            grid,
            (self.size, self.size, self.channels, self.out),
        )
        return tuple(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)


CASES = (
    Case("STDF 480p", 1, 480, 832, 7, 7, 3, 64, True, 1350),
    Case("STDF crops", 32, 112, 112, 7, 7, 3, 64, True, 1453),
    Case("RF 480p", 1, 480, 832, 64, 64, 1, 64, False, 1630),
    Case("RF crops", 8, 112, 112, 64, 64, 1, 64, False, 481),
    Case("BasicVSR++ crops", 8, 64, 64, 128, 16, 3, 64, False, 451),
    Case("BasicVSR++ 180x320", 1, 180, 320, 128, 16, 3, 64, False, 730),
    Case("BasicVSR++ 480p", 1, 480, 832, 128, 16, 3, 64, False, 4677),
)
HD = Case("STDF 1080p", 1, 1080, 1920, 7, 7, 3, 64, True, 0)


def ours(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    return deform_conv2d(x, offset, kernel, mask, padding=kernel.shape[0] // 2)


def both_ways(function: Callable[..., jax.Array], case: Case) -> Callable[..., Any]:
    """Forward and backward of the mean square, to all that is trained."""
    wanted = (1, 2, 3) if case.frames_fixed else (0, 1, 2, 3)
    return jax.grad(lambda *arrays: jnp.mean(function(*arrays) ** 2), argnums=wanted)


def _arrays(case: Case, scale: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    x, offset, mask, kernel = (rng.standard_normal(s.shape, np.float32) for s in case.shapes(scale))
    return [x, 2 * offset, 1 / (1 + np.exp(-mask)), 0.1 * kernel]


def _compiled(function: Callable[..., Any], arrays: list[Any]) -> Callable[[], Any]:
    program = jax.jit(function).lower(*arrays).compile()
    return lambda: jax.block_until_ready(program(*arrays))


def _torch(arrays: list[np.ndarray], case: Case, *, gradient: bool) -> Callable[[], Any]:
    import torch
    from torchvision.ops import deform_conv2d as reference

    x, offset, mask, kernel = (torch.from_numpy(a).cuda() for a in arrays)
    b, h, w, g, k = mask.shape
    x, kernel = x.permute(0, 3, 1, 2).contiguous(), kernel.permute(3, 2, 0, 1).contiguous()
    offset = offset.reshape(b, h, w, 2 * g * k).permute(0, 3, 1, 2).contiguous()
    mask = mask.reshape(b, h, w, g * k).permute(0, 3, 1, 2).contiguous()
    for tensor in (x, offset, mask, kernel)[1 if case.frames_fixed else 0 :]:
        tensor.requires_grad_(gradient)

    def run() -> None:
        y = reference(x, offset, kernel, padding=case.size // 2, mask=mask)
        if gradient:
            (y * y).mean().backward()
        torch.cuda.synchronize()

    return run


def times(scale: int, repeats: int, names: tuple[str, ...]) -> None:
    with_torch = jax.default_backend() == "gpu" and importlib.util.find_spec("torchvision")
    functions = {"ours": ours, **{name: FORMULATIONS[name] for name in names}}
    columns = [*functions, *(("torchvision",) if with_torch else ())]
    print(f"| case, sides / {scale} | pass | " + " | ".join(f"{c}, ms" for c in columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for case in CASES:
        arrays = _arrays(case, scale)
        device = [jnp.asarray(a) for a in arrays]
        for gradient in (False, True):
            runs = {
                name: _compiled(both_ways(f, case) if gradient else f, device)
                for name, f in functions.items()
            }
            if with_torch:
                runs["torchvision"] = _torch(arrays, case, gradient=gradient)
            found = race(runs, repeats)
            label = "forward and backward" if gradient else "forward"
            figures = " | ".join(f"{found[c].wall:.2f}" for c in columns)
            print(f"| {case.name} | {label} | {figures} |", flush=True)


def _memory(function: Callable[..., Any], shapes: tuple[Any, ...]) -> tuple[float, float]:
    """MiB of temporary buffers, and of everything."""
    program = jax.jit(function).lower(*shapes).compile()
    return program.memory_analysis().temp_size_in_bytes / _MIB, needed_bytes(program) / _MIB


def memory() -> None:
    print("| case | ours: temporary | ours: all | plain: all | torchvision: peak |")
    print("|---|---|---|---|---|")
    for case in CASES:
        temporary, total = _memory(both_ways(ours, case), case.shapes())
        _, other = _memory(both_ways(FORMULATIONS["plain"], case), case.shapes())
        figures = f"{temporary:.0f} | {total:.0f} | {other:.0f} | {case.torch_mib}"
        print(f"| {case.name} | {figures} |", flush=True)
    temporary, total = _memory(ours, HD.shapes())
    ratio = total / (total - temporary)
    print(f"\n{HD.name}, forward: {ratio:.2f} times inputs plus result ({total:.0f} MiB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--formulations", action="store_true")
    args = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, MiB and ms\n")
    if args.memory:
        memory()
    else:
        names = tuple(FORMULATIONS) if args.formulations else ("plain",)
        times(args.scale, args.repeats, names)


if __name__ == "__main__":
    main()
