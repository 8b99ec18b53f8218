"""Networks in PyTorch, written for the benchmarks alone, with the parameters of ours.

Modules are named as ours are, so that one loader serves all. Clips ``[b, t, c, h, w]`` in, the same
out; what is made of a frame on its own is made once a clip, as in ours. Deformable convolutions are
torchvision's, or ``grid_sample`` where that is not installed (:mod:`benchmarks.torch_stdf`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from flax.traverse_util import flatten_dict
from torch import nn

from benchmarks.torch_stdf import DeformConv, TorchRFDA, TorchSTDF, through_time
from benchmarks.torch_vig import TorchVIG
from vqe_jax import weights
from vqe_jax.models import Network

__all__ = ["NETWORKS", "torch_network"]

Tensor = torch.Tensor


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2)


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


class Named(nn.Module):
    """A module whose parts are given by name."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def apply_chain(self, x: Tensor, *names: str) -> Tensor:
        """Parts one after the other, each followed by a leaky ReLU."""
        for name in names:
            x = leaky(getattr(self, name)(x))
        return x


class Frames(nn.Module):
    """A network of single frames, for clips."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, clip: Tensor) -> Tensor:
        """All frames as one batch."""
        return self.inner(clip.flatten(0, 1)).view(clip.shape)


class ARCNN(Named):
    def __init__(self, n: Any) -> None:
        f, c = n.features, n.channels
        super().__init__(
            conv0=conv(c, f, 9), conv1=conv(f, f // 2, 7), conv2=conv(f // 2, f // 4, 1),
            conv3=conv(f // 4, c, 5),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for k in range(3):
            y = F.relu(getattr(self, f"conv{k}")(y))
        return x + self.conv3(y)


class DnCNN(Named):
    def __init__(self, n: Any) -> None:
        f, self.depth = n.features, n.depth
        hidden = {f"conv{k}": conv(f, f) for k in range(n.depth)}
        super().__init__(first=conv(n.channels, f), **hidden, last=conv(f, n.channels))
        self.depth = n.depth

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for k in range(self.depth):
            y = getattr(self, f"conv{k}")(F.relu(y))
        return x + self.last(F.relu(y))


class QECNN(Named):
    LAYERS = ((9, 1), (7, 2), (3, 2), (1, 4))

    def __init__(self, n: Any) -> None:
        parts: dict[str, nn.Module] = {}
        first = second = n.channels
        for k, (size, shrink) in enumerate(self.LAYERS):
            width = n.features // shrink
            for name, inputs in (("intra", first), ("inter", second)):
                parts[f"{name}{k}"] = conv(inputs, width, size)
                parts[f"{name}{k}_prelu"] = nn.PReLU(width)
            first, second = width, 2 * width
        super().__init__(**parts, last=conv(second, n.channels, 5))

    def forward(self, x: Tensor) -> Tensor:
        intra = both = x
        for k in range(len(self.LAYERS)):
            intra, inter = (
                getattr(self, f"{name}{k}_prelu")(getattr(self, f"{name}{k}")(y))
                for name, y in (("intra", intra), ("inter", both))
            )
            both = torch.cat([intra, inter], 1)
        return x + self.last(both)


class RCAB(Named):
    def __init__(self, f: int, hidden: int) -> None:
        gate = Named(squeeze=conv(f, hidden, 1), excite=conv(hidden, f, 1))
        super().__init__(conv1=conv(f, f), conv2=conv(f, f), attention=gate)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        gate = F.relu(self.attention.squeeze(y.mean((2, 3), keepdim=True)))
        return x + y * torch.sigmoid(self.attention.excite(gate))


class Group(Named):
    """Parts in turn, a convolution, and a skip around both."""

    def __init__(self, f: int, **parts: nn.Module) -> None:
        super().__init__(**parts, conv=conv(f, f))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for part in self.children():
            y = part(y)
        return x + y


class RCANA(Named):
    def __init__(self, n: Any) -> None:
        f = n.features
        groups = {
            f"group{g}": Group(f, **{f"block{k}": RCAB(f, 4) for k in range(n.blocks)})
            for g in range(n.groups)
        }
        super().__init__(
            conv_first=conv(n.channels, f), trunk=Group(f, **groups), conv_last=conv(f, n.channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_last(self.trunk(self.conv_first(255 * x))) / 255


class BRNet(Named):
    def __init__(self, n: Any) -> None:
        f, c = n.features, n.channels
        blocks = {f"block{k}_conv{i}": conv(f, f) for k in range(n.blocks) for i in (1, 2)}
        super().__init__(
            sub_mean=conv(c, c, 1), head=conv(4 * c, f), **blocks, body=conv(f, f),
            tail=conv(f, 4 * c), add_mean=conv(c, c, 1),
        )  # fmt: skip
        self.blocks = n.blocks

    def forward(self, x: Tensor) -> Tensor:
        head = y = self.head(F.pixel_unshuffle(self.sub_mean(x), 2))
        for k in range(self.blocks):
            inside = F.relu(getattr(self, f"block{k}_conv1")(y))
            y = y + getattr(self, f"block{k}_conv2")(inside)
        y = F.pixel_shuffle(self.tail(head + self.body(y)), 2)
        return self.add_mean(y).clamp(0, 1)


def warp(x: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Samples at every pixel's position plus its flow (dx, dy), ``[b, 2, h, w]``."""
    h, w = x.shape[2:]
    across = torch.arange(w, device=x.device) + flow[:, 0]
    down = torch.arange(h, device=x.device)[:, None] + flow[:, 1]
    grid = torch.stack([2 * across / max(w - 1, 1) - 1, 2 * down / max(h - 1, 1) - 1], dim=-1)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=True)


def resized(x: Tensor, size: Any, align: bool = False) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=align)


class SPyNet(Named):
    def __init__(self, levels: int = 6, widths: tuple[int, ...] = (32, 64, 32, 16)) -> None:
        parts = {}
        for level in range(levels):
            sizes = (8, *widths, 2)
            pairs = itertools.pairwise(sizes)
            parts[f"level{level}"] = Named(
                **{f"conv{k}": conv(i, o, 7) for k, (i, o) in enumerate(pairs)}
            )
        super().__init__(**parts)
        self.levels, self.depth = levels, len(widths)
        for name, value in (("mean", (0.485, 0.456, 0.406)), ("std", (0.229, 0.224, 0.225))):
            shape = torch.tensor(value).view(1, 3, 1, 1)
            self.register_buffer(name, shape, persistent=False)

    def forward(self, ref: Tensor, supp: Tensor) -> Tensor:
        h, w = ref.shape[2:]
        multiple = 2 ** (self.levels - 1)
        inner = [-(-n // multiple) * multiple for n in (h, w)]
        a, b = ([resized((x - self.mean) / self.std, inner)] for x in (ref, supp))
        for pyramid in (a, b):
            for _ in range(self.levels - 1):
                pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        flow = a[0].new_zeros(a[0].shape[0], 2, *a[0].shape[2:])
        for level in range(self.levels):
            if level:
                flow = 2 * resized(flow, a[level].shape[2:], align=True)
            x = torch.cat([a[level], warp(b[level], flow, "border"), flow], 1)
            net = getattr(self, f"level{level}")
            for k in range(self.depth):
                x = F.relu(getattr(net, f"conv{k}")(x))
            flow = flow + getattr(net, f"conv{self.depth}")(x)
        scale = torch.tensor([w / inner[1], h / inner[0]]).view(1, 2, 1, 1)
        return resized(flow, (h, w)) * scale


class Blocks(Named):
    """Residual blocks without normalization."""

    def __init__(self, f: int, count: int) -> None:
        super().__init__(
            **{f"block{k}": Named(conv1=conv(f, f), conv2=conv(f, f)) for k in range(count)}
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.children():
            x = x + block.conv2(F.relu(block.conv1(x)))
        return x


class BasicVSR(Named):
    def __init__(self, n: Any) -> None:
        f, c = n.features, n.channels
        trunks = {
            f"{way}_trunk": Named(conv=conv(c + f, f), blocks=Blocks(f, n.blocks))
            for way in ("backward", "forward")
        }
        super().__init__(
            spynet=SPyNet(n.flow_levels, n.flow_widths), **trunks, fusion=conv(2 * f, f, 1),
            conv_hr=conv(f, f), conv_last=conv(f, c),
        )  # fmt: skip
        self.features = f

    def _pass(self, clip: Tensor, flows: Tensor, trunk: nn.Module, order: list[int]) -> list:
        found: list[Any] = [None] * clip.shape[1]
        x = clip.new_zeros(clip.shape[0], self.features, *clip.shape[3:])
        for step, i in enumerate(order):
            if step:
                x = warp(x, flows[:, min(i, order[step - 1])])
            x = trunk.blocks(leaky(trunk.conv(torch.cat([clip[:, i], x], 1))))
            found[i] = x
        return found

    def forward(self, clip: Tensor) -> Tensor:
        b, t = clip.shape[:2]
        earlier, later = clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)
        to_next = self.spynet(earlier, later).view(b, t - 1, 2, *clip.shape[3:])
        to_last = self.spynet(later, earlier).view(b, t - 1, 2, *clip.shape[3:])
        backward = self._pass(clip, to_next, self.backward_trunk, list(range(t))[::-1])
        forward = self._pass(clip, to_last, self.forward_trunk, list(range(t)))
        both = torch.stack([torch.cat(p, 1) for p in zip(backward, forward, strict=True)], 1)
        x = self.apply_chain(both.flatten(0, 1), "fusion", "conv_hr")
        return clip + self.conv_last(x).view(clip.shape)


class PCD(Named):
    def __init__(self, f: int, groups: int) -> None:
        parts: dict[str, nn.Module] = {}
        for level in ("l1", "l2", "l3"):
            parts[f"{level}_offset1"] = conv(2 * f, f)
            parts[f"{level}_offset2"] = conv(f if level == "l3" else 2 * f, f)
            if level != "l3":
                parts[f"{level}_offset3"] = conv(f, f)
                parts[f"{level}_feature"] = conv(2 * f, f)
        for name in ("l1", "l2", "l3", "cascade"):
            pack = Named(offset=conv(f, 27 * groups), conv=DeformConv(f, f, 3))
            parts[f"{name}_deform"] = pack
        parts |= {"cascade_offset1": conv(2 * f, f), "cascade_offset2": conv(f, f)}
        super().__init__(**parts)
        self.cut = 18 * groups

    def _deform(self, name: str, x: Tensor, guide: Tensor) -> Tensor:
        pack = getattr(self, f"{name}_deform")
        plan = pack.offset(guide)
        offset, mask = plan[:, : self.cut].contiguous(), torch.sigmoid(plan[:, self.cut :])
        return pack.conv(x, offset, mask)

    def forward(self, levels: list[Tensor], references: list[Tensor]) -> Tensor:
        guide: Any = None
        feature: Any = None
        for name, x, ref in [*zip(("l1", "l2", "l3"), levels, references, strict=True)][::-1]:
            y = self.apply_chain(torch.cat([x, ref], 1), f"{name}_offset1")
            if guide is None:
                guide = self.apply_chain(y, "l3_offset2")
                feature = leaky(self._deform(name, x, guide))
                continue
            size = x.shape[2:]
            y = torch.cat([y, 2 * resized(guide, size)], 1)
            guide = self.apply_chain(y, f"{name}_offset2", f"{name}_offset3")
            y = torch.cat([self._deform(name, x, guide), resized(feature, size)], 1)
            feature = getattr(self, f"{name}_feature")(y)
            feature = feature if name == "l1" else leaky(feature)
        both = torch.cat([feature, references[0]], 1)
        guide = self.apply_chain(both, "cascade_offset1", "cascade_offset2")
        return leaky(self._deform("cascade", feature, guide))


class TSA(Named):
    def __init__(self, f: int, frames: int) -> None:
        ones = {
            "fusion": frames, "spatial1": frames, "spatial2": 2, "level1": 1, "spatial4": 1,
            "add1": 1, "add2": 1,
        }  # fmt: skip
        threes = {"level2": 2, "level3": 1, "spatial3": 1, "spatial5": 1}
        threes |= {"temporal_reference": 1, "temporal_frames": 1}
        super().__init__(
            **{name: conv(k * f, f, 1) for name, k in ones.items()},
            **{name: conv(k * f, f) for name, k in threes.items()},
        )

    @staticmethod
    def _pooled(x: Tensor) -> Tensor:
        return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], 1)

    def forward(self, aligned: Tensor) -> Tensor:
        k = aligned.shape[1]
        reference = self.temporal_reference(aligned[:, k // 2])
        frames = self.temporal_frames(aligned.flatten(0, 1)).view(aligned.shape)
        likeness = torch.sigmoid((frames * reference[:, None]).sum(2, keepdim=True))
        stack = (aligned * likeness).flatten(1, 2)
        fused = self.apply_chain(stack, "fusion")
        x = self.apply_chain(stack, "spatial1")
        half = self.apply_chain(self._pooled(x), "spatial2")
        level = self.apply_chain(self._pooled(self.apply_chain(half, "level1")), "level2", "level3")
        half = self.apply_chain(half, "spatial3") + resized(level, half.shape[2:])
        half = self.apply_chain(half, "spatial4")
        attention = self.spatial5(resized(half, fused.shape[2:]))
        added = self.add2(self.apply_chain(attention, "add1"))
        return fused * torch.sigmoid(attention) * 2 + added


class EDVR(Named):
    def __init__(self, n: Any) -> None:
        f, c = n.features, n.channels
        names = [f"{level}_conv{k}" for level in ("l2", "l3") for k in (1, 2)]
        pyramid = Named(**{name: conv(f, f, 3, 2 if name[-1] == "1" else 1) for name in names})
        trunk = Named(
            conv_first=conv(c, f), extraction=Blocks(f, n.extraction_blocks), pyramid=pyramid,
            alignment=PCD(f, n.deform_groups), fusion=TSA(f, n.frames),
            reconstruction=Blocks(f, n.reconstruction_blocks),
        )  # fmt: skip
        super().__init__(trunk=trunk, conv_hr=conv(f, f), conv_last=conv(f, c))
        self.radius = n.frames // 2

    def forward(self, clip: Tensor) -> Tensor:
        b, t = clip.shape[:2]
        trunk = self.trunk
        x = trunk.extraction(leaky(trunk.conv_first(clip.flatten(0, 1))))
        levels = [x]
        for level in ("l2", "l3"):
            x = trunk.pyramid.apply_chain(x, f"{level}_conv1", f"{level}_conv2")
            levels.append(x)
        reach = torch.arange(-self.radius, self.radius + 1)
        around = (torch.arange(t)[:, None] + reach).clamp(0, t - 1)
        now = torch.arange(t)[:, None].expand_as(around)
        maps = [level.view(b, t, *level.shape[1:]) for level in levels]
        shown, references = ([m[:, i].flatten(0, 2) for m in maps] for i in (around, now))
        aligned = trunk.alignment(shown, references)
        aligned = aligned.view(b * t, len(reach), *aligned.shape[1:])
        x = trunk.reconstruction(trunk.fusion(aligned))
        return clip + self.conv_last(leaky(self.conv_hr(x))).view(clip.shape)


class OfSTDF(nn.Module):
    """STDF or RFDA for clips ``[b, t, 1, h, w]``."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, clip: Tensor) -> Tensor:
        return through_time(self.inner, clip[:, :, 0])[:, :, None]


# By the names of the registry: our network -> PyTorch's.
NETWORKS: dict[str, Callable[[Any], nn.Module]] = {
    "arcnn": lambda n: Frames(ARCNN(n)),
    "basicvsr": BasicVSR,
    "brnet": lambda n: Frames(BRNet(n)),
    "dcad": lambda n: Frames(DnCNN(n)),
    "dncnn": lambda n: Frames(DnCNN(n)),
    "edvr": EDVR,
    "qecnn": lambda n: Frames(QECNN(n)),
    "rcan_a": lambda n: Frames(RCANA(n)),
    "rfda": lambda _: OfSTDF(TorchRFDA()),
    "stdf": lambda _: OfSTDF(TorchSTDF()),
    "vig": lambda n: TorchVIG(n.width, n.down_widths, n.temporal_kernels),
}


def _load(module: nn.Module, params: Any) -> None:
    """Puts our parameters where modules have our names."""
    places = {"kernel": "weight", "bias": "bias", "slope": "weight"}
    given = flatten_dict(params)
    with torch.no_grad():
        for (*path, name), value in given.items():
            array = np.array(value)
            if name == "kernel":
                array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
            getattr(module.get_submodule(".".join(path)), places[name]).copy_(
                torch.from_numpy(array)
            )
    assert len(given) == len(list(module.parameters()))


def torch_network(name: str, network: Network, variables: Any) -> nn.Module:
    """The PyTorch form of a network, with our parameters.

    Args:
      name: a key of ``NETWORKS``.
      network: ours, in the form that the PyTorch code knows (the registry's default).
      variables: ours.
    """
    module = NETWORKS[name](network)
    if name in ("stdf", "rfda"):
        tensors = weights.to_torch(name, variables)
        module.inner.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})
    elif name == "vig":
        module.load(variables["params"])
    else:
        inner = module.inner if isinstance(module, Frames) else module
        _load(inner, variables["params"])
    return module
