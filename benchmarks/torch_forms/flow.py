"""Networks that propagate features through a clip, and those that follow optical flow."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.torch_forms.parts import (
    Form,
    Given,
    Tensor,
    WindowForm,
    channel_gate,
    deform,
    each,
    leaky,
    mean_of,
    planned,
    relu,
    resized,
    shuffled,
    stacked,
    trunk,
    warp,
    windows_of,
)

__all__ = ["ASTF", "MFQE", "OVQE", "BasicVSR", "BasicVSRPlusPlus", "spynet"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def spynet(part: Any, ref: Tensor, supp: Tensor) -> Tensor:
    """Flow from each frame of ``ref`` to that of ``supp``."""
    h, w = ref.shape[2:]
    nets = list(each(part, "level"))
    multiple = 2 ** (len(nets) - 1)
    inner = [-(-n // multiple) * multiple for n in (h, w)]
    mean, std = (ref.new_tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _STD))
    a, b = ([resized((x.expand(-1, 3, -1, -1) - mean) / std, inner)] for x in (ref, supp))
    for pyramid in (a, b):
        for _ in nets[1:]:
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
    flow = a[0].new_zeros(a[0].shape[0], 2, *a[0].shape[2:])
    for level, net in enumerate(nets):
        if level:
            flow = 2 * resized(flow, a[level].shape[2:], align=True)
        x = torch.cat([a[level], warp(b[level], flow, "border"), flow], 1)
        *hidden, last = each(net, "conv")
        for conv in hidden:
            x = relu(conv(x))
        flow = flow + last(x)
    scale = flow.new_tensor([w / inner[1], h / inner[0]]).view(1, 2, 1, 1)
    return resized(flow, (h, w)) * scale


def clip_flows(part: Any, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Flow from each frame but the last to the next, and from each but the first back."""
    lead = (clip.shape[0], clip.shape[1] - 1)
    earlier, later = clip[:, :-1].flatten(0, 1), clip[:, 1:].flatten(0, 1)
    to_next, to_last = spynet(part, earlier, later), spynet(part, later, earlier)
    return to_next.unflatten(0, lead), to_last.unflatten(0, lead)


def basicvsr(part: Any, clip: Tensor) -> Tensor:
    """The frames of a clip by two passes."""
    to_next, to_last = clip_flows(part.spynet, clip)
    numbers = list(range(clip.shape[1]))
    found: list[list[Any]] = []
    for net, order, flows in (
        (part.backward_trunk, numbers[::-1], to_next),
        (part.forward_trunk, numbers, to_last),
    ):
        width = net.conv.weight.shape[0]
        x = clip.new_zeros(clip.shape[0], width, *clip.shape[3:])
        features: list[Any] = [None] * len(order)
        for step, i in enumerate(order):
            if step:
                x = warp(x, flows[:, min(i, order[step - 1])])
            x = features[i] = trunk(net, torch.cat([clip[:, i], x], 1))
        found.append(features)
    both = torch.stack([torch.cat(pair, 1) for pair in zip(*found, strict=True)], 1)
    x = leaky(part.conv_hr(leaky(part.fusion(both.flatten(0, 1)))))
    return clip + part.conv_last(x).view(clip.shape)


class BasicVSR(Form):
    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """A clip."""
        return basicvsr(self, clip)


class ASTF(Form):
    """Its first stage gives rounded pictures, a pixel of which may fall to either side."""

    rounds = True

    def configure(self, given: Given) -> None:
        self.radius = given.network.var_radius
        self.top = 2**given.network.stage1_bits - 1

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """Two networks on the pictures of a third, joined by the local variance."""
        with torch.no_grad():
            first = basicvsr(self.stage1, clip).clamp(0, 1)
            first = (first * self.top).round() / self.top
        one, two = basicvsr(self.enhance1, first), basicvsr(self.enhance2, first)
        variance = self._variance(first.flatten(0, 1)).view(*clip.shape[:2], 1, *clip.shape[3:])
        around = torch.cat([variance[:, :1], variance, variance[:, -1:]], 1)
        frames = [around[:, k : k + clip.shape[1]] for k in range(3)]
        top = torch.stack([x.amax((3, 4), True) for x in frames]).amax(0)
        bottom = torch.stack([x.amin((3, 4), True) for x in frames]).amin(0)
        mask = (variance - bottom) / (top - bottom).clamp(min=1e-12)
        return mask * one + (1 - mask) * two

    def _variance(self, frames: Tensor) -> Tensor:
        luma = (frames * frames.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, True)

        def mean(x: Tensor) -> Tensor:
            size = 2 * self.radius + 1
            return F.avg_pool2d(x, size, 1, self.radius, count_include_pad=False)

        luma = luma - mean_of(luma)
        return (mean(luma.square()) - mean(luma).square()).clamp(min=0)


class BasicVSRPlusPlus(Form):
    """ProVQE too, whose memory keeps peaks."""

    def configure(self, given: Given) -> None:
        length = len(self.indices)
        keys = given.network.keys(given.side, (1, length))
        self.keys = [bool(key) for key in keys[0]]
        self.magnitude = given.network.max_residue_magnitude

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """A clip by four passes at a quarter of its size."""
        b, t = clip.shape[:2]
        x = clip.flatten(0, 1)
        for conv in each(self, "shrink_"):
            x = leaky(conv(x, stride=2))
        spatial = trunk(self.extract, x).unflatten(0, (b, t))
        small = F.interpolate(clip.flatten(0, 1), scale_factor=0.25, mode="bicubic")
        to_next, to_last = clip_flows(self.spynet, small.unflatten(0, (b, t)))
        found: list[list[Tensor]] = []
        numbers = list(range(t))
        for name in ("backward_1", "forward_1", "backward_2", "forward_2"):
            backward = name.startswith("backward")
            order, flows = (numbers[::-1], to_next) if backward else (numbers, to_last)
            found.append(self._passed(getattr(self, name), spatial, found, order, flows))
        maps = [torch.stack(features, 1) for features in found]
        x = trunk(self.reconstruction, torch.cat([spatial, *maps], 2).flatten(0, 1))
        for up in each(self, "upsample_"):
            x = leaky(shuffled(up, x))
        return clip + self.conv_last(leaky(self.conv_hr(x))).view(clip.shape)

    def _passed(
        self, part: Any, spatial: Tensor, found: Any, order: list[int], flows: Tensor
    ) -> list[Tensor]:
        """One pass; in its memory is the frame before, and one before that or the last key."""
        features: list[Any] = [None] * len(order)
        x = second = torch.zeros_like(spatial[:, 0])
        way = torch.zeros_like(flows[:, 0]) if flows.shape[1] else None
        is_key = has_key = False
        for step, i in enumerate(order):
            current = spatial[:, i]
            aligned = torch.zeros_like(current)
            new: Any = way
            further: Any = way
            if step:
                new = flows[:, min(i, order[step - 1])]
                further = new + warp(way, new) if step > 1 else torch.zeros_like(new)
                aligned = self._aligned(part.align, (x, second), current, (new, further))
            seen = torch.cat([current, *(one[i] for one in found), aligned], 1)
            moves = is_key or not has_key
            second, way = (x, new) if moves else (second, further)
            has_key, is_key = has_key or is_key, self.keys[i]
            x = features[i] = aligned + trunk(part.trunk, seen)
        return features

    def _aligned(self, part: Any, frames: Any, current: Tensor, flows: Any) -> Tensor:
        one, two = (warp(x, flow) for x, flow in zip(frames, flows, strict=True))
        x = torch.cat([one, current, two, *flows], 1)
        for k in range(3):
            x = leaky(getattr(part, f"offset{k}")(x))
        x = part.offset3(x)
        cut = x.shape[1] // 3 * 2
        guides = [flow.flip(1).repeat(1, cut // 4, 1, 1) for flow in flows]
        offset = self.magnitude * torch.tanh(x[:, :cut]) + torch.cat(guides, 1)
        return deform(part.deform, torch.cat(frames, 1), offset, torch.sigmoid(x[:, cut:]))


class OVQE(Form):
    UP = r"/unet/up\d$"

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        """A clip by four passes."""
        b, t = clip.shape[:2]
        stack = stacked(windows_of(clip, self.indices))
        now = list(self._fused(self.window_fusion, stack).unflatten(0, (b, t)).unbind(1))
        ahead: list[Any] = []
        found: list[list[Tensor]] = []
        names = ("first_backward", "first_forward", "second_backward", "second_forward")
        for index, name in enumerate(names):
            order = list(range(t))[:: -1 if index % 2 == 0 else 1]
            now, ahead = self._passed(getattr(self, name), now, ahead, order)
            found.append(now)
        maps = [torch.stack(features, 1).flatten(0, 1) for features in found]
        return clip + self._rebuilt(self.reconstruction, torch.cat(maps, 1)).view(clip.shape)

    def _passed(self, part: Any, now: Any, ahead: Any, order: list[int]) -> Any:
        """Features of each frame, and of the one visited before it."""
        features: list[Any] = [None] * len(order)
        before: list[Any] = [None] * len(order)
        x = torch.zeros_like(now[0])
        for step, i in enumerate(order):
            maps = (x, now[i], ahead[i]) if ahead else (now[i], x)
            fused = self._fused(part, torch.cat(maps, 1))
            new = self._banded(self.frequency, torch.cat([now[i], fused], 1)) + now[i]
            features[i], before[i] = new, x if step else new
            x = new
        return features, before

    def _fused(self, part: Any, stack: Tensor) -> Tensor:
        x = leaky(part.in_conv(stack))
        levels = [x]
        for k in range(3):
            x = leaky(getattr(part.unet, f"down{k}")(x, stride=2))
            levels.append(leaky(getattr(part.unet, f"conv{k}")(x)))
            x = levels[-1]
        x = levels.pop()
        for k in range(3):
            x = leaky(getattr(part.unet, f"up{k}")(x))
            skip = levels.pop()
            x = x[:, :, : skip.shape[2], : skip.shape[3]]
            x = self._merged(part.unet.merge, x, skip) if levels else x + skip
        return relu(planned(part.deform_conv, stack, part.offset_mask(leaky(part.out_conv(x)))))

    @staticmethod
    def _merged(part: Any, first: Tensor, second: Tensor) -> Tensor:
        code = part.prelu(part.squeeze(mean_of(first + second)))
        share = torch.sigmoid(part.excite0(code) - part.excite1(code))
        return first * share + second * (1 - share)

    def _banded(self, part: Any, x: Tensor) -> Tensor:
        def twice(x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

        high, mid, low = (
            leaky(getattr(part, name)(x, stride=stride, padding=1))
            for name, stride in (("high", 1), ("mid", 2), ("low", 4))
        )
        y = leaky(part.refine2(low))
        y = leaky(part.refine1(self._merged(part.merge0, twice(y), mid - twice(low))))
        y = leaky(part.refine0(self._merged(part.merge1, twice(y), high - twice(mid))))
        y = channel_gate(part.attention, y)
        return y + (part.narrow(x) if hasattr(part, "narrow") else x)

    def _rebuilt(self, part: Any, x: Tensor) -> Tensor:
        x = relu(part.conv_in(x))
        for block in each(part, "block"):
            x = self._banded(block, x)
        return part.conv_last(x)


class MFQE(WindowForm):
    def enhance(self, windows: Tensor) -> Tensor:
        now = windows[:, 1]
        before, after = (
            warp(windows[:, k], spynet(self.spynet, now, windows[:, k])) for k in (0, 2)
        )
        part: Any = self.enhancement
        scales = [
            getattr(part, f"scale{size}_{k}")(frame)
            for size in (3, 5, 7)
            for k, frame in enumerate((before, now, after))
        ]
        x = torch.cat(scales, 1)
        found: list[Tensor] = []
        for k in range(5):
            x = getattr(part, f"prelu{k}")(getattr(part, f"conv{k}")(x))
            found.append(getattr(part, f"bn{k}")(x))
            x = torch.cat(found, 1)
        return now + part.conv5(found[-1])
