"""VIG in PyTorch, written for the benchmarks alone: the direct form, as its figure draws it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def activation(x: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x, 0.1)


class TorchVIG(nn.Module):
    """Clips ``[b, t, 1, h, w]`` in, the same out; the default widths of the paper's network."""

    def __init__(
        self,
        width: int = 32,
        down_widths: tuple[int, int, int] = (40, 48, 48),
        temporal_kernels: tuple[int, int, int] = (3, 2, 2),
    ) -> None:
        super().__init__()
        w1, w2, w3 = down_widths
        self.width, self.lookahead = width, 3
        self.pre = nn.Conv2d(1, width, 3, padding=1)
        sizes = zip((4 * width, 4 * w1, w2), (w1, w2, w3), temporal_kernels, strict=True)
        self.tsd1, self.tsd2, self.td = (
            nn.Conv3d(i, o, (k, 3, 3), padding=(0, 1, 1)) for i, o, k in sizes
        )
        self.su1 = nn.Conv2d(w3, 4 * w1, 3, padding=1)
        self.su2 = nn.Conv2d(w1, 4 * width, 3, padding=1)
        self.fusion = nn.Conv2d(width, 1, 3, padding=1)

    @staticmethod
    def down(conv: nn.Conv3d, slices: torch.Tensor, scale: int) -> torch.Tensor:
        """``[b, t, c, h, w]`` through one block."""
        x = F.pixel_unshuffle(slices, scale) if scale > 1 else slices
        return activation(conv(x.transpose(1, 2))).transpose(1, 2)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        """Enhances a clip."""
        b, t, _, h, w = clip.shape
        features = activation(self.pre(clip.flatten(0, 1))).view(b, t, self.width, h, w)
        held = torch.cat([features, *[features[:, -1:]] * self.lookahead], dim=1)
        hidden, frames = features.new_zeros(b, 1, self.width, h, w), []
        for i in range(t):
            slices = torch.cat([hidden, held[:, i : i + self.lookahead + 1]], dim=1)
            down1 = self.down(self.tsd1, slices, 2)
            down2 = self.down(self.tsd2, down1, 2)
            bottom = self.down(self.td, down2, 1)[:, 0]
            up = activation(F.pixel_shuffle(self.su1(bottom + down2.mean(1)), 2))
            up = activation(F.pixel_shuffle(self.su2(up + down1.mean(1)), 2))
            hidden = up[:, None]
            frames.append(self.fusion(up) + clip[:, i])
        return torch.stack(frames, dim=1)

    def load(self, params: Any) -> None:
        """Takes the parameters of the JAX network."""
        places = {
            "pre": ("pre",),
            "tsd1": ("tsd1",),
            "tsd2": ("tsd2",),
            "td": ("td",),
            "su1": ("decoder", "su1", "conv"),
            "su2": ("decoder", "su2", "conv"),
            "fusion": ("fusion",),
        }
        with torch.no_grad():
            for name, path in places.items():
                node = params
                for key in path:
                    node = node[key]
                # [.., h, w, in, out] becomes [out, in, .., h, w].
                kernel = np.moveaxis(np.asarray(node["kernel"]), (-1, -2), (0, 1))
                module = getattr(self, name)
                module.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
                module.bias.copy_(torch.from_numpy(np.array(node["bias"])))
