"""Networks of single frames."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.torch_forms.parts import (
    FrameForm,
    Given,
    Tensor,
    each,
    leaky,
    relu,
    residual_groups,
)

__all__ = ["ARCNN", "QECNN", "RCANA", "BRNet", "DnCNN", "RepNet", "rcan_a"]


class ARCNN(FrameForm):
    def enhance(self, x: Tensor) -> Tensor:
        y = x
        for k in range(3):
            y = relu(getattr(self, f"conv{k}")(y))
        return x + self.conv3(y)


class DnCNN(FrameForm):
    """DCAD too."""

    def enhance(self, x: Tensor) -> Tensor:
        y = self.first(x)
        for conv in each(self, "conv"):
            y = conv(relu(y))
        return x + self.last(relu(y))


class QECNN(FrameForm):
    def enhance(self, x: Tensor) -> Tensor:
        intra = both = x
        for k in range(4):
            intra, inter = (
                getattr(self, f"{name}{k}_prelu")(getattr(self, f"{name}{k}")(y))
                for name, y in (("intra", intra), ("inter", both))
            )
            both = torch.cat([intra, inter], 1)
        return x + self.last(both)


class BRNet(FrameForm):
    def configure(self, given: Given) -> None:
        self.blocks = given.network.blocks

    def enhance(self, x: Tensor) -> Tensor:
        head = y = self.head(F.pixel_unshuffle(self.sub_mean(x), 2))
        for k in range(self.blocks):
            inside = relu(getattr(self, f"block{k}_conv1")(y))
            y = y + getattr(self, f"block{k}_conv2")(inside)
        y = F.pixel_shuffle(self.tail(head + self.body(y)), 2)
        return self.add_mean(y).clamp(0, 1)


def rcan_a(part: Any, x: Tensor) -> Tensor:
    return x + part.conv_last(residual_groups(part.trunk, part.conv_first(255 * x))) / 255


class RCANA(FrameForm):
    def enhance(self, x: Tensor) -> Tensor:
        return rcan_a(self, x)


class RepNet(FrameForm):
    """Trained as a sum of branches, whose kernels are added before the one convolution."""

    facts: Tensor

    def configure(self, given: Given) -> None:
        self.shrink, self.features = given.network.shrink, given.network.features
        qp = (torch.tensor(given.side.frame_qp).reshape(-1, 1).clamp(14.0, 51.0) - 32.0) / 10.0
        one = torch.ones_like(qp)
        facts = torch.cat([one, qp, qp.square(), one, torch.zeros(len(qp), 6)], 1)
        self.register_buffer("facts", facts, False)  # the codec is unknown

    @staticmethod
    def _conv(part: Any, x: Tensor) -> Tensor:
        center = part.point.T
        if hasattr(part, "identity"):
            center = center + torch.diag(part.identity)
        kernel = part.weight + F.pad(center[..., None, None], (1, 1, 1, 1))
        return F.conv2d(x, kernel, part.bias, padding=1)

    def enhance(self, x: Tensor) -> Tensor:
        pixels = F.pixel_unshuffle(x, self.shrink)
        padded = F.pad(pixels.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        mean = F.avg_pool2d(padded, 3, 1)
        told = self.told
        hidden = relu(F.linear(self.facts, told.facts.weight, told.facts.bias))
        said = F.linear(hidden, told.modulation.weight, told.modulation.bias)[..., None, None]
        scale, shift, gain = said.split([self.features, self.features, 1], 1)
        y = self._conv(self.first, torch.cat([10 * (pixels - mean), mean], 1))
        y = y * (1 + scale) + shift
        for conv in each(self, "conv"):
            y = self._conv(conv, leaky(y))
        y = self._conv(self.last, leaky(y)) * (1 + gain)
        return x + F.pixel_shuffle(y / 10, self.shrink)
