"""Deformable convolution (v1 and v2) and deformable sampling, in plain JAX.

Every output pixel reads its taps at positions of its own: where a convolution reads the pixel at
``y * stride - padding + ky * dilation``, these read that plus an offset, by bilinear
interpolation, optionally times a mask (the "modulated" convolution of Deformable ConvNets v2,
eq. 1). Channels are divided into offset groups, consecutive channels sharing offsets.

Conventions: NHWC; offsets are **(dy, dx) in pixels**, taps row by row; frames are zero outside,
and each of the four corners of a sample counts on its own, so that samples up to one pixel
outside still see the border pixels. These are the rules of ``torchvision.ops.deform_conv2d`` and of
the CUDA code of the papers; :func:`offsets_from_torch` reorders their channels.

Nothing but ``jax.lax`` is used: it runs on the CPU, on GPUs and on TPUs, under ``jit``, ``vmap``,
``grad``, ``remat`` and sharding over the batch. The gradient is a custom one that keeps the inputs
only and gathers again, in chunks of rows, so that columns never exist for the whole frame; it is
reverse-mode only.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from vqe_jax.errors import UserError
from vqe_jax.ops.deform_core import Geometry, default_rows, default_unroll, deform

__all__ = ["deform_conv2d", "offsets_from_torch"]

_Pair = int | tuple[int, int]
# Typed loosely: another type or rank is a user's mistake that gets a sentence.
_Loose = Num[Array, "..."]


def deform_conv2d(
    x: Float[Array, "b h w c"],
    offset: _Loose,
    kernel: Float[Array, "kh kw ci o"],
    mask: _Loose | None = None,
    *,
    stride: _Pair = 1,
    padding: _Pair = 0,
    dilation: _Pair = 1,
    groups: int = 1,
    rows: int | None = None,
) -> Float[Array, "b _ _ o"]:
    """Deformable 2-D convolution: v2 with a mask, v1 without.

    Args:
      x: frames, float32 or bfloat16.
      offset: ``[b, ho, wo, g, k, 2]``, (dy, dx) in pixels for every output pixel, offset group
        and tap (``k = kh * kw``, row by row); any size, positions outside the frame read zeros.
        Positions are computed in float32 even where ``x`` is bfloat16.
      kernel: HWIO; its third axis is ``c / groups``.
      mask: factor of every sample, usually a sigmoid, ``[b, ho, wo, g, k]``; None for ones.
      stride: pixels between outputs; this and the next two: one number or (vertical, horizontal).
      padding: pixels of zeros on every side.
      dilation: pixels between taps.
      groups: convolution groups, as ``feature_group_count``; independent of the offset groups,
        whose number is the fourth axis of ``offset``.
      rows: output rows computed at a time, to bound memory; None chooses from the size.

    Returns:
      ``[b, ho, wo, o]`` in the type of ``x``, without a bias. A NaN offset makes its own output
      pixel NaN and no other.

    Raises:
      UserError: shapes or types that do not fit together; names the numbers and the rule.

    Source: Zhu et al., "Deformable ConvNets v2", 2019, eq. 1; Dai et al., "Deformable
    Convolutional Networks", 2017, eqs. 2 to 4.

    Example:
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
      >>> offset = jnp.zeros((1, 4, 4, 1, 9, 2)).at[..., 1].set(1.0)
      >>> deform_conv2d(x, offset, kernel, padding=1)[0, 1, :, 0].tolist()  # one pixel right
      [5.0, 6.0, 7.0, 0.0]
    """
    c, out = x.shape[-1], kernel.shape[-1]
    if groups < 1 or c % groups or out % groups:
        raise UserError(
            f"groups={groups} must divide the {c} channels of x and the {out} of the output"
        )
    if kernel.shape[2] != c // groups:
        raise UserError(
            f"kernel {kernel.shape} takes {kernel.shape[2]} channels a group, but x has {c} "
            f"channels in {groups} group(s): expected kernel.shape[2] == {c // groups}"
        )
    _check_float("kernel", kernel)
    pairs = _pair(stride), _pair(padding), _pair(dilation)
    geometry = _geometry(x, offset, mask, kernel.shape[:2], pairs, groups, rows)
    return deform(x, offset, mask, kernel.astype(x.dtype), geometry)


def offsets_from_torch(
    channels: Float[Array, "b ho wo n"], offset_groups: int
) -> Float[Array, "b ho wo g k 2"]:
    """Gives the offset channels of a PyTorch network the axes used here.

    Args:
      channels: ``2 * k`` channels a group in the order of torchvision and mmcv: group, tap, then
        dy before dx. (NHWC: move the channels of a PyTorch tensor last first.)

    Returns:
      The same numbers as ``[b, ho, wo, group, tap, 2]``.

    Raises:
      UserError: a number of channels that does not divide.

    Example:
      >>> offsets_from_torch(jnp.zeros((1, 4, 4, 36)), 2).shape
      (1, 4, 4, 2, 9, 2)
    """
    n = channels.shape[-1]
    if offset_groups < 1 or n % (2 * offset_groups):
        raise UserError(
            f"{n} offset channels do not divide into {offset_groups} offset groups of (dy, dx)"
        )
    return channels.reshape(*channels.shape[:-1], offset_groups, n // (2 * offset_groups), 2)


def _pair(value: _Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _check_float(name: str, array: Array) -> None:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(f"{name} is {array.dtype}; expected a floating point type")


def _output_size(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, ...]:
    for name, pair, least in (
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("dilation", dilation, 1),
    ):
        if min(pair) < least:
            raise UserError(f"{name}={pair} must be at least {least}")
    result = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(result) < 1:
        raise UserError(
            f"a {kernel[0]}x{kernel[1]} kernel with dilation {dilation} does not fit into frames "
            f"of {size[0]}x{size[1]} with padding {padding}"
        )
    return result


def _geometry(
    x: Array,
    offset: Array,
    mask: Array | None,
    kernel: tuple[int, ...],
    pairs: tuple[tuple[int, int], tuple[int, int], tuple[int, int]],
    groups: int,
    rows: int | None,
) -> Geometry:
    """Checks what can be checked before anything runs; ``pairs``: stride, padding, dilation."""
    size = (kernel[0], kernel[1])
    b, h, w, c = x.shape
    ho, wo = _output_size((h, w), size, *pairs)
    taps = size[0] * size[1]
    for name, array in (("x", x), ("offset", offset), ("mask", mask)):
        if array is not None:
            _check_float(name, array)
    g = offset.shape[3] if offset.ndim == 6 else 0
    if offset.shape != (b, ho, wo, g, taps, 2):
        raise UserError(
            f"offset has shape {offset.shape}; expected (batch, height, width, offset groups, "
            f"taps, 2) = ({b}, {ho}, {wo}, any, {taps}, 2) for x {x.shape} and a "
            f"{size[0]}x{size[1]} kernel (offsets_from_torch reorders PyTorch's channels)"
        )
    if g < 1 or c % g:
        raise UserError(f"the {g} offset groups of offset must divide the {c} channels of x")
    if mask is not None and mask.shape != offset.shape[:-1]:
        raise UserError(
            f"mask has shape {mask.shape}; expected that of offset, {offset.shape[:-1]}"
        )
    if (h + 2) * (w + 2) * g >= 2**31:
        raise UserError(f"{h}x{w} frames with {g} offset groups exceed 32-bit indices; use tiles")
    if rows is not None and rows < 1:
        raise UserError(f"rows={rows} must be at least 1, or None to choose from the size")
    chosen = default_rows(4 * b * ho * wo * taps * c, ho)
    if rows is not None:
        chosen = (min(rows, ho), min(rows, ho))
    return Geometry(size, *pairs, groups, chosen, default_unroll())
