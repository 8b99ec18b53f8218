"""PeQuENet: perceptual enhancement with global attention and QP-conditional adaptation.

Frozen VGG features of the frame and of its two neighbors; for each neighbor, its deep features
are aligned to the frame's at three depths (global attention), added to the frame's own and decoded
progressively up to the full size; a head that knows the QP joins both branches (arXiv 2206.07893,
Fig. 2 to 4). The output is the picture itself through a tanh: there is no residual to the input.

The VGG lives in the collection ``frozen``, so ``params`` holds what is trained: 26,329,281 values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.nn.attention import AttentionBlock
from vqe_jax.nn.feature_alignment import DeformableAlignment, FlowAlignment
from vqe_jax.nn.flow import SPyNet
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.qp_conditioning import Conditioning, QPConditioning
from vqe_jax.nn.vgg import VGG, tap_channels
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["DecoderBlock", "PeQuENet", "QPHead"]

Clip = Float[Array, "b t h w c"]
Map = Float[Array, "b h w c"]
Features = Mapping[str, jax.Array]  # taps by name

# Depth of each backbone, and its last activation: VGG-16's fifth block has three convolutions.
_BACKBONES = {"vgg19": (19, "relu5_4"), "vgg16": (16, "relu5_3")}
_SKIPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
_ALIGNED = {3: "relu3_1", 4: "relu4_1", 5: "relu5_1"}
_ALIGNMENTS: dict[str, Callable[..., nn.Module]] = {
    "attention": AttentionBlock,
    "deformable": DeformableAlignment,
    "flow": FlowAlignment,
}
_MIN_SIDE = 16  # four poolings leave one pixel of it


class DecoderBlock(nn.Module):
    """Convolution, bilinear doubling, and a convolution over it and the encoder's features."""

    features: int  # output channels

    @nn.compact
    def __call__(self, x: Map, skip: Float[Array, "b h2 w2 d"]) -> Float[Array, "b h2 w2 f"]:
        """Goes up to the size of ``skip``; what an odd side lacks is filled with zeros."""
        x = nn.relu(Conv(x.shape[-1], name="conv1")(x))
        x = resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]), align_corners=True)
        rows, columns = (s - n for s, n in zip(skip.shape[1:3], x.shape[1:3], strict=True))
        before, after = (rows // 2, columns // 2), (-(-rows // 2), -(-columns // 2))
        x = jnp.pad(x, [(0, 0), *zip(before, after, strict=True), (0, 0)])
        return nn.relu(Conv(self.features, name="conv2")(jnp.concatenate([skip, x], axis=-1)))


class QPHead(nn.Module):
    """Four convolutions to the picture, the first three scaled by one vector made from the QP.

    The released code multiplies the convolutions' outputs, biases included, before the ReLU.
    """

    features: int = 64  # channels of the hidden convolutions
    channels: int = 1  # of the picture
    conditioning: Conditioning | None = Conditioning()  # None: one head for whatever QP

    @nn.compact
    def __call__(self, x: Map, qp: Int[Array, " b"] | None) -> Float[Array, "b h w d"]:
        """The picture, in (-1, 1)."""
        factors = jnp.ones((1, 1, 1, 1), x.dtype)
        if self.conditioning:
            told = QPConditioning(
                self.features,
                self.conditioning.qps,
                self.conditioning.interpolate,
                name="conditioning",
            )
            factors = told(qp)[:, None, None].astype(x.dtype)
        for name in ("conv_in", "conv_hidden1", "conv_hidden2"):
            x = nn.relu(Conv(self.features, name=name)(x) * factors)
        return jnp.tanh(Conv(self.channels, name="conv_out")(x))


class Branch(nn.Module):
    """One neighbor's half of the generator: align at some depths, decode to the full size."""

    align: Callable[..., nn.Module]  # makes a block ``(target, reference, *flow)`` by name
    depths: tuple[int, ...]  # VGG blocks at which features are aligned: 3, 4, 5
    widths: tuple[int, ...]  # channels of the skips, full size first

    @nn.compact
    def __call__(
        self, top: jax.Array, target: Features, reference: Features, *flow: jax.Array
    ) -> Map:
        """The decoded features.

        Args:
          *flow: from the frame to the neighbor, where the alignment takes it.
        """
        x = top
        for level in (4, 3, 2, 1):
            depth = level + 1
            if depth in self.depths:
                tap = _ALIGNED[depth]
                x = x + self.align(name=f"align{depth}")(target[tap], reference[tap], *flow)
            decoder = DecoderBlock(self.widths[level - 1], name=f"dec{level}")
            x = decoder(x, target[_SKIPS[level - 1]])
        return x


class PeQuENet(WindowNetwork):
    """The generator; 26,329,281 trained parameters beside the frozen VGG."""

    backbone: Literal["vgg19", "vgg16"] = "vgg19"  # "vgg16" is a fallback, not the paper's
    alignment: Literal["attention", "deformable", "flow"] = "attention"
    attention_depths: tuple[int, ...] = (3, 4, 5)  # VGG blocks whose features are aligned
    attention_method: Literal["auto", "dense", "blockwise", "library"] = "auto"
    attention_block: int | None = None  # side of a block of scores; None chooses
    attention_downsample: int = 1  # attend between maps smaller by this factor (1, 2, 4, 6)
    column_width: int | None = None  # cut frames into columns this wide, without overlap
    conditioning: Conditioning | None = Conditioning()  # None: not told the QP
    residual: bool = False  # True: add the frame to the head's output; the paper's does not
    head_features: int = 64  # channels of the QP head
    divisor: int = 1  # of all widths but the head's; above 1 the VGG cannot be the trained one

    @property
    def context(self) -> Context:
        """One neighbor on each side; attention sees whole frames."""
        return Context(past=1, future=1, min_side=_MIN_SIDE)

    def setup(self) -> None:
        """The frozen VGG, the branches of both neighbors, and the head."""
        self._check_fields()
        if not self.is_initializing() and not self.has_variable("frozen", "vgg"):
            raise UserError(
                f"pequenet: the frozen {self.backbone} is missing from the variables; start from "
                "a model file, or take it from vqe_jax.weights.load_perceptual"
            )
        self.vgg_params = self.variable("frozen", "vgg", self._initial_vgg)
        widths = tuple(tap_channels(tap, divisor=self.divisor) for tap in _SKIPS)
        self.minus = Branch(self._aligner(), self.attention_depths, widths)
        self.plus = Branch(self._aligner(), self.attention_depths, widths)
        if self.alignment == "flow":
            self.flow = SPyNet()
        self.head = QPHead(self.head_features, self.channels, self.conditioning)

    @property
    def frozen_sources(self) -> dict[str, str]:
        """Which published weights belong under each name of the collection ``frozen``."""
        return {"vgg": self.backbone} if self.divisor == 1 else {}

    def _check_fields(self) -> None:
        if not set(self.attention_depths) <= set(_ALIGNED):
            raise UserError(
                f"pequenet: attention_depths={self.attention_depths}, expected some of 3, 4, 5"
            )
        if self.column_width is not None and self.column_width < _MIN_SIDE:
            raise UserError(
                f"pequenet: column_width={self.column_width}, expected {_MIN_SIDE} pixels or more"
            )

    @property
    def _vgg(self) -> VGG:
        depth, top = _BACKBONES[self.backbone]
        taps = (*_SKIPS, "relu5_1", top)
        # Without a parent, so that its parameters are ours to keep apart.
        return VGG(depth=depth, taps=taps, divisor=self.divisor, parent=None)

    def _initial_vgg(self) -> Any:
        return self._vgg.init(self.make_rng("params"), jnp.zeros((1, 16, 16, 3)))["params"]

    def _aligner(self) -> Callable[..., nn.Module]:
        if self.alignment == "attention":
            return functools.partial(
                AttentionBlock,
                self.attention_method,
                self.attention_block,
                self.attention_downsample,
            )
        return _ALIGNMENTS[self.alignment]

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Clip:
        """Enhances every frame; the neighbors of the first and last are themselves."""
        return self._by_columns(clip, np.arange(clip.shape[1]), side.qp)

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frame in the middle of each window."""
        return self._by_columns(windows, np.array([1]), side.qp)[:, 0]

    def forward_inner(
        self, clip: Clip, *, side: Side, train: bool = False
    ) -> Float[Array, "b n h w c"]:
        """Enhances all frames but the first and the last."""
        return self._by_columns(clip, np.arange(1, clip.shape[1] - 1), side.qp)

    def _by_columns(
        self, clip: Clip, frames: np.ndarray, qp: jax.Array | None
    ) -> Float[Array, "b n h w c"]:
        """Whole frames, or the authors' column tiles, between which nothing is exchanged."""
        width = clip.shape[3]
        edges = list(range(0, width, self.column_width or width))
        if width - edges[-1] < _MIN_SIDE and len(edges) > 1:
            edges.pop()  # too narrow on its own: the column before takes it in
        tiles = zip(edges, [*edges[1:], width], strict=True)
        parts = [self._enhance(clip[:, :, :, a:b], frames, qp) for a, b in tiles]
        return jnp.concatenate(parts, axis=3) if len(parts) > 1 else parts[0]

    def _enhance(
        self, clip: Clip, frames: np.ndarray, qp: jax.Array | None
    ) -> Float[Array, "b n h w c"]:
        """The generator on the frames numbered ``frames``, all in one batch."""
        batch, length = clip.shape[:2]
        rgb = jnp.broadcast_to(clip, (*clip.shape[:-1], 3))
        vgg = self._vgg
        taps = vgg.apply({"params": self.vgg_params.value}, rgb)
        features = dict(zip(vgg.taps, taps, strict=True))

        def at(numbers: np.ndarray) -> dict[str, jax.Array]:
            return {name: _select(x, numbers) for name, x in features.items()}

        target, decoded = at(frames), []
        for branch, shift in ((self.minus, -1), (self.plus, 1)):
            neighbors = np.clip(frames + shift, 0, length - 1)
            flow = self._flow(clip, frames, neighbors)
            decoded.append(branch(target[vgg.taps[-1]], target, at(neighbors), *flow))
        if qp is not None:
            qp = jnp.repeat(qp, len(frames))
        out = self.head(jnp.concatenate(decoded, axis=-1), qp)
        if self.residual:
            out = out + _select(clip, frames)
        return out.reshape(batch, len(frames), *out.shape[1:])

    def _flow(self, clip: Clip, frames: np.ndarray, neighbors: np.ndarray) -> tuple[jax.Array, ...]:
        if self.alignment != "flow":
            return ()
        return (self.flow(_select(clip, frames), _select(clip, neighbors)),)


def _select(x: Float[Array, "b t h w c"], frames: np.ndarray) -> Float[Array, "n h w c"]:
    """Some frames of every clip, as one batch."""
    if not np.array_equal(frames, np.arange(x.shape[1])):
        x = jnp.take(x, frames, axis=1)
    return x.reshape(-1, *x.shape[2:])
