"""Pictures to look at while training: what the network makes of a crop."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.codes import to_codes
from vqe_jax.files import replacing
from vqe_jax.video import Frame, PixelFormat
from vqe_jax.video.png import encode_png

__all__ = ["side_by_side", "write_sample"]


def side_by_side(*pictures: Float[Array, "h w c"]) -> Float[Array, "h w2 c"]:
    """Pictures in a row, clipped to [0, 1]."""
    return jnp.clip(jnp.concatenate(pictures, axis=1), 0, 1)


def write_sample(path: Path, picture: Float[np.ndarray, "h w c"]) -> None:
    """Writes a PNG file; parent folders are made.

    Args:
      picture: 1 channel (gray) or 3 (RGB), in [0, 1].
    """
    codes = to_codes(picture)
    kind = "gray" if codes.shape[-1] == 1 else "rgb"
    planes = tuple(np.ascontiguousarray(codes[..., c]) for c in range(codes.shape[-1]))
    with replacing(path) as part:
        part.write_bytes(encode_png(Frame(planes, PixelFormat(8, kind))))
