"""What the feature networks ask of a picture, and the errors that say which conversion is missing.

Pictures are floats in [0, 1], ``[..., h, w, 3]`` RGB; one channel (luma) is copied to three.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from vqe_jax.errors import UserError

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Images",
    "check_images",
    "check_pair",
    "standardized",
    "three_channels",
]

# Checked by hand before use, so the annotation admits what the checks refuse by name.
Images = Shaped[jax.Array | np.ndarray, "..."]

# RGB statistics of ImageNet in [0, 1], as torchvision's classifiers were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Rounding in a color conversion may leave the interval by a hair.
_SLACK = 1e-4


def _check_dtype(x: Images, name: str) -> None:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return
    if jnp.issubdtype(x.dtype, jnp.unsignedinteger):
        peak = "255" if x.dtype.itemsize == 1 else "(2 ** bits - 1)"
        raise UserError(
            f"{name} is {x.dtype}, expected floats in [0, 1]: "
            f"convert with {name}.astype('float32') / {peak}"
        )
    raise UserError(f"{name} is {x.dtype}, expected floats in [0, 1]")


def _check_values(x: Images, name: str) -> None:
    if isinstance(x, jax.core.Tracer) or x.size == 0:
        return  # values are not known while a function is being traced
    # A constant that is compared with a traced picture must not become traced by its check.
    with jax.ensure_compile_time_eval():
        low, high = float(x.min()), float(x.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(f"{name} has values that are not finite, expected floats in [0, 1]")
    if low >= -_SLACK and high <= 1 + _SLACK:
        return
    if high > 2:
        way = f"code values? convert with {name} / 255 (or / (2 ** bits - 1))"
    elif low < -0.5:
        way = f"values in [-1, 1]? convert with ({name} + 1) / 2"
    else:
        way = f"clip first with {name}.clip(0, 1)"
    raise UserError(f"{name} has values from {low:g} to {high:g}, expected [0, 1]; {way}")


def check_images(x: Images, name: str, *, min_side: int = 1, reader: str = "the network") -> None:
    """Refuses what would be measured wrongly without a word.

    Args:
      min_side: the smallest height and width, pixels.
      reader: who asks for ``min_side``.

    Raises:
      UserError: integers, values outside [0, 1], another number of channels, or too small.
    """
    _check_dtype(x, name)
    if x.ndim < 3 or x.shape[-1] not in (1, 3):
        raise UserError(
            f"{name} has shape {x.shape}, expected [..., height, width, channels] "
            "with 3 channels (RGB) or 1 (luma)"
        )
    height, width = x.shape[-3:-1]
    if min(height, width) < min_side:
        raise UserError(
            f"{name} is {width}x{height}, but {reader} needs {min_side} pixels on each side; "
            "use larger crops or another metric"
        )
    _check_values(x, name)


def check_pair(
    pred: Images,
    target: Images,
    *,
    names: tuple[str, str] = ("pred", "target"),
    min_side: int = 1,
    reader: str = "the network",
) -> None:
    """Checks both pictures of a comparison, and that they are of one shape.

    Args:
      min_side: the smallest height and width, pixels.
      reader: who asks for ``min_side``.

    Raises:
      UserError: as :func:`check_images`, or different shapes.
    """
    if pred.shape != target.shape:
        raise UserError(
            f"{names[0]} has shape {tuple(pred.shape)} and {names[1]} {tuple(target.shape)}; "
            "expected the same"
        )
    for name, x in zip(names, (pred, target), strict=True):
        check_images(x, name, min_side=min_side, reader=reader)


def standardized(
    x: Float[Array, "*lead 3"],
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
) -> Float[Array, "*lead 3"]:
    """Minus the mean and by the standard deviation of each color."""
    shape = (1,) * (x.ndim - 1) + (3,)
    return (x - jnp.reshape(jnp.asarray(mean), shape)) / jnp.reshape(jnp.asarray(std), shape)


def three_channels(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w 3"]:
    """Copies a single channel to three; three stay as they are."""
    return jnp.repeat(x, 3, axis=-1) if x.shape[-1] == 1 else x
