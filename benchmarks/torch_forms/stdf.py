"""Networks that fuse frames by STDF's deformable convolution."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.torch_forms.edvr import extracted, joined, pyramid
from benchmarks.torch_forms.parts import (
    Given,
    Tensor,
    WindowForm,
    channel_gate,
    each,
    leaky,
    mean_of,
    planned,
    relu,
    stacked,
    windows_of,
)

__all__ = ["CFSTIF", "DCNGAN", "PEN", "PSMGF", "SMGF", "STDR", "fusion"]


def offset_unet(part: Any, stack: Tensor) -> Tensor:
    """Three halvings and back."""
    x = relu(part.in_conv(stack))
    skips = []
    for k in (1, 2):
        x = relu(getattr(part, f"down{k}_conv1")(x, stride=2))
        x = relu(getattr(part, f"down{k}_conv2")(x))
        skips.append(x)
    x = relu(part.bottom_conv2(relu(part.bottom_conv1(x, stride=2))))
    x = relu(part.bottom_up(x))
    for k in (2, 1):
        x = relu(getattr(part, f"up{k}_conv")(torch.cat([x, skips[k - 1]], 1)))
        x = relu(getattr(part, f"up{k}_up")(x))
    return relu(part.out_conv(x))


def fusion(part: Any, stack: Tensor) -> Tensor:
    """The frames of a window, as channels, to features of the current one."""
    plan = part.offset_mask(offset_unet(part, stack))
    return relu(planned(part.deform_conv, stack, plan))


class DCNGAN(WindowForm):
    UP = "_up$"

    def configure(self, given: Given) -> None:
        told = torch.tensor(
            [float(qp == given.side.qp[0]) for qp in given.network.conditioning.qps]
        )
        self.register_buffer("told", told, False)

    def enhance(self, windows: Tensor) -> Tensor:
        part: Any = self.generator
        dense = part.conditioning.dense
        factors = F.softplus(F.linear(self.told[None], dense.weight, dense.bias))
        factors = factors[..., None, None]
        x = fusion(self.fusion, stacked(windows))
        x = relu(part.norm_in(part.conv_in(self._reflected(x, 3), padding=0)))
        for k in (1, 2, 3):
            x = relu(getattr(part, f"down_norm{k}")(getattr(part, f"down{k}")(x, stride=2)))
        for block in each(part, "block"):
            y = block.conv1(self._reflected(x, 1), padding=0) * factors
            y = block.conv2(self._reflected(relu(block.norm1(y)), 1), padding=0)
            x = x + block.norm2(y)
        for k in (2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = relu(getattr(part, f"up_norm{k}")(getattr(part, f"up{k}")(x)))
        return torch.tanh(part.conv_out(self._reflected(x, 3), padding=0))

    @staticmethod
    def _reflected(x: Tensor, size: int) -> Tensor:
        return F.pad(x, (size,) * 4, mode="reflect")


class STDR(WindowForm):
    UP = "_up$"

    def enhance(self, windows: Tensor) -> Tensor:
        x = relu(self.conv_in(self._fused(self.fusion, stacked(windows))))
        for block in each(self, "block"):
            y = x
            for dense in each(block, "dense"):
                y = torch.cat([y, relu(dense(y))], 1)
            y = block.conv(channel_gate(block.attention, y))
            x = x * block.skip_scale + y * block.scale
        x = relu(self.conv_out(x))
        return windows[:, windows.shape[1] // 2] + self.conv_last(x)

    @staticmethod
    def _fused(part: Any, stack: Tensor) -> Tensor:
        hidden = offset_unet(part, stack)
        found = []
        for k in range(3):
            plan = getattr(part, f"offset{k}_depth")(hidden, groups=hidden.shape[1])
            plan = getattr(part, f"offset{k}_point")(plan)
            found.append(relu(planned(getattr(part, f"deform{k}"), stack, plan)))
        code = relu(part.squeeze(mean_of(relu(part.join(torch.cat(found, 1))))))
        weighed = [x * getattr(part, f"weight{k}")(code) for k, x in enumerate(found)]
        return relu(part.merge(torch.cat(weighed, 1)))


class CFSTIF(WindowForm):
    UP = r"/(up4_half|up2_full|transposed)$"

    def enhance(self, windows: Tensor) -> Tensor:
        stack = stacked(windows)
        plan = self.fusion.offset_mask(self._hidden(self.fusion, windows))
        x = relu(planned(self.fusion.deform_conv, stack, plan))
        part: Any = self.enhancement
        return windows[:, windows.shape[1] // 2] + self._residual(part, x)

    @staticmethod
    def _hidden(part: Any, windows: Tensor) -> Tensor:
        def down(name: str, x: Tensor) -> Tensor:
            inner = getattr(part, name)
            return relu(inner.conv(relu(inner.strided(x, stride=2))))

        def up(name: str, x: Tensor) -> Tensor:
            inner = getattr(part, name)
            return inner.conv(relu(inner.transposed(x)))

        def mixed(name: str, x: Tensor) -> Tensor:
            inner = getattr(part, name)
            return relu(x + inner.conv2(relu(inner.conv1(x))))

        x = relu(part.volume1(relu(part.volume0(windows.transpose(1, 2)))))
        full = relu(part.flatten(x.transpose(1, 2).flatten(1, 2)))
        quarter = mixed("residual4_in", down("down4", down("down2", full)))
        half = mixed("residual2_in", down("down1", full) + part.up4_half(quarter))
        full = mixed("residual1", full + part.up2_full(half))
        half = up("up2", mixed("residual2_out", half))
        quarter = relu(up("up4", mixed("residual4_out", quarter)))
        return relu(part.add(full + half + up("up4_full", quarter)))

    @staticmethod
    def _residual(part: Any, x: Tensor) -> Tensor:
        def grown(inner: Any, x: Tensor) -> Tensor:
            seen = [x]
            for conv in each(inner, "conv"):
                seen.append(relu(conv(seen[-1])))
            return inner.join(torch.cat(seen, 1))

        x = part.conv_in(x)
        first = grown(part.block0, x)
        second = x + grown(part.block1, x - first)
        third = grown(part.block2, second)
        y = part.join(torch.cat([x, first, second, third], 1)) + x
        return part.conv_last(relu(part.conv(y)))


class PEN(WindowForm):
    UP = "_up$"

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        b, t = clip.shape[:2]
        stack = stacked(windows_of(clip, self.indices))
        x = relu(self.enhancement.in_conv(fusion(self.fusion, stack)))
        for conv in each(self.enhancement, "conv"):
            x = relu(conv(x))
        first = self.enhancement.out_conv(x)
        levels = pyramid(self.trunk.pyramid, extracted(self.trunk, clip.flatten(0, 1)))
        shown = [windows_of(x.unflatten(0, (b, t)), self.indices) for x in levels]
        return clip + (first + self.conv_last(joined(self.trunk, shown))).view(clip.shape)


def _gate(part: Any, one: Tensor, two: Tensor, frame: Tensor) -> Tensor:
    x = torch.cat([one, two, frame], 1)
    for conv in each(part, "conv"):
        x = leaky(conv(x))
    mask = torch.sigmoid(part.mask(x))
    return mask * one + (1 - mask) * two


class SMGF(WindowForm):
    UP = "_up$"

    def enhance(self, windows: Tensor) -> Tensor:
        frame = windows[:, windows.shape[1] // 2]
        one, two = (self._model(part, windows, frame) for part in (self.first, self.second))
        return _gate(self.gate, one, two, frame)

    @staticmethod
    def _model(part: Any, windows: Tensor, frame: Tensor) -> Tensor:
        x = part.head(fusion(part.fusion, stacked(windows)))
        for block in each(part, "block"):
            y = channel_gate(block.attention, block.conv2(relu(block.conv1(x))))
            x = block.alpha * x + block.beta * y
        return frame + part.reconstruction(x)


def rrdb(part: Any, x: Tensor) -> Tensor:
    """ESRGAN's generator without its enlargement."""
    first = y = part.conv_first(x)
    for block in each(part, "block"):
        z = y
        for dense in each(block, "dense"):
            seen = [z]
            for k in range(1, 6):
                last = getattr(dense, f"conv{k}")(torch.cat(seen, 1))
                seen.append(leaky(last, 0.2))
            z = z + 0.2 * last
        y = y + 0.2 * z
    y = first + part.conv_body(y)
    return part.conv_last(leaky(part.conv_hr(y), 0.2))


class PSMGF(SMGF):
    def enhance(self, windows: Tensor) -> Tensor:
        smgf = super().enhance(windows)
        one, two = rrdb(self.generator1, smgf), rrdb(self.generator2, smgf)
        return _gate(self.generator_gate, one, two, windows[:, windows.shape[1] // 2])
