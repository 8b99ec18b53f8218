"""STDF-R3 and RFDA in PyTorch under the released tensor names.

Luma only, NCHW, eager. The deformable convolution is torchvision's where that is installed, and
otherwise one ``grid_sample`` over all taps and offset groups followed by a matrix product.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

try:
    from torchvision.ops import deform_conv2d
except (ImportError, RuntimeError):  # not there, or made for another torch
    deform_conv2d = None
DEFORMABLE = "grid_sample" if deform_conv2d is None else "torchvision"

RADIUS = 3


def sampled_conv(
    x: torch.Tensor,
    offset: torch.Tensor,
    mask: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> torch.Tensor:
    """A deformable convolution that keeps the size, by ``grid_sample``.

    ``offset`` has channels group, tap, (dy, dx) and ``mask`` group, tap, as torchvision's.
    """
    b, c, h, w = x.shape
    size = weight.shape[-1]
    taps = size * size
    groups = mask.shape[1] // taps
    ys, xs, steps = (torch.arange(n, device=x.device, dtype=x.dtype) for n in (h, w, size))
    steps = steps - size // 2
    moved = offset.view(b, groups, taps, 2, h, w)
    y = moved[:, :, :, 0] + ys[:, None] + steps.repeat_interleave(size)[:, None, None]
    x_at = moved[:, :, :, 1] + xs + steps.repeat(size)[:, None, None]
    # grid_sample counts from -1 to 1 between the centres of the outer pixels.
    grid = torch.stack([2 * x_at / max(w - 1, 1) - 1, 2 * y / max(h - 1, 1) - 1], dim=-1)
    samples = F.grid_sample(
        x.reshape(b * groups, c // groups, h, w),
        grid.view(b * groups, taps * h, w, 2),
        padding_mode="zeros",
        align_corners=True,
    ).view(b, groups, c // groups, taps, h * w)
    samples = samples * mask.view(b, groups, 1, taps, h * w)
    kernel = weight.flatten(1)
    columns = samples.view(b, c * taps, h * w)
    return (kernel @ columns).view(b, -1, h, w) + bias[:, None, None]


class DeformConv(nn.Conv2d):
    """Holds weight and bias; called with what is sampled, offsets and mask."""

    def forward(self, x: torch.Tensor, offset: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Convolves what lies at the offsets, times the mask."""
        if deform_conv2d is None:
            return sampled_conv(x, offset, mask, self.weight, self.bias)
        pad = self.kernel_size[0] // 2
        return deform_conv2d(x, offset, self.weight, self.bias, padding=pad, mask=mask)


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def block(*layers: nn.Module) -> nn.Sequential:
    """Layers, each followed by a ReLU."""
    return nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU(inplace=True))))


def up(width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, width, 4, 2, 1)


class Fusion(nn.Module):
    """U-Net, offsets and masks, deformable convolution over the stack."""

    def __init__(self, maps: int, size: int, width: int = 32, out: int = 64) -> None:
        super().__init__()
        self.cut = 2 * size * size * maps
        self.in_conv = block(conv(maps, width))
        self.dn_conv1, self.dn_conv2 = (
            block(conv(width, width, 2), conv(width, width)) for _ in range(2)
        )
        self.tr_conv = block(conv(width, width, 2), conv(width, width), up(width))
        self.up_conv1, self.up_conv2 = (block(conv(2 * width, width), up(width)) for _ in range(2))
        self.out_conv = block(conv(width, width))
        self.offset_mask = conv(width, 3 * size * size * maps)
        self.deform_conv = DeformConv(maps, out, size)

    def forward(self, stack: torch.Tensor) -> torch.Tensor:
        """Maps ``[b, n, h, w]`` into features ``[b, out, h, w]``."""
        half = self.dn_conv1(self.in_conv(stack))
        quarter = self.dn_conv2(half)
        x = self.up_conv2(torch.cat([self.tr_conv(quarter), quarter], 1))
        x = self.out_conv(self.up_conv1(torch.cat([x, half], 1)))
        plan = self.offset_mask(x)
        offset, mask = plan[:, : self.cut], torch.sigmoid(plan[:, self.cut :])
        return F.relu(self.deform_conv(stack, offset, mask))


class DSTA(nn.Module):
    """Deformable spatio-temporal attention over ``width`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        f = width // 4
        self.cut = 18 * f
        self.conv1, self.conv_f = nn.Conv2d(width, f, 1), nn.Conv2d(f, f, 1)
        self.conv2 = nn.Conv2d(f, f, 3, 2)
        self.conv_max, self.conv3, self.conv3_ = (conv(f, f) for _ in range(3))
        self.conv4 = nn.Conv2d(f, width, 1)
        self.down_conv2 = block(conv(f, f, 2))
        self.mask, self.mask2 = conv(f, 27 * f), conv(f, 27 * f)
        self.dcn = DeformConv(f, f, 3)
        self.conv_du = nn.Sequential(
            nn.Conv2d(f, 2 * f, 1), nn.ReLU(inplace=True), nn.Conv2d(2 * f, width, 1), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features times their gates."""

        def resized(y: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
            return F.interpolate(y, like.shape[2:], mode="bilinear", align_corners=False)

        reduced = self.conv1(x)
        pooled = F.max_pool2d(self.conv2(reduced), 7, 3)
        hidden = pooled
        for layer in (self.conv_max, self.conv3, self.conv3_):
            hidden = F.relu(layer(hidden))
        plan = self.mask(hidden)
        plan = plan + resized(self.mask2(self.down_conv2(hidden)), plan)
        offset, mask = plan[:, : self.cut].contiguous(), torch.sigmoid(plan[:, self.cut :])
        found = F.relu(self.dcn(pooled, offset, mask))
        gate = torch.sigmoid(self.conv4(resized(found, x) + self.conv_f(reduced)))
        return x * gate * self.conv_du(found.mean((2, 3), keepdim=True))


class Enhancement(nn.Module):
    """Eight convolutions to a residual, DSTA after each hidden one if asked."""

    def __init__(self, attention: bool, width: int = 48, hidden: int = 6) -> None:
        super().__init__()
        self.in_conv = block(conv(64, width))
        layers: list[nn.Module] = []
        for _ in range(hidden):
            layers += [*block(conv(width, width)), *([DSTA(width)] if attention else [])]
        self.hid_conv = nn.Sequential(*layers)
        self.out_conv = conv(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The residual ``[b, 1, h, w]``."""
        return self.out_conv(self.hid_conv(self.in_conv(x)))


class TorchSTDF(nn.Module):
    """Stacks ``[b, 7, h, w]`` in, frames ``[b, 1, h, w]`` out; a state passes through unused."""

    def __init__(self) -> None:
        super().__init__()
        self.ffnet, self.qenet = Fusion(2 * RADIUS + 1, 3), Enhancement(attention=False)

    def forward(
        self, stack: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The state and the current frame."""
        return state, stack[:, RADIUS : RADIUS + 1] + self.qenet(self.ffnet(stack))


class TorchRFDA(nn.Module):
    """As :class:`TorchSTDF`, with the past's features as the state."""

    def __init__(self) -> None:
        super().__init__()
        self.ffnet, self.qenet = Fusion(2 * RADIUS + 1, 3), Enhancement(attention=True)
        self.wpnet = Fusion(128, 1)
        self.fuse = block(conv(128, 64), conv(64, 64))

    def forward(
        self, stack: torch.Tensor, state: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The state and the current frame."""
        h = self.ffnet(stack)
        past = torch.zeros_like(h) if state is None else state
        aligned = self.wpnet(torch.cat([h, past], 1))
        hidden = h + 0.2 * self.fuse(torch.cat([h, aligned], 1))
        return hidden, stack[:, RADIUS : RADIUS + 1] + self.qenet(hidden)


def through_time(network: nn.Module, clip: torch.Tensor) -> torch.Tensor:
    """Every frame of ``[b, t, h, w]`` in turn, neighbours clamped to the clip."""
    last, state, frames = clip.shape[1] - 1, None, []
    for i in range(last + 1):
        around = [min(max(i + k, 0), last) for k in range(-RADIUS, RADIUS + 1)]
        state, frame = network(clip[:, around], state)
        frames.append(frame)
    return torch.cat(frames, 1)
