"""EDVR: alignment by deformable convolutions and attentive fusion (Wang et al., CVPRW 2019).

The published network enlarges by 4 (``upscale=4``): M is ``features=64``, L ``features=128,
reconstruction_blocks=40``. For enhancement at the size of the input there are two forms:
PowerQE's, without the two pixel shuffles (``upscale=1``), and PowerVQE's, which enters by two
strided convolutions and does all its work at a quarter of the size (``strided=True``).
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.nn.edvr import EDVRTrunk
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.residual import Upsample
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = ["EDVR", "apart", "beside"]

# Width of the last layers of the network that enlarges, whatever that of the others.
_UPSAMPLED_FEATURES = 64
_STRIDE = 4  # of both strided convolutions together


class EDVR(WindowNetwork):
    """Aligns the frames of a window to its middle one, fuses them, adds a residual to it.

    Output "offsets": those of the four deformable convolutions, ``[b, t, k, h, w, o]`` in pixels,
    by the names l3, l2, l1 and cascade.
    """

    features: int = 64
    frames: int = 5  # of a window, odd
    deform_groups: int = 8  # features that share offsets
    extraction_blocks: int = 5  # residual blocks on each frame
    reconstruction_blocks: int = 10  # residual blocks after the fusion
    tsa: bool = True  # fuse by temporal and spatial attention; False: by a 1x1 convolution
    channels: int = 3
    upscale: Literal[1, 4] = 1  # 1: enhancement; 4: super-resolution
    strided: bool = False  # with upscale=1: work at a quarter of the size
    predeblur: bool = False  # with strided: the published network for blurred video
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    def __post_init__(self) -> None:
        if self.strided and self.upscale != 1:
            raise UserError("EDVR: strided=True works at the size of its input; it needs upscale=1")
        if self.predeblur and not self.strided:
            raise UserError(
                "EDVR: predeblur=True enters at a quarter of the size; it needs strided=True"
            )
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(
            past=self.frames // 2,
            future=self.frames // 2,
            multiple=16 if self.strided else 4,
            scale=self.upscale,
            outputs=("offsets",),
        )

    def setup(self) -> None:
        """The trunk, and the way back to a picture."""
        self.trunk = EDVRTrunk(
            self.features,
            self.deform_groups,
            self.extraction_blocks,
            self.reconstruction_blocks,
            tsa=self.tsa,
            strided=self.strided,
            predeblur=self.predeblur,
            remat=self.remat,
        )
        last = _UPSAMPLED_FEATURES if self.upscale == 4 else self.features
        enlarges = self.strided or self.upscale == 4
        self.upsample = [Upsample(self.features), Upsample(last)] if enlarges else []
        self.conv_hr = Conv(last)
        self.conv_last = Conv(self.channels)

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """The frames, and the features of each beside them."""
        shown = pixel_unshuffle(frames, _STRIDE) if self.strided else frames
        return beside(shown, self.trunk.extract(frames.astype(self.dtype)))

    def fuse(
        self, made: Float[Array, "n k h w f"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """The residual of the fused features, added to the middle frame."""
        frames, features = apart(made, self.features)
        x, offsets = self.trunk.join(features.astype(self.dtype))
        for upsample in self.upsample:
            x = leaky_relu(upsample(x))
        frame = frames[:, frames.shape[1] // 2]
        frame = pixel_shuffle(frame, _STRIDE) if self.strided else frame
        x = self.conv_last(leaky_relu(self.conv_hr(x))).astype(frame.dtype)
        picture = x + resize_bilinear(frame, (x.shape[1], x.shape[2]))
        return {"picture": picture, "offsets": offsets}


def beside(
    frames: Float[Array, "*lead h w c"], features: Float[Array, "*lead h w f"]
) -> Float[Array, "*lead h w g"]:
    """Frames and their features as channels of one array, in float32."""
    return jnp.concatenate([frames, features.astype(frames.dtype)], axis=-1)


def apart(
    made: Float[Array, "*lead h w g"], features: int
) -> tuple[Float[Array, "*lead h w c"], Float[Array, "*lead h w f"]]:
    """Undoes :func:`beside`."""
    return made[..., :-features], made[..., -features:]
