"""EDVR and the networks that align and fuse as it does."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.torch_forms.frames import rcan_a
from benchmarks.torch_forms.parts import (
    Given,
    Tensor,
    WindowForm,
    blocks,
    chain,
    each,
    flat,
    leaky,
    pack,
    relu,
    residual,
    residual_group,
    residual_groups,
    resized,
    shuffled,
    windows_of,
)

__all__ = [
    "EDVR",
    "RCVN",
    "TIM",
    "CVQENet",
    "Gogoing",
    "QENet",
    "extracted",
    "joined",
    "pcd",
    "tsa",
]


def pyramid(part: Any, x: Tensor) -> list[Tensor]:
    """Features at full, half and quarter size."""
    levels = [x]
    for level in ("l2", "l3"):
        x = leaky(getattr(part, f"{level}_conv1")(x, stride=2, padding=1))
        x = leaky(getattr(part, f"{level}_conv2")(x))
        levels.append(x)
    return levels


def pcd(part: Any, levels: list[Tensor], references: list[Tensor]) -> Tensor:
    """Aligns maps ``[n, c, h, w]`` of three sizes to others, from coarse to fine."""
    guide: Any = None
    feature: Any = None
    for name, x, ref in [*zip(("l1", "l2", "l3"), levels, references, strict=True)][::-1]:
        y = chain(part, torch.cat([x, ref], 1), f"{name}_offset1")
        bent = getattr(part, f"{name}_deform")
        if guide is None:
            guide = chain(part, y, "l3_offset2")
            feature = leaky(pack(bent, x, guide))
            continue
        size = x.shape[2:]
        y = torch.cat([y, 2 * resized(guide, size)], 1)
        guide = chain(part, y, f"{name}_offset2", f"{name}_offset3")
        y = torch.cat([pack(bent, x, guide), resized(feature, size)], 1)
        feature = getattr(part, f"{name}_feature")(y)
        feature = feature if name == "l1" else leaky(feature)
    both = torch.cat([feature, references[0]], 1)
    guide = chain(part, both, "cascade_offset1", "cascade_offset2")
    return leaky(pack(part.cascade_deform, feature, guide))


def _pooled(x: Tensor) -> Tensor:
    return torch.cat([F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, 3, 2, 1)], 1)


def tsa(part: Any, aligned: Tensor, middle: int | None = None) -> Tensor:
    """Joins aligned frames ``[n, k, c, h, w]`` by attention."""
    middle = aligned.shape[1] // 2 if middle is None else middle
    reference = part.temporal_reference(aligned[:, middle])
    frames = part.temporal_frames(aligned.flatten(0, 1)).view(aligned.shape)
    likeness = torch.sigmoid((frames * reference[:, None]).sum(2, keepdim=True))
    stack = flat(aligned * likeness)
    fused = chain(part, stack, "fusion")
    x = chain(part, stack, "spatial1")
    half = chain(part, _pooled(x), "spatial2")
    level = chain(part, _pooled(chain(part, half, "level1")), "level2", "level3")
    half = chain(part, half, "spatial3") + resized(level, half.shape[2:])
    half = chain(part, half, "spatial4")
    attention = part.spatial5(resized(half, fused.shape[2:]))
    added = part.add2(chain(part, attention, "add1"))
    return fused * torch.sigmoid(attention) * 2 + added


def predeblurred(part: Any, x: Tensor) -> Tensor:
    """The entry for blurred frames: features at a quarter of the size."""

    def halved(x: Tensor, name: str) -> Tensor:
        return leaky(getattr(part, name)(x, stride=2, padding=1))

    fine = halved(halved(leaky(part.conv_first(x)), "conv_down1"), "conv_down2")
    middle = halved(fine, "l2_conv")
    coarse = residual(part.l3_block, halved(middle, "l3_conv"))
    middle = residual(part.l2_block1, middle) + resized(coarse, middle.shape[2:])
    middle = residual(part.l2_block2, middle)
    fine = blocks(part.l1_before, fine) + resized(middle, fine.shape[2:])
    return blocks(part.l1_after, fine)


def extracted(part: Any, frames: Tensor) -> Tensor:
    """EDVR's features of single frames."""
    if hasattr(part, "entry"):
        x = part.entry_last(predeblurred(part.entry, frames))
    else:
        x = leaky(part.conv_first(frames))
    return blocks(part.extraction, x)


def joined(part: Any, levels: list[Tensor], middle: int | None = None) -> Tensor:
    """Features of one frame of a window from the pyramid ``[n, k, c, h, w]`` of all."""
    n, k = levels[0].shape[:2]
    middle = k // 2 if middle is None else middle
    references = [x[:, middle : middle + 1].expand_as(x).flatten(0, 1) for x in levels]
    aligned = pcd(part.alignment, [x.flatten(0, 1) for x in levels], references)
    x = tsa(part.fusion, aligned.unflatten(0, (n, k)), middle)
    return blocks(part.reconstruction, x) if hasattr(part, "reconstruction") else x


def through_windows(part: Any, clip: Tensor, indices: Tensor, middle: int | None = None) -> Tensor:
    """EDVR's trunk for a clip; features and pyramid are made once a frame."""
    b, t = clip.shape[:2]
    levels = pyramid(part.pyramid, extracted(part, clip.flatten(0, 1)))
    return joined(part, [windows_of(x.unflatten(0, (b, t)), indices) for x in levels], middle)


class EDVR(WindowForm):
    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        x = through_windows(self.trunk, clip, self.indices)
        return clip + self.conv_last(leaky(self.conv_hr(x))).view(clip.shape)


class TIM(WindowForm):
    def configure(self, given: Given) -> None:
        self.sharpness, self.edge_scale = given.network.sharpness, given.network.edge_scale
        taps = torch.exp(-0.5 * (torch.arange(-3.0, 4.0) / given.network.sigma) ** 2)
        self.register_buffer("taps", taps / taps.sum(), False)

    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        textured = clip + self._textures(clip.flatten(0, 1)).view(clip.shape)
        edvr = self.edvr
        x = through_windows(edvr.trunk, textured, self.indices)
        for up in each(edvr, "upsample_"):
            x = leaky(shuffled(up, x))
        x = textured.flatten(0, 1) + edvr.conv_last(leaky(edvr.conv_hr(x)))
        return self._sharpened(x).view(clip.shape)

    def _textures(self, x: Tensor) -> Tensor:
        part: Any = self.texture
        guides: list[Tensor] = []
        for k, strided in enumerate(each(part, "strided")):
            guides.append(chain(part, x, f"down{k}_conv1", f"down{k}_conv2"))
            x = leaky(strided(guides[-1], stride=2, padding=1))
        x = chain(part, x, "bottom_conv1", "bottom_conv2")
        for k in reversed(range(len(guides))):
            x = leaky(shuffled(getattr(part, f"shuffled{k}"), x))
            hidden = chain(part, guides[k], f"affine{k}_hidden")
            factor = 1 + getattr(part, f"affine{k}_factor")(hidden)
            x = x * factor + getattr(part, f"affine{k}_shift")(hidden)
            x = chain(part, x, f"up{k}_conv1", f"up{k}_conv2")
        return part.last(x)

    def _sharpened(self, x: Tensor) -> Tensor:
        channels, reach = x.shape[1], len(self.taps) // 2
        wide = F.pad(x, (reach,) * 4, mode="replicate")
        taps = self.taps.expand(channels, 1, 1, -1)
        blurred = F.conv2d(wide, taps.transpose(2, 3), groups=channels)
        blurred = F.conv2d(blurred, taps, groups=channels)
        smooth, slope = x.new_tensor([0.25, 0.5, 0.25]), x.new_tensor([-0.5, 0.0, 0.5])
        sobel = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
        gray = F.pad(x.mean(1, keepdim=True), (1,) * 4, mode="replicate")
        square = F.conv2d(gray, sobel).square().sum(1, keepdim=True)
        edges = (square + 1e-20).sqrt() / self.edge_scale
        return x + self.sharpness * edges.clamp(max=1) * (x - blurred)


class Gogoing(WindowForm):
    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        x = through_windows(self.temporal, clip, self.indices)
        return clip + self.conv_last(self._unet(self.spatial, x)).view(clip.shape)

    @staticmethod
    def _unet(part: Any, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for place, strided in zip(each(part, "down"), each(part, "strided"), strict=True):
            skips.append(residual_group(place, x))
            x = strided(skips[-1], stride=2, padding=1)
        x = residual_group(part.bottom, x)
        for k in reversed(range(len(skips))):
            x = torch.cat([shuffled(getattr(part, f"shuffled{k}"), x), skips[k]], 1)
            x = residual_group(getattr(part, f"up{k}"), getattr(part, f"join{k}")(x))
        return x


class RCVN(WindowForm):
    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        made = rcan_a(self.rcan_a, clip.flatten(0, 1)).view(clip.shape)
        windows = windows_of(made, self.indices)
        n, k = windows.shape[:2]
        current = windows[:, k // 2]
        pairs = torch.cat([current[:, None].expand_as(windows), windows], 2).flatten(0, 1)
        seen = blocks(self.pair_blocks, leaky(self.pair(255 * pairs)))
        x = residual_groups(self.trunk, tsa(self.fusion, seen.unflatten(0, (n, k))))
        return (current + self.conv_last(x) / 255).view(clip.shape)


class QENet(WindowForm):
    def forward(self, clip: Tensor) -> Tensor:  # type: ignore[override]
        b, t = clip.shape[:2]
        x = blocks(self.extraction, leaky(self.conv_first(clip.flatten(0, 1))), 0.1)
        windows = windows_of(x.unflatten(0, (b, t)), self.indices)
        n, k = windows.shape[:2]
        middle = windows[:, k // 2 : k // 2 + 1].expand_as(windows).flatten(0, 1)
        x = windows.flatten(0, 1)
        for _ in range(2):
            x = self._aligned(x, middle)
        x = tsa(self.fusion, x.unflatten(0, (n, k)))
        x = x + blocks(self.reconstruction, x, 0.1)
        return clip + self.conv_out(x).view(clip.shape)

    def _aligned(self, x: Tensor, reference: Tensor) -> Tensor:
        part: Any = self.alignment
        levels = []
        y = torch.cat([x, reference], 1)
        for k in (1, 2, 3):
            conv = getattr(part, f"down{k}_conv")
            y = leaky(conv(y, stride=1 if k == 1 else 2, padding=1))
            y = blocks(getattr(part, f"down{k}_blocks"), y, 0.1)
            levels.append(y)
        for k in (2, 1):
            y = resized(y, levels[k - 1].shape[2:]) + levels[k - 1]
            y = blocks(getattr(part, f"up{k}_blocks"), y, 0.1)
        return leaky(pack(part.deform, x, y))


class CVQENet(WindowForm):
    def enhance(self, windows: Tensor) -> Tensor:
        n, k = windows.shape[:2]
        shallow = relu(self.conv_first(windows.flatten(0, 1)))
        levels = [blocks(self.extraction, shallow)]
        for _ in range(2):  # both by the same two convolutions
            y = relu(self.l2_conv1(levels[-1], stride=2, padding=1))
            levels.append(relu(self.l2_conv2(y)))
        references = []
        for x in levels:
            x = x.unflatten(0, (n, k))
            references.append(x[:, k // 2 : k // 2 + 1].expand_as(x).flatten(0, 1))
        aligned = pcd(self.alignment, levels, references)
        x = self._unet(self.unet, tsa(self.fusion, aligned.unflatten(0, (n, k))))
        x = blocks(self.reconstruction, x + shallow.unflatten(0, (n, k))[:, k // 2])
        return windows[:, k // 2] + self.conv_last(x)

    @staticmethod
    def _gated(part: Any, x: Tensor) -> Tensor:
        means = F.conv1d(x.mean((2, 3))[:, None], part.weight.view(1, 1, -1), padding=1)
        return x * torch.sigmoid(means.transpose(1, 2)[..., None])

    def _unet(self, part: Any, x: Tensor) -> Tensor:
        head = relu(part.head(x))
        cells = [[head + blocks(part.first, head)]]
        for bottom in (1, 2, 3):
            x = self._gated(getattr(part, f"gate{bottom}0_down"), cells[bottom - 1][0])
            cell = getattr(part, f"cell{bottom}0")
            x = x + blocks(cell.body, x)
            cells.append([relu(cell.down(x, stride=2, padding=1))])
            for level in reversed(range(bottom)):
                cells[level].append(self._raised(part, level, bottom - level, cells))
        return part.out(cells[0][-1])

    def _raised(self, part: Any, level: int, column: int, cells: Any) -> Tensor:
        name = f"{level}{column}"
        before = [
            self._gated(getattr(part, f"gate{name}_skip{j}"), x)
            for j, x in enumerate(cells[level][:column])
        ]
        below = self._gated(getattr(part, f"gate{name}_below"), cells[level + 1][column - 1])
        cell = getattr(part, f"cell{name}")
        x = relu(F.pixel_shuffle(cell.up(below), 2))
        x = relu(cell.head(torch.cat([*before, x], 1)))
        return x + blocks(cell.body, x)
