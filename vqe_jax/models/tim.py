"""Three stages of an anonymous team: imposed textures, EDVR, sharpened edges (NTIRE 2021, track 2).

Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods and Results",
CVPRW 2021, sec. 4.11 and Fig. 11. Never released; docs/decisions.md says what the text leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.edvr import EDVR
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import Upsample
from vqe_jax.ops.filters import edge_strength, gaussian_blur

__all__ = ["TIM", "TextureImposition"]

Maps = Float[Array, "n h w f"]


class TIM(WindowNetwork):
    """Each frame's textures, five frames' alignment, sharper edges.

    Outputs: "texture" (the middle frame after stage I), "aligned" (after stage II), "sharp".
    """

    channels: int = 3
    output: Literal["sharp", "aligned", "texture"] = "sharp"  # which result is the picture
    features: int = 64  # of the texture module at full size; doubled from level to level
    levels: int = 3  # times that its U-Net halves the size
    affine: Literal["one_plus", "plain"] = "one_plus"  # "plain": the factor itself
    skips: Literal["affine", "both"] = "affine"  # "both": the encoder's features are joined too
    frames: int = 5  # of EDVR's window, odd
    edvr_features: int = 128
    deform_groups: int = 8
    extraction_blocks: int = 5  # residual blocks on each frame
    reconstruction_blocks: int = 40  # residual blocks after the fusion
    sharpness: float = 1.0  # of the difference that is added at the strongest edges
    sigma: float = 1.0  # of the blur, pixels
    edge_scale: float = 0.25  # of Sobel's gradient that counts as a full edge, per pixel
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """EDVR's window; the first stage alone needs no neighbors."""
        radius = 0 if self.output == "texture" else self.frames // 2
        return Context(
            past=radius,
            future=radius,
            multiple=max(16, 2**self.levels),
            outputs=("texture",) if self.output == "texture" else ("texture", "aligned", "sharp"),
        )

    def setup(self) -> None:
        """The two stages that learn."""
        wrap = recomputed(self.remat)
        self.texture = wrap(TextureImposition)(
            self.channels, self.features, self.levels, self.affine, self.skips
        )
        self.edvr = EDVR(
            channels=self.channels,
            features=self.edvr_features,
            frames=self.frames,
            deform_groups=self.deform_groups,
            extraction_blocks=self.extraction_blocks,
            reconstruction_blocks=self.reconstruction_blocks,
            strided=True,
            predeblur=True,
            remat=self.remat,
            dtype=self.dtype,
        )

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w c"]:
        """Stage I."""
        flat = frames.reshape(-1, *frames.shape[-3:])
        textures = self.texture(flat.astype(self.dtype)).astype(frames.dtype)
        return frames + textures.reshape(frames.shape)

    def fuse(
        self, made: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """Stages II and III, where they are asked for."""
        textured = made[:, made.shape[1] // 2]
        if self.output == "texture":
            if self.is_initializing():  # the other stages' parameters are there all the same
                self.edvr.enhance(jnp.repeat(made, self.frames, axis=1), side, train=train)
            return {"picture": textured, "texture": textured}
        aligned = self.edvr.enhance(made, side, train=train)["picture"]
        found = {"texture": textured, "aligned": aligned, "sharp": self._sharpened(aligned)}
        return {**found, "picture": found[self.output]}

    def _sharpened(self, frames: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Unsharp masking where there are edges: stage III."""
        difference = frames - gaussian_blur(frames, self.sigma)
        edges = jnp.minimum(edge_strength(frames) / self.edge_scale, 1.0)
        return frames + self.sharpness * edges * difference


class TextureImposition(nn.Module):
    """A U-Net whose decoder is scaled and shifted place by place, as its encoder says."""

    channels: int
    features: int
    levels: int
    affine: Literal["one_plus", "plain"]
    skips: Literal["affine", "both"]

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """The textures of each frame, to be added to it."""
        guides = []
        for k in range(self.levels):
            x = self._pair(x, self.features * 2**k, f"down{k}")
            guides.append(x)
            width = self.features * 2 ** (k + 1)
            x = leaky_relu(Conv(width, stride=2, padding=1, name=f"strided{k}")(x))
        x = self._pair(x, x.shape[-1], "bottom")
        for k in reversed(range(self.levels)):
            width = self.features * 2**k
            x = leaky_relu(Upsample(width, name=f"shuffled{k}")(x))
            x = self._imposed(x, guides[k], f"affine{k}")
            x = jnp.concatenate([x, guides[k]], axis=-1) if self.skips == "both" else x
            x = self._pair(x, width, f"up{k}")
        return Conv(self.channels, name="last")(x)

    def _imposed(self, x: Maps, guide: Maps, name: str) -> Maps:
        """Factors and summands from two convolutions each, the first of which they share."""
        hidden = leaky_relu(Conv(x.shape[-1], name=f"{name}_hidden")(guide))
        factor = Conv(x.shape[-1], name=f"{name}_factor")(hidden)
        factor = 1 + factor if self.affine == "one_plus" else factor
        return x * factor + Conv(x.shape[-1], name=f"{name}_shift")(hidden)

    def _pair(self, x: Float[Array, "n h w i"], width: int, name: str) -> Maps:
        x = leaky_relu(Conv(width, name=f"{name}_conv1")(x))
        return leaky_relu(Conv(width, name=f"{name}_conv2")(x))
