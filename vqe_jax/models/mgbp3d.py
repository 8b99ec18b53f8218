"""MGBP-3D of the BOE-IOT-AIBD team (NTIRE 2021, section 4.10, Fig. 10): back-projection on grids.

Features of the clip at five sizes; what is refined at a size is compared, one size below, with
what the clip itself shows there, and the difference is projected back (Navarrete Michelini et al.,
"Multi-grid back-projection networks", JSTSP 2021). Never released; docs/decisions.md says what the
text leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Outputs, Side
from vqe_jax.nn.layers import leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.spacetime import SpaceTimeConv, SpaceTimeConvTranspose
from vqe_jax.ops.pool import average_pool

__all__ = ["MGBP3D", "MultiGrid", "content_noise"]

Clip = Float[Array, "b t h w c"]
Maps = Float[Array, "b t h w f"]


class MultiGrid(nn.Module):
    """Recursive back-projection: ``u <- u + Up(y - BP(Down(u)))``, twice at a size.

    ``y`` are the features of the clip at the size below. No two Up or Down share parameters.
    """

    channels: int  # of the result
    widths: tuple[int, ...]  # features at each size, from the largest
    steps: int  # back-projections at a size
    cycle: Literal["w", "v"]  # "v": only the largest size has more than one
    taps: int

    @nn.compact
    def __call__(self, clip: Clip) -> Float[Array, "b t h w d"]:
        """Analysis at all sizes, the recursion, synthesis at the largest."""
        features = []
        for k, width in enumerate(self.widths):
            features.append(SpaceTimeConv(width, taps=self.taps, name=f"analysis{k}")(clip))
            clip = average_pool(clip, 2, stride=2) if k < len(self.widths) - 1 else clip
        x = self._projected(0, features[0], features, "")
        return SpaceTimeConv(self.channels, taps=self.taps, name="synthesis")(x)

    def _projected(self, level: int, u: Maps, features: list[Array], path: str) -> Maps:
        """The block at a size; ``path`` numbers the steps that led here."""
        if level == len(self.widths) - 1:
            return u
        steps = self.steps if level == 0 or self.cycle == "w" else 1
        for step in range(steps):
            here = f"{path}{step}"
            down = SpaceTimeConv(
                self.widths[level + 1], taps=self.taps, stride=2, name=f"down{here}"
            )
            below = self._projected(level + 1, leaky_relu(down(u)), features, here)
            up = SpaceTimeConvTranspose(self.widths[level], taps=self.taps, name=f"up{here}")
            u = u + leaky_relu(up(features[level + 1] - below))
        return u


class MGBP3D(Network):
    """Restores patches of a few frames; the patches that hold a frame are averaged.

    With ``noise`` it has a channel of Gaussian noise that switches details on, and an output
    "quiet": the picture at amplitude 0, whatever that of the picture.
    """

    frames: int = 5  # of a patch in time; patches start at every frame
    widths: tuple[int, ...] = (16, 24, 32, 48, 64)  # features at each size, from the largest
    steps: int = 2  # back-projection blocks at a size
    cycle: Literal["w", "v"] = "w"  # "v": two at full size alone
    taps: int = 3  # of the kernels in time, odd
    window: Literal["hamming", "uniform"] = "hamming"  # weight of a patch's frames
    noise: bool = False  # the perceptual track's channel
    amplitude: float = 1.0  # of the noise in the picture
    channels: int = 3
    remat: bool | None = None  # recompute in the backward pass; None: where memory asks

    def __post_init__(self) -> None:
        if self.frames < 1 or self.taps % 2 == 0:
            raise UserError(
                f"MGBP3D: frames={self.frames} must be at least 1, taps={self.taps} odd"
            )
        super().__post_init__()

    @property
    def context(self) -> Context:
        """All patches that hold a frame; five sizes of kernels reach far, tiles are blended."""
        return Context(
            past=self.frames - 1,
            future=self.frames - 1,
            multiple=2 ** (len(self.widths) - 1),
            outputs=("quiet",) if self.noise else (),
        )

    def setup(self) -> None:
        """The network of a patch."""
        module = recomputed(self.remat)(MultiGrid)
        self.grid = module(self.channels, self.widths, self.steps, self.cycle, self.taps)

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Outputs:
        """Training sees a clip as one patch; otherwise patches are averaged over time."""
        if train:
            return self.patch(clip)
        reach = self.frames - 1
        ends = [(0, 0), (reach, reach), *[(0, 0)] * 3]
        return self.forward_inner(jnp.pad(clip, ends, mode="edge"), side=side)

    def forward_inner(self, clip: Clip, *, side: Side, train: bool = False) -> Outputs:
        """The frames that whole patches surround."""
        size, starts = self.frames, clip.shape[1] - self.frames + 1
        patches = jnp.stack([clip[:, i : i + size] for i in range(starts)], axis=1)
        made = self.patch(patches.reshape(-1, *patches.shape[2:]))
        weight = np.hamming(size) if self.window == "hamming" else np.ones(size)
        weight = weight / weight.sum()
        count = starts - size + 1

        def averaged(x: Float[Array, "m k h w c"]) -> Clip:
            x = x.reshape(*patches.shape[:3], *x.shape[2:])
            places = (x[:, size - 1 - k : size - 1 - k + count, k] for k in range(size))
            return sum(
                (float(w) * place for w, place in zip(weight, places, strict=True)),
                start=jnp.zeros((), x.dtype),
            )

        return {name: averaged(x) for name, x in made.items()}

    def patch(self, clip: Clip) -> Outputs:
        """A patch with all outputs; those that nobody looks at are not computed once compiled."""
        if not self.noise:
            return {"picture": clip + self.grid(clip)}
        noise = content_noise(clip)

        def at(amplitude: float) -> Clip:
            return clip + self.grid(jnp.concatenate([clip, amplitude * noise], axis=-1))

        return {"picture": at(self.amplitude), "quiet": at(0.0)}


def content_noise(clip: Clip) -> Float[Array, "b t h w 1"]:
    """Gaussian noise that is a function of each frame's pixels alone.

    So it differs from frame to frame, and is the same in every patch, piece of a stream and run.
    """
    bits = lax.bitcast_convert_type(clip.astype(jnp.float32), jnp.uint32)
    seeds = jnp.sum(bits, axis=(2, 3, 4), dtype=jnp.uint32).reshape(-1)
    key = jax.random.key(0)

    def draw(seed: Array) -> Array:
        return jax.random.normal(jax.random.fold_in(key, seed), clip.shape[2:4], jnp.float32)

    noise = jax.vmap(draw)(seeds).reshape(*clip.shape[:4], 1)
    return noise.astype(clip.dtype)
