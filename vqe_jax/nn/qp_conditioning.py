"""Telling a network how hard its input was compressed.

The QP becomes a one-hot vector over the trained QPs, and a dense layer with a softplus turns it
into one factor a channel (PeQuENet, Sec. III-D). Any network can take :class:`QPScale` between a
convolution and its activation to serve all QPs with one set of weights. VIG and STDF do with
``conditioning=Conditioning()`` (``qps`` says for which, ``interpolate`` accepts those between);
such a model is trained on all of them mixed, ``data.config_name=("qp22", "qp27", "qp32", "qp37")``,
and told the QP by ``enhance.py --qp`` or by the bitstream.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.nn.initializers import uniform_bias, uniform_fan_in

__all__ = ["QPS", "Conditioning", "QPConditioning", "QPScale", "check_qp", "qp_weights"]

QPS = (22, 27, 32, 37)  # of the common test conditions, and of every official model


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """The field by which a network says that it is told the QP.

    Attributes:
      interpolate: whether QPs between them are accepted.
    """

    qps: tuple[int, ...] = QPS
    interpolate: bool = False


def check_qp(
    qp: Int[Array | np.ndarray, " b"] | Sequence[int] | int | None,
    *,
    qps: Sequence[int] = QPS,
    interpolate: bool = False,
) -> None:
    """Refuses a QP that a conditioned network was not trained for.

    Args:
      qp: the QPs asked for; None where none was given. Inside a compiled function their values
        are not known and pass (see :func:`qp_weights` for what happens then).
      interpolate: True if QPs between them may be interpolated.

    Raises:
      UserError: no QP, or one that is not covered.
    """
    trained = ", ".join(str(q) for q in qps)
    if qp is None:
        raise UserError(f"qp is missing: this network was trained for QP {trained}; give --qp")
    if isinstance(qp, jax.core.Tracer):
        return
    for value in np.atleast_1d(np.asarray(qp)).tolist():
        if interpolate and not qps[0] <= value <= qps[-1]:
            raise UserError(
                f"qp is {value}, expected {qps[0]} to {qps[-1]}: the network was trained for QP "
                f"{trained} and nothing lies beyond to interpolate with"
            )
        if not interpolate and value not in qps:
            raise UserError(
                f"qp is {value}, expected one of {trained}; take the nearest of them, or "
                "interpolate with conditioning.interpolate=True"
            )


def qp_weights(
    qp: Int[Array, " b"], *, qps: Sequence[int] = QPS, interpolate: bool = False
) -> Float[Array, "b n"]:
    """How much of each trained QP a clip's QP is; rows sum to one.

    Args:
      interpolate: share the weight linearly between the two neighbors; otherwise one-hot.

    Returns:
      Weights over ``qps``. A QP that is not covered gives NaN, so that a mistake which a
      compiled function cannot report is never taken for a picture.

    Example:
      >>> [float(w) for w in qp_weights(jnp.array([24]), interpolate=True)[0]]
      [0.6000000238418579, 0.4000000059604645, 0.0, 0.0]
    """
    trained = jnp.asarray(qps, jnp.float32)
    value = qp.astype(jnp.float32)[:, None]
    if interpolate:
        identity = jnp.eye(len(qps), dtype=jnp.float32)
        weights = jax.vmap(lambda row: jnp.interp(value[:, 0], trained, row), out_axes=1)(identity)
        covered = (value >= trained[0]) & (value <= trained[-1])
    else:
        weights = (value == trained[None]).astype(jnp.float32)
        covered = weights.any(axis=-1, keepdims=True)
    return jnp.where(covered, weights, jnp.nan)


class QPConditioning(nn.Module):
    """A vector of positive factors for each clip's QP."""

    features: int  # length of the vector
    qps: tuple[int, ...] = QPS  # trained QPs, ascending
    interpolate: bool = False  # accept QPs between them

    @nn.compact
    def __call__(self, qp: Int[Array, " b"] | None) -> Float[Array, "b f"]:
        """The factors.

        Raises:
          UserError: no QP; or, outside of compiled functions, one that is not covered.
        """
        check_qp(qp, qps=self.qps, interpolate=self.interpolate)
        assert qp is not None
        weights = qp_weights(qp, qps=self.qps, interpolate=self.interpolate)
        bias = uniform_bias(len(self.qps))
        dense = nn.Dense(self.features, kernel_init=uniform_fan_in(), bias_init=bias, name="dense")
        return nn.softplus(dense(weights))


class QPScale(nn.Module):
    """Multiplies features by their clip's factors, one a channel.

    Example:
      >>> x = jnp.ones((2, 5, 8, 8, 16))  # [b, t, h, w, c]
      >>> QPScale().init_with_output(jax.random.key(0), x, jnp.array([22, 37]))[0].shape
      (2, 5, 8, 8, 16)
    """

    qps: tuple[int, ...] = QPS  # trained QPs, ascending
    interpolate: bool = False  # accept QPs between them
    blocks: int = 1  # side of the blocks of pixels that maps hold in their channels

    @nn.compact
    def __call__(
        self, x: Float[Array, "b *rest c"], qp: Int[Array, " b"] | None
    ) -> Float[Array, "b *rest c"]:
        """The features, weighted by channel."""
        area = self.blocks**2
        vector = QPConditioning(
            x.shape[-1] // area, self.qps, self.interpolate, name="conditioning"
        )
        factors = jnp.repeat(vector(qp), area, axis=-1)
        shape = (x.shape[0],) + (1,) * (x.ndim - 2) + (x.shape[-1],)
        return x * factors.reshape(shape).astype(x.dtype)
