"""Global attention, exactly, without ever holding all of its scores.

The softmax runs over blocks of keys (online softmax: Milakov and Gimelshein, arXiv 1805.02867;
Rabe and Staats, arXiv 2112.05682) and the backward pass recomputes the scores from their
logarithmic sum (FlashAttention, arXiv 2205.14135), so memory grows with the number of positions
and not with its square. Scores are plain products: PeQuENet does not divide by the root of d.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.nn.layers import Conv

__all__ = [
    "AttentionBlock",
    "attend",
    "blockwise_attention",
    "choose_block_size",
    "dense_attention",
    "library_attention",
]

Method = Literal["auto", "dense", "blockwise", "library"]

# Bytes of scores that are alive at once. Large blocks keep an accelerator busy; on a CPU they
# should stay in its cache.
_BLOCK_BYTES = {"cpu": 2**22}
_BLOCK_BYTES_ELSEWHERE = 2**26


def _block_bytes() -> int:
    return _BLOCK_BYTES.get(jax.default_backend(), _BLOCK_BYTES_ELSEWHERE)


def choose_block_size(length: int, batch: int = 1, *, budget: int | None = None) -> int:
    """Side of the square blocks of scores that fits a memory budget.

    Args:
      batch: how many maps are attended to at once.
      budget: bytes of float32 scores to hold at once; None takes what suits the backend.

    Returns:
      A size such that the blocks are as equal as they can be, hence little is padded.

    Example:
      >>> choose_block_size(24_960, budget=2**26), choose_block_size(100, budget=2**26)
      (3568, 104)
    """
    side = math.isqrt((budget or _block_bytes()) // (4 * batch))
    blocks = -(-length // max(side, 64))
    return -(-length // (8 * blocks)) * 8


def dense_attention(
    query: Float[Array, "b n d"], key: Float[Array, "b m d"], value: Float[Array, "b m c"]
) -> Float[Array, "b n c"]:
    """``softmax(query @ key.T) @ value`` as it is written: holds all ``n * m`` scores."""
    scores = jnp.einsum("bnd,bmd->bnm", query, key)
    return jnp.einsum("bnm,bmc->bnc", jax.nn.softmax(scores, axis=-1), value)


def library_attention(
    query: Float[Array, "b n d"],
    key: Float[Array, "b m d"],
    value: Float[Array, "b m c"],
    *,
    implementation: Literal["xla", "cudnn"] | None = None,
) -> Float[Array, "b n c"]:
    """The same through :func:`jax.nn.dot_product_attention`.

    The library wants one width for queries, keys and values. Zeros widen the queries and keys;
    a wider value is cut into heads that share the scores. cuDNN's kernel takes 16-bit floats
    and widths up to 128 (256 on Hopper), so it is not an exact replacement in float32.

    Args:
      implementation: the library's kernel; None leaves the choice to it.
    """
    depth, width = query.shape[-1], value.shape[-1]
    heads = -(-width // depth)
    size = max(depth, -(-width // heads))
    widened = [jnp.pad(x, ((0, 0), (0, 0), (0, size - depth))) for x in (query, key)]
    value = jnp.pad(value, ((0, 0), (0, 0), (0, heads * size - width)))
    q, k = (jnp.repeat(x[:, :, None], heads, axis=2) for x in widened)
    v = value.reshape(*value.shape[:2], heads, size)
    out = jax.nn.dot_product_attention(q, k, v, scale=1.0, implementation=implementation)
    return out.reshape(*out.shape[:2], heads * size)[..., :width]


def _split(x: jax.Array, size: int) -> jax.Array:
    """``[b, n, ...] -> [blocks, b, size, ...]``, the last block filled with zeros."""
    blocks = -(-x.shape[1] // size)
    rest = [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, [(0, 0), (0, blocks * size - x.shape[1]), *rest])
    return jnp.moveaxis(x.reshape(x.shape[0], blocks, size, *x.shape[2:]), 1, 0)


def _join(x: jax.Array, length: int) -> jax.Array:
    """Undoes :func:`_split`."""
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], -1, *x.shape[3:])[:, :length]


def _real_positions(length: int, size: int) -> jax.Array:
    """Which places of the blocks of :func:`_split` hold data: ``bool[blocks, size]``."""
    blocks = -(-length // size)
    return (jnp.arange(blocks * size) < length).reshape(blocks, size)


def _scores(query: jax.Array, key: jax.Array, real: jax.Array) -> jax.Array:
    scores = jnp.einsum("bnd,bmd->bnm", query, key, preferred_element_type=jnp.float32)
    return jnp.where(real[None, None, :], scores, -jnp.inf)


def _forward(
    query: jax.Array, key: jax.Array, value: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """The result ``[b, n, c]`` and the logarithm of each softmax's denominator ``[b, n]``."""
    keys = (_split(key, size), _split(value, size), _real_positions(key.shape[1], size))

    def one_block(block: jax.Array) -> tuple[jax.Array, jax.Array]:
        def update(state: tuple[jax.Array, ...], part: tuple[jax.Array, ...]) -> Any:
            highest, total, mixed = state
            k, v, real = part
            scores = _scores(block, k, real)
            new_highest = jnp.maximum(highest, scores.max(axis=-1))
            weights = jnp.exp(scores - new_highest[..., None])
            shrink = jnp.exp(highest - new_highest)
            total = total * shrink + weights.sum(axis=-1)
            mixed = mixed * shrink[..., None] + jnp.einsum(
                "bnm,bmc->bnc", weights, v.astype(jnp.float32)
            )
            return (new_highest, total, mixed), None

        shape = block.shape[:2]
        start = (
            jnp.full(shape, -jnp.inf, jnp.float32),
            jnp.zeros(shape, jnp.float32),
            jnp.zeros((*shape, value.shape[-1]), jnp.float32),
        )
        (highest, total, mixed), _ = lax.scan(update, start, keys)
        return (mixed / total[..., None]).astype(value.dtype), highest + jnp.log(total)

    out, log_sum = lax.map(one_block, _split(query, size))
    return _join(out, query.shape[1]), _join(log_sum, query.shape[1])


def _backward(
    size: int, saved: tuple[jax.Array, ...], gradient: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Gradients to query, key and value; the scores are computed again, block by block."""
    query, key, value, out, log_sum = saved
    n, m = query.shape[1], key.shape[1]
    gradient = gradient.astype(jnp.float32)
    inner = (gradient * out.astype(jnp.float32)).sum(axis=-1)
    queries = tuple(_split(x, size) for x in (query, gradient, log_sum, inner))

    def one_block(d_query: jax.Array, part: tuple[jax.Array, ...]) -> Any:
        k, v, real = part

        def update(state: tuple[jax.Array, jax.Array], rows: tuple[jax.Array, ...]) -> Any:
            d_key, d_value = state
            q, g, row_log_sum, row_inner = rows
            weights = jnp.exp(_scores(q, k, real) - row_log_sum[..., None])
            d_value += jnp.einsum("bnm,bnc->bmc", weights, g)
            d_weights = jnp.einsum("bnc,bmc->bnm", g, v.astype(jnp.float32))
            d_scores = weights * (d_weights - row_inner[..., None])
            d_key += jnp.einsum("bnm,bnd->bmd", d_scores, q.astype(jnp.float32))
            return (d_key, d_value), jnp.einsum("bnm,bmd->bnd", d_scores, k.astype(jnp.float32))

        start = (jnp.zeros(k.shape, jnp.float32), jnp.zeros(v.shape, jnp.float32))
        (d_key, d_value), d_rows = lax.scan(update, start, queries)
        return d_query + d_rows, (d_key, d_value)

    keys = (_split(key, size), _split(value, size), _real_positions(m, size))
    start = jnp.zeros(queries[0].shape, jnp.float32)
    d_query, (d_key, d_value) = lax.scan(one_block, start, keys)
    return (
        _join(d_query, n).astype(query.dtype),
        _join(d_key, m).astype(key.dtype),
        _join(d_value, m).astype(value.dtype),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _blockwise(query: jax.Array, key: jax.Array, value: jax.Array, size: int) -> jax.Array:
    return _forward(query, key, value, size)[0]


def _blockwise_forward(
    query: jax.Array, key: jax.Array, value: jax.Array, size: int
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    out, log_sum = _forward(query, key, value, size)
    return out, (query, key, value, out, log_sum)


_blockwise.defvjp(_blockwise_forward, _backward)


def blockwise_attention(
    query: Float[Array, "b n d"],
    key: Float[Array, "b m d"],
    value: Float[Array, "b m c"],
    *,
    block_size: int | None = None,
) -> Float[Array, "b n c"]:
    """:func:`dense_attention` with memory for one block of scores, in both directions.

    Accumulates in float32 whatever the inputs' type. Only first derivatives are defined.

    Args:
      block_size: side of the square blocks; None chooses by the number of positions.

    Example:
      >>> x = jax.random.normal(jax.random.key(0), (1, 10, 4))
      >>> close = jnp.allclose(
      ...     blockwise_attention(x, x, x, block_size=3), dense_attention(x, x, x), atol=1e-5)
      >>> bool(close)
      True
    """
    size = block_size or choose_block_size(max(query.shape[1], key.shape[1]), query.shape[0])
    return _blockwise(query, key, value, size)


def attend(
    query: Float[Array, "b n d"],
    key: Float[Array, "b m d"],
    value: Float[Array, "b m c"],
    *,
    method: str = "auto",
    block_size: int | None = None,
) -> Float[Array, "b n c"]:
    """``softmax(query @ key.T) @ value`` by the method asked for; all give the same result.

    Args:
      method: ``"dense"``, ``"blockwise"``, ``"library"``, or ``"auto"``: dense where all scores
        fit into one block.
      block_size: of the blockwise form; None chooses.

    Raises:
      UserError: an unknown method.
    """
    if method == "auto":
        scores = 4 * query.shape[0] * query.shape[1] * key.shape[1]
        method = "dense" if scores <= _block_bytes() else "blockwise"
    if method == "dense":
        return dense_attention(query, key, value)
    if method == "blockwise":
        return blockwise_attention(query, key, value, block_size=block_size)
    if method == "library":
        return library_attention(query, key, value)
    raise UserError(
        f"attention method is {method!r}, expected 'auto', 'dense', 'blockwise' or 'library'"
    )


def _mean_pool(x: jax.Array, factor: int) -> jax.Array:
    """Mean over ``factor`` x ``factor`` pixels; windows that overhang count what is there."""
    h, w = x.shape[1:3]
    overhang = [(0, 0), (0, -h % factor), (0, -w % factor), (0, 0)]
    window = (1, factor, factor, 1)

    def total(values: jax.Array) -> jax.Array:
        zero = jnp.zeros((), values.dtype)
        return lax.reduce_window(values, zero, lax.add, window, window, overhang)

    return total(x) / total(jnp.ones_like(x[:1, ..., :1]))


class AttentionBlock(nn.Module):
    """Aligns a neighbor's features to the target's by global attention (PeQuENet, Sec. III-B).

    Queries come from the target, keys from the neighbor, each through its own 1x1 convolution
    to half the channels and a ReLU; values are the neighbor's features themselves. With
    ``downsample`` both maps are mean-pooled first and the result is resized bilinearly, the
    experiment of Fig. 14, whose operator the paper leaves open.
    """

    method: str = "auto"  # "auto", "dense", "blockwise" or "library"
    block_size: int | None = None  # side of a block of scores; None chooses
    downsample: int = 1  # attend between maps smaller by this factor (1, 2, 4, 6)

    @nn.compact
    def __call__(
        self, target: Float[Array, "b h w c"], reference: Float[Array, "b h2 w2 c"]
    ) -> Float[Array, "b h w c"]:
        """The reference's features, rearranged to match the target."""
        height, width, channels = target.shape[1:]
        if self.downsample > 1:
            target, reference = (_mean_pool(x, self.downsample) for x in (target, reference))
        query = nn.relu(Conv(channels // 2, 1, name="proj_target")(target))
        key = nn.relu(Conv(channels // 2, 1, name="proj_reference")(reference))
        b, h, w, _ = target.shape
        out = attend(
            query.reshape(b, h * w, -1),
            key.reshape(b, -1, channels // 2),
            reference.reshape(b, -1, channels),
            method=self.method,
            block_size=self.block_size,
        ).reshape(b, h, w, channels)
        if self.downsample == 1:
            return out
        grown = (b, h * self.downsample, w * self.downsample, channels)
        return jax.image.resize(out, grown, "linear")[:, :height, :width]
