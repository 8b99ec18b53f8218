"""Frames per second of every metric, beside the implementation that is in common use.

    python benchmarks/metrics.py [--size 1920x1080] [--frames 2] [--repeats 3] [--metrics ...]
    python benchmarks/metrics.py --loss [--features 16 --blocks 2 --clip 3 --batch 1 --crop 64]

Speed does not depend on the weights, so they are seeded and nothing is downloaded. The other
implementation (scikit-image, or the PyTorch packages lpips, DISTS-pytorch and pytorch-fid) is timed
where it is installed and named as missing where it is not. The first call of each, which compiles,
is not counted; the median of the repeats is. ``--loss`` measures what LPIPS costs in a training
step: value and gradient of a BasicVSR for a batch of crops, with Charbonnier alone and with LPIPS
beside it, in float32 and in bfloat16. Its default sizes take a minute or two on two cores; the
ratio falls as the network grows (``--features 64 --blocks 30``). On a machine that others use,
processor seconds a frame say more than frames a second.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax import metrics, models
from vqe_jax.losses.perceptual import lpips as lpips_loss
from vqe_jax.losses.pixel import charbonnier
from vqe_jax.metrics.fid import inception_features
from vqe_jax.perceptual import DISTS, LPIPS, LPIPS_NETS, InceptionV3

Measure = Callable[[], Any]


def seeded(module: Any, *args: Any, seed: int = 0) -> Any:
    """Variables of a module that keep activations near unit size."""
    rng = np.random.default_rng(seed)

    def draw(spec: jax.ShapeDtypeStruct) -> np.ndarray:
        scale = np.sqrt(2 / max(1, np.prod(spec.shape[:-1]))) if len(spec.shape) == 4 else 0.1
        return np.abs(scale * rng.standard_normal(spec.shape)).astype(np.float32)

    return jax.tree.map(draw, jax.eval_shape(module.init, jax.random.key(0), *args))


def frames(size: tuple[int, int], count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth clip and the same with noise."""
    width, height = size
    rows, columns = np.ogrid[:height, :width]
    smooth = 0.5 + 0.4 * np.sin(rows / 19) * np.cos(columns / 23)
    reference = np.broadcast_to(smooth[..., None], (count, height, width, channels))
    noise = np.random.default_rng(1).standard_normal(reference.shape)
    result = (reference + 0.02 * noise).clip(0, 1)
    return result.astype(np.float32), reference.astype(np.float32)


def ours(name: str, result: np.ndarray, reference: np.ndarray) -> Measure:
    """Our metric on a clip."""
    luma = [jnp.asarray(x[..., :1]) for x in (result, reference)]
    blank = jnp.zeros((1, 64, 64, 3))
    if name.startswith("lpips"):
        _, net, *dtype = name.split("_")
        variables = jax.device_put(seeded(LPIPS(net=net), blank, blank))
        dtype_name = dtype[0] if dtype else "float32"
        return lambda: metrics.lpips(
            result, reference, variables=variables, net=net, dtype=dtype_name
        )
    if name == "dists":
        variables = jax.device_put(seeded(DISTS(), blank, blank))
        return lambda: metrics.dists(result, reference, variables=variables)
    if name == "fid":  # the features: everything else is done once a video
        variables = jax.device_put(seeded(InceptionV3(), blank))
        return lambda: inception_features(result, variables=variables)
    if name == "vmaf":
        planes = [np.asarray(x) for x in luma]
        return lambda: metrics.vmaf(*planes)
    simple = {
        "psnr": metrics.psnr,
        "ssim_uniform": lambda x, y: metrics.ssim(x, y, window="uniform"),
        "ssim_gaussian": lambda x, y: metrics.ssim(x, y, window="gaussian"),
        "ms_ssim": metrics.ms_ssim,
    }
    return lambda: np.asarray(simple[name](*luma))


def _skimage(name: str, result: np.ndarray, reference: np.ndarray) -> Measure:
    measure = importlib.import_module("skimage.metrics")
    pairs = list(zip(result[..., 0], reference[..., 0], strict=True))
    if name == "psnr":
        return lambda: [measure.peak_signal_noise_ratio(t, r, data_range=1.0) for r, t in pairs]
    options = {"data_range": 1.0}
    if name == "ssim_gaussian":
        options |= {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return lambda: [measure.structural_similarity(r, t, **options) for r, t in pairs]


def _bare(make: Callable[..., Any], *_: Any, init_weights: bool | None = None, **__: Any) -> Any:
    options = {} if init_weights is None else {"init_weights": init_weights}
    return make(weights=None, **options)


def _pytorch(name: str, result: np.ndarray, reference: np.ndarray) -> Measure:
    torch = importlib.import_module("torch")
    pair = [torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in (result, reference)]
    # Constructors fetch weights, which speed does not depend on: their graphs are made bare.
    if name == "dists":
        vision = importlib.import_module("torchvision.models")
        with mock.patch.object(vision, "vgg16", functools.partial(_bare, vision.vgg16)):
            source = importlib.import_module("DISTS_pytorch.DISTS_pt")
            network = source.DISTS(load_weights=False)
    elif name == "fid":
        source = importlib.import_module("pytorch_fid.inception")
        bare = functools.partial(_bare, source._inception_v3, init_weights=False)
        with mock.patch.object(source, "_inception_v3", bare):
            network = source.InceptionV3([3], use_fid_inception=False)
    else:
        net = name.split("_")[1]
        network = importlib.import_module("lpips").LPIPS(net=net, pnet_rand=True, verbose=False)
    network.eval()

    def measure() -> None:
        with torch.no_grad():
            for x, y in zip(*(p.split(1) for p in pair), strict=True):
                network(x) if name == "fid" else network(x, y)

    return measure


OTHERS: dict[str, tuple[str, Callable[[str, np.ndarray, np.ndarray], Measure]]] = {
    "psnr": ("scikit-image", _skimage),
    "ssim_uniform": ("scikit-image", _skimage),
    "ssim_gaussian": ("scikit-image", _skimage),
    "lpips_alex": ("lpips (PyTorch)", _pytorch),
    "lpips_vgg": ("lpips (PyTorch)", _pytorch),
    "lpips_squeeze": ("lpips (PyTorch)", _pytorch),
    "dists": ("DISTS-pytorch", _pytorch),
    "fid": ("pytorch-fid", _pytorch),
}
NAMES = (
    "psnr",
    "ssim_uniform",
    "ssim_gaussian",
    "ms_ssim",
    "lpips_alex",
    "lpips_alex_bfloat16",
    "lpips_squeeze",
    "lpips_vgg",
    "dists",
    "fid",
    "vmaf",
)


def processor_seconds() -> float:
    """Processor time of this process and of those it has run."""
    usage = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)


def seconds(measure: Measure, repeats: int) -> tuple[float, float]:
    """Median time of a call, without the first: by the clock, and of the processor."""
    jax.block_until_ready(measure())
    times = []
    for _ in range(repeats):
        start, busy = time.perf_counter(), processor_seconds()
        jax.block_until_ready(measure())
        times.append((time.perf_counter() - start, processor_seconds() - busy))
    clock, processor = (statistics.median(column) for column in zip(*times, strict=True))
    return clock, processor


def row(measure: Measure, count: int, repeats: int) -> str:
    """Frames a second, and processor seconds a frame."""
    clock, processor = seconds(measure, repeats)
    return f"{count / clock:9.2f}{processor / count:8.3f}"


def other(name: str, clips: tuple[np.ndarray, np.ndarray], repeats: int) -> str:
    """The row's right half."""
    if name not in OTHERS:
        return f"{'-':>17}"
    title, make = OTHERS[name]
    try:
        measure = make(name, *clips)
    except ImportError as err:
        return f"{'-':>17}  {title} is not installed (no {err.name})"
    return f"{row(measure, len(clips[0]), repeats)}  {title}"


def compare(args: argparse.Namespace) -> None:
    """Prints a row for each metric."""
    width, height = (int(n) for n in args.size.split("x"))
    clips = frames((width, height), args.frames, 3)
    print(f"{width}x{height} on {jax.devices()[0].device_kind}")
    print(f"{'':22}{'vqe_jax':>17}{'other':>17}")
    print(f"{'metric':22}{'frames/s':>9}{'CPU s':>8}{'frames/s':>9}{'CPU s':>8}")
    for name in args.metrics:
        left = row(ours(name, *clips), args.frames, args.repeats)
        print(f"{name:22}{left}{other(name, clips, args.repeats)}", flush=True)


def loss(args: argparse.Namespace) -> None:
    """Prints what LPIPS costs in a training step."""
    shape = (args.batch, args.clip, args.crop, args.crop, 3)
    pair = frames((args.crop, args.crop), args.batch * args.clip, 3)
    clip, target = (x.reshape(shape) for x in pair)
    network = models.build("basicvsr", features=args.features, blocks=args.blocks)
    weights = seeded(network, jnp.asarray(clip[:, :1]))
    print(
        f"{args.batch} x {args.clip} crops of {args.crop}, BasicVSR of {args.features} channels "
        f"and {args.blocks} blocks on {jax.devices()[0].device_kind}: value and gradient"
    )

    def fidelity(w: Any, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        result = network.apply(w, x, train=True)
        return charbonnier(result, y), result

    def plain(w: Any, x: jax.Array, y: jax.Array, _: Any) -> jax.Array:
        return fidelity(w, x, y)[0]

    base = seconds(gradient(plain, weights, clip, target, {}), args.repeats)[0]
    print(f"{'Charbonnier':22}{1e3 * base:9.0f} ms", flush=True)
    for net in args.nets:
        blank = jnp.zeros((1, 64, 64, 3))
        variables = seeded(LPIPS(net=net), blank, blank)
        for dtype in ("float32", "bfloat16"):

            def both(
                w: Any, x: jax.Array, y: jax.Array, v: Any, net: str = net, dtype: str = dtype
            ) -> jax.Array:
                value, result = fidelity(w, x, y)
                return value + lpips_loss(result, y, variables=v, net=net, dtype=dtype)

            step = gradient(both, weights, clip, target, variables)
            taken = seconds(step, args.repeats)[0]
            name = f"+ LPIPS {net} {dtype}"
            print(f"{name:22}{1e3 * taken:9.0f} ms, {taken / base:5.2f} times", flush=True)


def gradient(function: Callable[..., jax.Array], *args: Any) -> Measure:
    """Value and gradient to the first argument, compiled, on arguments that stay on the device."""
    compiled = jax.jit(jax.value_and_grad(function))
    args = jax.device_put(args)
    return lambda: compiled(*args)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--metrics", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--loss", action="store_true", help="LPIPS in a training step instead")
    parser.add_argument("--nets", nargs="+", choices=sorted(LPIPS_NETS), default=("alex", "vgg"))
    parser.add_argument("--features", type=int, default=16, help="channels of the network")
    parser.add_argument("--blocks", type=int, default=2, help="residual blocks of its trunks")
    parser.add_argument("--clip", type=int, default=3, help="frames of a crop")
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    (loss if args.loss else compare)(args)


if __name__ == "__main__":
    main()
