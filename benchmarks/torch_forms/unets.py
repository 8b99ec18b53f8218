"""Networks around U-Nets and encoder-decoders, and those that search for what is alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.torch_forms.edvr import extracted, joined, pyramid
from benchmarks.torch_forms.parts import (
    Form,
    Given,
    Part,
    Tensor,
    WindowForm,
    blocks,
    chain,
    channel_gate,
    deform,
    each,
    flat,
    leaky,
    pack,
    planned,
    rcab,
    relu,
    resized,
    shuffled,
)

__all__ = ["DUVE", "MGBP3D", "NOAHTCV", "Block2Rock", "Bluedot", "PeQuENet", "ShannonNet"]


class DUVE(WindowForm):
    def enhance(self, windows: Tensor) -> Tensor:
        triplets = torch.stack([windows[:, k : k + 3] for k in range(3)], 1)
        x = triplets.transpose(2, 3).flatten(0, 1).flatten(1, 2)
        x = self.coarse_tail(self._unet(self.coarse, relu(self.conv_head(x))))
        x = x.unflatten(0, (-1, 3))
        x = self.fuse(torch.cat([leaky(x[:, 0]), x[:, 1], leaky(x[:, 2])], 1))
        x = begin = self.fine_tail(self._unet(self.fine, x))
        for block in each(self, "block"):
            x = rcab(block, x, leaky)
        return self.conv_tail(x + begin)

    @staticmethod
    def _unet(part: Any, x: Tensor) -> Tensor:
        skips = []
        for strided, wider in zip(each(part, "strided"), each(part, "wider"), strict=True):
            skips.append(x)
            x = wider(leaky(strided(x, stride=2)))
        for k in (2, 1, 0):
            up = getattr(part, f"up{k}")
            for block in each(up, "block"):
                x = rcab(block, x, leaky)
            x = up.narrow(F.pixel_shuffle(up.shuffle(x), 2))
            x = torch.cat([x, skips[k]], 1)
        return x


class PeQuENet(WindowForm):
    def configure(self, given: Given) -> None:
        qps = given.network.conditioning.qps
        told = torch.tensor([float(qp == given.side.qp[0]) for qp in qps])
        self.register_buffer("told", told, False)
        self.vgg = Part(given.frozen["vgg"]).requires_grad_(False)

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        b, t = clip.shape[:2]
        taps = self._features(clip.flatten(0, 1).expand(-1, 3, -1, -1))
        decoded = []
        for branch, column in ((self.minus, 0), (self.plus, 2)):
            near = self.indices[:, column]
            other = {
                name: x.unflatten(0, (b, t))[:, near].flatten(0, 1) for name, x in taps.items()
            }
            decoded.append(self._branch(branch, taps, other))
        part: Any = self.head
        dense = part.conditioning.dense
        factors = F.softplus(F.linear(self.told[None], dense.weight, dense.bias))[..., None, None]
        x = torch.cat(decoded, 1)
        for name in ("conv_in", "conv_hidden1", "conv_hidden2"):
            x = relu(getattr(part, name)(x) * factors)
        return torch.tanh(part.conv_out(x)).view(clip.shape)

    def _features(self, x: Tensor) -> dict[str, Tensor]:
        found = {}
        for block, count in enumerate((2, 2, 4, 4, 4), 1):
            x = F.max_pool2d(x, 2) if block > 1 else x
            for k in range(1, count + 1):
                x = found[f"{block}_{k}"] = relu(getattr(self.vgg, f"conv{block}_{k}")(x))
        return found

    @staticmethod
    def _attended(part: Any, target: Tensor, reference: Tensor) -> Tensor:
        query, key = relu(part.proj_target(target)), relu(part.proj_reference(reference))
        scores = torch.softmax(query.flatten(2).transpose(1, 2) @ key.flatten(2), -1)
        return (reference.flatten(2) @ scores.transpose(1, 2)).view(target.shape)

    def _branch(self, part: Any, target: Any, other: Any) -> Tensor:
        x = target["5_4"]
        for level in (4, 3, 2, 1):
            if hasattr(part, f"align{level + 1}"):
                tap = f"{level + 1}_1"
                x = x + self._attended(getattr(part, f"align{level + 1}"), target[tap], other[tap])
            decoder, skip = getattr(part, f"dec{level}"), target[f"{level}_1"]
            x = relu(decoder.conv1(x))
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            rows, columns = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = F.pad(x, (columns // 2, -(-columns // 2), rows // 2, -(-rows // 2)))
            x = relu(decoder.conv2(torch.cat([skip, x], 1)))
        return x


class ShannonNet(WindowForm):
    def enhance(self, windows: Tensor) -> Tensor:
        frame = windows[:, 1]
        halves = torch.cat(frame.chunk(2, 2))
        x = self._shallow("1", torch.cat(halves.chunk(2, 3)))
        encoded = [torch.cat(y.chunk(2), 3) for y in self._encoded(self.encoder1, x)]
        decoded = self._decoded(self.decoder1, encoded)
        attended = self._supervised(self.attention12, decoded[0], halves)
        x = self.concat12(torch.cat([self._shallow("2", halves), attended], 1))
        encoded = self._encoded(self.encoder2, x, (encoded, decoded))
        encoded = [torch.cat(y.chunk(2), 2) for y in encoded]
        decoded = self._decoded(self.decoder2, encoded)
        attended = self._supervised(self.attention23, decoded[0], frame)
        x = self._shallow("3", self._aligned(windows))
        x = self.concat23(torch.cat([x, attended], 1))
        for level in range(3):
            part = getattr(self, f"stage3_{level}")
            x = x + part.tail(self._nested(part.body, x, dilated=True))
            for name, levels in (("encoded", encoded), ("decoded", decoded)):
                y = levels[level]
                for finer in reversed(range(level)):
                    y = self._risen(getattr(self, f"{name}{level}_up{finer}"), y)
                x = x + getattr(self, f"{name}{level}")(y)
        return frame + self.tail(x)

    @staticmethod
    def _risen(conv: Any, x: Tensor) -> Tensor:
        return conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))

    def _shallow(self, stage: str, x: Tensor) -> Tensor:
        x = getattr(self, f"shallow{stage}")(x)
        return rcab(getattr(self, f"shallow{stage}_block"), x, self.activation)

    def _encoded(self, part: Any, x: Tensor, earlier: Any = None) -> list[Tensor]:
        levels = []
        for level in range(3):
            if level:
                half = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)
                x = getattr(part, f"down{level}")(half)
            for block in each(part, f"level{level}_"):
                x = rcab(block, x, self.activation)
            if earlier is not None:
                x = x + getattr(part, f"from_encoder{level}")(earlier[0][level])
                x = x + getattr(part, f"from_decoder{level}")(earlier[1][level])
            levels.append(x)
        return levels

    def _decoded(self, part: Any, levels: list[Tensor]) -> list[Tensor]:
        x, found = levels[-1], []
        for level in (2, 1, 0):
            if level < 2:
                skip = rcab(getattr(part, f"skip{level}"), levels[level], self.activation)
                x = self._risen(getattr(part, f"up{level}"), x) + skip
            for block in each(part, f"level{level}_"):
                x = rcab(block, x, self.activation)
            found.append(x)
        return found[::-1]

    @staticmethod
    def _supervised(part: Any, x: Tensor, frame: Tensor) -> Tensor:
        return x + part.features(x) * torch.sigmoid(part.weights(frame + part.picture(x)))

    def _aligned(self, windows: Tensor) -> Tensor:
        x = self._nested(self.frame_body, self.frame_head(windows.flatten(0, 1)), dilated=False)
        before, now, after = x.unflatten(0, (-1, 3)).unbind(1)
        part: Any = self.alignment
        both, n = torch.cat([before, after]), len(now)
        hidden = relu(part.out(self._unet(part, torch.cat([both, torch.cat([now, now])], 1))))
        plan = part.offset(hidden)
        bent = deform(part.deform, both, plan[:, :18].clamp(-64, 64), torch.sigmoid(plan[:, 18:]))
        bent = relu(bent)
        return torch.cat([bent[:n], now, bent[n:]], 1)

    def _unet(self, part: Any, x: Tensor) -> Tensor:
        def double(inner: Any, x: Tensor) -> Tensor:
            x = relu(inner.norm1(inner.conv1(x)))
            return relu(inner.norm2(inner.conv2(x)))

        skips = []
        for k, down in enumerate(each(part, "down")):
            x = double(down, F.max_pool2d(x, 2) if k else x)
            skips.append(x)
        for bottom in each(part, "bottom"):
            x = self._dilated(bottom, x, channel=True)
        for k in (3, 2, 1, 0):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            rows, columns = (skips[k].shape[d] - x.shape[d] for d in (2, 3))
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
            x = double(getattr(part, f"up{k}"), torch.cat([skips[k], x], 1))
        return x

    def _nested(self, part: Any, x: Tensor, dilated: bool) -> Tensor:
        block = self._dilated if dilated else self._plain
        x = y = part.head(x)
        for group in each(part, "group"):
            results = [y]
            for inner in each(group, "block"):
                results.append(block(inner, results[-1]))
            last = block(group.last, results[-1], residual=False)
            y = y + group.join(torch.cat([last, *results[1:]], 1))
        return part.tail(x + y)

    def _plain(self, part: Any, x: Tensor, residual: bool = True) -> Tensor:
        y = self._spatial(part.attention, part.conv2(leaky(part.conv1(x), 0.01)))
        return x + y if residual else y

    def _dilated(
        self, part: Any, x: Tensor, residual: bool = True, channel: bool = False
    ) -> Tensor:
        found = []
        for number, dilation in ((1, 1), (2, 3), (3, 3), (4, 5)):
            *first, last = each(part, f"branch{number}_")
            y = x
            for conv in first:
                y = leaky(conv(y), 0.01)
            found.append(last(y, dilation=dilation))
        y = leaky(part.join(torch.cat(found, 1)), 0.01)
        gate = channel_gate if channel else self._spatial
        y = gate(part.attention, y)
        return y + leaky(part.short(x), 0.01) if residual else y

    @staticmethod
    def _spatial(part: Any, x: Tensor) -> Tensor:
        reduced = part.conv1(x)
        coarse = F.max_pool2d(part.conv2(reduced, stride=2, padding=0), 7, 3)
        coarse = part.conv3_(relu(part.conv3(relu(part.conv_max(coarse)))))
        whole = resized(coarse, x.shape[2:]) + part.conv_f(reduced)
        return x * torch.sigmoid(part.conv4(whole))


class NOAHTCV(WindowForm):
    def enhance(self, windows: Tensor) -> Tensor:
        n, k = windows.shape[:2]
        x = blocks(self.front, leaky(self.conv_first(windows.flatten(0, 1))))
        x = self._aligned(x.unflatten(0, (n, k)))
        x = self._fused(self.fuse, self._heads(self.heads, x))
        return windows[:, k // 2] + self.conv_last(blocks(self.back, x))

    def _aligned(self, x: Tensor) -> Tensor:
        part: Any = self.offset_unet
        y = chain(part, flat(x), "in_conv")
        skips = []
        for k, strided in enumerate(each(part, "strided")):
            skips.append(y)
            y = chain(part, leaky(strided(y, stride=2)), f"down{k}")
        for k in reversed(range(len(skips))):
            y = torch.cat([shuffled(getattr(part, f"shuffled{k}"), y), skips[k]], 1)
            y = chain(part, y, f"up{k}")
        plan = self.offset(y).unflatten(1, (x.shape[1], -1)).flatten(0, 1)
        return leaky(planned(self.align, x.flatten(0, 1), plan)).view(x.shape)

    @staticmethod
    def _fused(part: Any, x: Tensor) -> Tensor:
        return leaky(pack(part.deform, flat(x), leaky(part.guide(flat(x)))))

    def _heads(self, part: Any, x: Tensor) -> Tensor:
        lead = x.shape[:2]

        def told(x: Tensor, name: str) -> Tensor:
            heads = x.unflatten(0, lead)
            return (heads + self._fused(getattr(part, name), heads)[:, None]).flatten(0, 1)

        x = x.flatten(0, 1)
        skips = []
        for k, strided in enumerate(each(part, "strided")):
            x = told(blocks(getattr(part, f"down{k}"), x), f"down_fuse{k}")
            skips.append(x)
            x = leaky(strided(x, stride=2))
        x = told(blocks(part.bottom, x), "bottom_fuse")
        for k in reversed(range(len(skips))):
            x = torch.cat([shuffled(getattr(part, f"shuffled{k}"), x), skips[k]], 1)
            x = blocks(getattr(part, f"up{k}"), chain(part, x, f"join{k}"))
            x = told(x, f"up_fuse{k}")
        return x.unflatten(0, lead)


class MGBP3D(Form):
    """A patch in time at a time; those that hold a frame are averaged."""

    UP = r"/up\d+/conv$"

    def configure(self, given: Given) -> None:
        network = given.network
        self.frames, self.steps, self.levels = network.frames, network.steps, len(network.widths)
        window = np.hamming(self.frames)
        self.weight = (window / window.sum()).tolist()

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        if self.training:
            return clip + self._grid(clip)
        size, t = self.frames, clip.shape[1]
        numbers = torch.arange(1 - size, t + size - 1).clamp(0, t - 1)
        wide = clip[:, numbers]
        starts = wide.shape[1] - size + 1
        patches = torch.stack([wide[:, k : k + size] for k in range(starts)], 1).flatten(0, 1)
        made = (patches + self._grid(patches)).unflatten(0, (-1, starts))
        parts = [
            weight * made[:, size - 1 - k : size - 1 - k + t, k]
            for k, weight in enumerate(self.weight)
        ]
        return torch.stack(parts).sum(0)

    @staticmethod
    def _conv(part: Any, x: Tensor, stride: int = 1) -> Tensor:
        """A 3-D convolution as a 2-D one over each frame and its neighbors."""
        wide = F.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
        beside = torch.cat([wide[:, k : k + x.shape[1]] for k in range(3)], 2)
        return part.conv(beside.flatten(0, 1), stride=stride).unflatten(0, x.shape[:2])

    def _grid(self, clip: Tensor) -> Tensor:
        part: Any = self.grid
        features, small = [], clip
        for k in range(self.levels):
            features.append(self._conv(getattr(part, f"analysis{k}"), small))
            small = F.avg_pool2d(small.flatten(0, 1), 2).unflatten(0, clip.shape[:2])
        return self._conv(part.synthesis, self._projected(0, features[0], features, ""))

    def _projected(self, level: int, u: Tensor, features: list[Tensor], path: str) -> Tensor:
        if level == self.levels - 1:
            return u
        for step in range(self.steps):
            here = f"{path}{step}"
            down = leaky(self._conv(getattr(self.grid, f"down{here}"), u, 2))
            below = self._projected(level + 1, down, features, here)
            up = self._conv(getattr(self.grid, f"up{here}"), features[level + 1] - below)
            u = u + leaky(up)
        return u


class Bluedot(WindowForm):
    def configure(self, given: Given) -> None:
        self.frames = given.network.frames

    def enhance(self, windows: Tensor) -> Tensor:
        part: Any = self.main
        near, intra = windows[:, : self.frames], windows[:, self.frames :]
        n, m = intra.shape[:2]
        now = near[:, self.frames // 2]
        quarter = self._textures(part.texture.extractor, now)[1]
        keys = self._textures(part.texture.extractor, intra.flatten(0, 1))[1].unflatten(0, (n, m))
        found = [self._matched(quarter, keys[:, k]) for k in range(m)]
        soft, hard = (torch.stack(x, 1) for x in zip(*found, strict=True))
        pick = soft.mean((2, 3)).argmax(1)
        each_one = torch.arange(n)
        soft, hard, chosen = (x[each_one, pick] for x in (soft, hard, intra))
        levels = pyramid(part.trunk.pyramid, extracted(part.trunk, near.flatten(0, 1)))
        x = joined(part.trunk, [y.unflatten(0, near.shape[:2]) for y in levels])
        values = self._textures(part.texture.extractor, chosen)[0]
        texture = self._transferred(values, hard)
        soft = resized(soft[:, None], x.shape[2:])
        x = x + part.texture.joined(torch.cat([x, texture], 1)) * soft
        x = blocks(part.reconstruction, x)
        return now + part.conv_last(leaky(part.conv_hr(x)))

    @staticmethod
    def _textures(part: Any, frames: Tensor) -> tuple[Tensor, Tensor]:
        full = chain(part, frames, "conv1", "conv2")
        x = chain(part, leaky(part.half_down(full, stride=2)), "half_conv")
        return full, part.quarter_conv(leaky(part.quarter_down(x, stride=2)))

    @staticmethod
    def _matched(query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        q, k = (F.unfold(x, 3, padding=1) for x in (query, key))
        q, k = (x * (x.square().sum(1, True) + 1e-12).rsqrt() for x in (q, k))
        soft, hard = (k.transpose(1, 2) @ q).max(1)
        return tuple(x.view(len(x), *query.shape[2:]) for x in (soft, hard))

    @staticmethod
    def _transferred(values: Tensor, hard: Tensor) -> Tensor:
        scale = values.shape[2] // hard.shape[1]
        size, options = 3 * scale, {"padding": scale, "stride": scale}
        patches = F.unfold(values, size, **options)
        index = hard.flatten(1)[:, None].expand(-1, patches.shape[1], -1)
        # What lies beyond the border counts for nothing.
        inside = F.unfold(torch.ones_like(values[:, :1]), size, **options)
        weight = inside.gather(2, index[:, : inside.shape[1]])
        moved = patches.gather(2, index)
        total, count = (F.fold(x, values.shape[2:], size, **options) for x in (moved, weight))
        return total / count


class Block2Rock(WindowForm):
    """Blocks of the current frame beside their matches, found by Fourier transforms."""

    def configure(self, given: Given) -> None:
        network = given.network
        self.past, self.patch, self.stride = network.past, network.patch, network.stride
        self.at_once = network.stacks_at_once
        rise = torch.minimum(torch.arange(self.patch), torch.arange(self.patch).flip(0)) + 1.0
        self.register_buffer("weight", torch.outer(rise, rise), False)

    def enhance(self, windows: Tensor) -> Tensor:
        height, width = windows.shape[3:]
        axes = [
            sorted({*range(0, n - self.patch, self.stride), n - self.patch})
            for n in (height, width)
        ]
        corners = [(y, x) for y in axes[0] for x in axes[1]]
        stacks = torch.cat([self._stacks(frames, corners) for frames in windows])
        added = torch.cat([self._added(part) for part in stacks.split(self.at_once)])
        found = (stacks[:, 0] + added).unflatten(0, (len(windows), len(corners)))
        total = torch.zeros_like(windows[:, 0])
        shares = total.new_zeros(height, width)
        for k, (y, x) in enumerate(corners):
            rows, columns = slice(y, y + self.patch), slice(x, x + self.patch)
            total[:, :, rows, columns] += found[:, k] * self.weight
            shares[rows, columns] += self.weight
        return total / shares

    def _added(self, stacks: Tensor) -> Tensor:
        part: Any = self.enhancer
        trunk = part.trunk
        levels = pyramid(trunk.pyramid, extracted(trunk, stacks.flatten(0, 1)))
        x = joined(trunk, [y.unflatten(0, stacks.shape[:2]) for y in levels], 0)
        return part.conv_last(leaky(part.conv_hr(x)))

    @torch.no_grad()
    def _stacks(self, frames: Tensor, corners: list[tuple[int, int]]) -> Tensor:
        now = frames[self.past]
        others = torch.cat([frames[: self.past], frames[self.past + 1 :]])
        size = self.patch
        cut = torch.stack([now[:, y : y + size, x : x + size] for y, x in corners])
        height, width = now.shape[1:]
        rows, columns = height - size + 1, width - size + 1
        around = others - 0.5
        squares = F.avg_pool2d(around.square().sum(1, True), size, 1) * size**2
        spectra = torch.fft.rfft2(around)
        ys, xs = torch.arange(rows)[:, None], torch.arange(columns)[None]
        slack = 1e-6 * size**2 * now.shape[0]
        found = []
        for block, (top, left) in zip(cut, corners, strict=True):
            other = torch.fft.rfft2(block - 0.5, (height, width)).conj()
            likeness = torch.fft.irfft2((spectra * other).sum(1), (height, width))
            distance = squares[:, 0] - 2 * likeness[:, :rows, :columns]
            equal = distance <= distance.amin((1, 2), True) + slack
            away = ((ys - top) ** 2 + (xs - left) ** 2).expand_as(distance)
            best = torch.where(equal, away, 1 << 30).flatten(1).argmin(1).tolist()
            places = [(place // columns, place % columns) for place in best]
            matches = [
                one[:, y : y + size, x : x + size]
                for one, (y, x) in zip(others, places, strict=True)
            ]
            found.append(torch.stack([block, *matches]))
        return torch.stack(found)
