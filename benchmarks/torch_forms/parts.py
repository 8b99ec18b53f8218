"""What the PyTorch forms are made of: parameters by our names, and the blocks that several share.

A form is a :class:`Part`: a tree of modules whose parameters are ours in PyTorch's layout, built
from our variables, so that one loader serves all networks. What is done with them is written in
each form's ``forward``. Maps are ``[n, c, h, w]``, windows ``[n, k, c, h, w]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.torch_forms.stdf_official import deform_conv2d, sampled_conv
from vqe_jax.models import Network, Side
from vqe_jax.models.references import Distance

__all__ = [
    "Form",
    "FrameForm",
    "Given",
    "Part",
    "WindowForm",
    "blocks",
    "chain",
    "channel_gate",
    "deform",
    "each",
    "flat",
    "leaky",
    "mean_of",
    "pack",
    "rcab",
    "relu",
    "residual_group",
    "residual_groups",
    "resized",
    "shuffled",
    "stacked",
    "trunk",
    "warp",
    "windows_of",
]

Tensor = torch.Tensor
relu = F.relu


def leaky(x: Tensor, slope: float = 0.1) -> Tensor:
    return F.leaky_relu(x, slope)


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def _in_torchs_layout(kernel: np.ndarray, transposed: bool) -> np.ndarray:
    """``[.., h, w, in, out]`` as ``[out, in, .., h, w]``; of a transposed one ``[in, out, ..]``."""
    if kernel.ndim == 1:
        return kernel
    if transposed:
        return kernel[::-1, ::-1].transpose(2, 3, 0, 1)
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _by_number(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


class Part(nn.Module):
    """Parts and parameters by name; one that has a kernel convolves."""

    weight: Tensor

    def __init__(self, params: Any, stats: Any = None, up: str = "$^", path: str = "") -> None:
        super().__init__()
        self.doubles = "kernel" in params and re.search(up, path) is not None
        if "bias" not in params:
            self.register_parameter("bias", None)
        for name in sorted(params, key=_by_number):
            value, inside = params[name], (stats or {}).get(name)
            if not isinstance(value, dict):
                array = np.asarray(value)
                if name == "kernel":
                    name, array = "weight", _in_torchs_layout(array, self.doubles)
                self.register_parameter(name, nn.Parameter(_tensor(array)))
            elif set(value) == {"slope"}:
                self.add_module(name, _prelu(value))
            elif inside is not None and set(inside) == {"mean", "var"}:
                self.add_module(name, _norm(value, inside))
            else:
                self.add_module(name, Part(value, inside, up, f"{path}/{name}"))

    def forward(
        self,
        x: Tensor,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
    ) -> Tensor:
        """A convolution that keeps the size at stride 1, or doubles it if transposed."""
        if self.doubles:
            return F.conv_transpose2d(x, self.weight, self.bias, 2, 1)
        sizes = self.weight.shape[2:]
        if padding is None:
            reach: Any = tuple(dilation * (size - 1) // 2 for size in sizes)
        else:
            reach = padding
        if len(sizes) == 3:
            return F.conv3d(x, self.weight, self.bias, 1, reach)
        return F.conv2d(x, self.weight, self.bias, stride, reach, dilation, groups)


def _prelu(params: Any) -> nn.PReLU:
    module = nn.PReLU(len(params["slope"]))
    module.weight.data = _tensor(params["slope"])
    return module


def _norm(params: Any, stats: Any) -> nn.BatchNorm2d:
    module = nn.BatchNorm2d(len(params["scale"]))
    module.weight.data, module.bias.data = _tensor(params["scale"]), _tensor(params["bias"])
    module.running_mean, module.running_var = _tensor(stats["mean"]), _tensor(stats["var"])
    return module


class Given(NamedTuple):
    """What a form is made for."""

    network: Any
    side: Side
    frozen: Any


class Form(Part):
    """A network for clips ``[b, t, c, h, w]`` whose side information is known when it is made."""

    UP = "$^"  # paths of the transposed convolutions
    indices: Tensor

    def __init__(self, network: Network, variables: Any, side: Side, length: int) -> None:
        super().__init__(variables["params"], variables.get("batch_stats"), self.UP)
        context = network.context
        rule = context.references or Distance(context.past, context.future)
        chosen = np.asarray(rule.indices(side, length))
        chosen = chosen[0] if chosen.ndim == 3 else chosen
        self.register_buffer("indices", torch.from_numpy(chosen.astype(np.int64)), False)
        self.configure(Given(network, side, variables.get("frozen")))

    def configure(self, given: Given) -> None:
        """Keeps what ``forward`` needs beside the parameters."""


class FrameForm(Form):
    """A network of single frames, all of which are one batch."""

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """All frames."""
        return self.enhance(clip.flatten(0, 1)).view(clip.shape)

    def enhance(self, x: Tensor) -> Tensor:
        """Frames ``[n, c, h, w]``."""
        raise NotImplementedError


class WindowForm(Form):
    """A network of windows, all of which are one batch."""

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """Every frame from its window."""
        return self.enhance(windows_of(clip, self.indices)).view(clip.shape)

    def enhance(self, windows: Tensor) -> Tensor:
        """Windows ``[n, k, c, h, w]`` to frames."""
        raise NotImplementedError


def windows_of(clip: Tensor, indices: Tensor) -> Tensor:
    """``[b, t, ...]`` to ``[b * t, k, ...]``."""
    return clip[:, indices].flatten(0, 1)


def flat(windows: Tensor) -> Tensor:
    """Frames one after the other along the channels."""
    return windows.flatten(1, 2)


def stacked(windows: Tensor) -> Tensor:
    """As channels: all frames of the first color, then of the next."""
    return windows.transpose(1, 2).flatten(1, 2)


def each(part: nn.Module, prefix: str) -> Iterator[Any]:
    """Numbered parts in their order."""
    k = 0
    while hasattr(part, f"{prefix}{k}"):
        yield getattr(part, f"{prefix}{k}")
        k += 1


def chain(part: Any, x: Tensor, *names: str) -> Tensor:
    """Convolutions one after the other, each followed by a leaky ReLU."""
    for name in names:
        x = leaky(getattr(part, name)(x))
    return x


def mean_of(x: Tensor) -> Tensor:
    return x.mean((2, 3), keepdim=True)


def resized(x: Tensor, size: Any, align: bool = False) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=align)


def shuffled(part: Any, x: Tensor) -> Tensor:
    """A convolution and a pixel shuffle: twice the size."""
    return F.pixel_shuffle(part.conv(x), 2)


def warp(x: Tensor, flow: Tensor, padding: str = "zeros") -> Tensor:
    """Samples at every pixel's position plus its flow (dx, dy), ``[b, 2, h, w]``."""
    h, w = x.shape[2:]
    across = torch.arange(w, device=x.device) + flow[:, 0]
    down = torch.arange(h, device=x.device)[:, None] + flow[:, 1]
    grid = torch.stack([2 * across / max(w - 1, 1) - 1, 2 * down / max(h - 1, 1) - 1], dim=-1)
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=True)


def deform(part: Any, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
    """A deformable convolution that keeps the size."""
    if deform_conv2d is None:
        return sampled_conv(x, offset, mask, part.weight, part.bias)
    pad = part.weight.shape[-1] // 2
    return deform_conv2d(x, offset.contiguous(), part.weight, part.bias, padding=pad, mask=mask)


def planned(part: Any, x: Tensor, plan: Tensor) -> Tensor:
    """A deformable convolution by offsets and masks in one map."""
    cut = plan.shape[1] // 3 * 2
    return deform(part, x, plan[:, :cut], torch.sigmoid(plan[:, cut:]))


def pack(part: Any, x: Tensor, guide: Tensor) -> Tensor:
    """A deformable convolution whose offsets come from other features."""
    return planned(part.conv, x, part.offset(guide))


def blocks(part: Any, x: Tensor, slope: float = 0.0) -> Tensor:
    """Residual blocks without normalization, their residuals weighed by place if gated."""
    for block in each(part, "block"):
        x = residual(block, x, slope)
    return x


def residual(block: Any, x: Tensor, slope: float = 0.0) -> Tensor:
    y = block.conv1(x)
    y = block.conv2(leaky(y, slope) if slope else relu(y))
    return x + y


def trunk(part: Any, x: Tensor) -> Tensor:
    """A convolution to the width of the residual blocks behind it."""
    return blocks(part.blocks, leaky(part.conv(x)))


def channel_gate(part: Any, x: Tensor) -> Tensor:
    """Channel attention."""
    return x * torch.sigmoid(part.excite(relu(part.squeeze(mean_of(x)))))


def rcab(part: Any, x: Tensor, activation: Any = relu) -> Tensor:
    return x + channel_gate(part.attention, part.conv2(activation(part.conv1(x))))


def residual_group(part: Any, x: Tensor) -> Tensor:
    y = x
    for block in each(part, "block"):
        y = rcab(block, y)
    return x + part.conv(y)


def residual_groups(part: Any, x: Tensor) -> Tensor:
    y = x
    for group in each(part, "group"):
        y = residual_group(group, y)
    return x + part.conv(y)
