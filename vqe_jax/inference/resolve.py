"""What may be given as "a model", and the frames that all of inference takes."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.weights import ModelFile, load_model

__all__ = ["Frame", "Model", "Ready", "check_frame", "qp_array", "resolve"]

# [h, w, c], float in [0, 1]. Typed loosely, because integers and wrong ranks are mistakes of users
# that get a sentence (check_frame), not a type error.
Frame = Num[np.ndarray, "..."] | Num[Array, "..."]


@dataclasses.dataclass(frozen=True)
class Ready:
    """A network that can run.

    Attributes:
      state_limit: the largest root mean square its state may have, where the model file says so
        (``extra["state_limit"]``).
    """

    network: Network
    variables: Any
    state_limit: float | None = None


# A packaged name or path, a loaded file, a module with its variables, or a module.
Model = str | os.PathLike[str] | ModelFile | Ready | tuple[Network, Any] | Network


def resolve(model: Model, variables: Any = None) -> Ready:
    """The module and its variables on the device.

    Args:
      model: a packaged name, a path, a :class:`ModelFile`, ``(module, variables)`` or a module.
      variables: the variables of a module given alone.

    Raises:
      UserError: a module without variables, or an unknown or damaged model file.
    """
    limit = None
    if isinstance(model, Ready):
        return model
    if isinstance(model, (str, os.PathLike)):
        model = load_model(model)
    if isinstance(model, ModelFile):
        limit = model.extra.get("state_limit")
        model = (model.build(), model.variables)
    if isinstance(model, tuple):
        network, variables = model
    else:
        network = model
    if variables is None:
        raise UserError(
            f"network {type(network).__name__} was given without variables; "
            "pass variables=, (module, variables) or a model file"
        )
    return Ready(network, jax.device_put(variables), limit)


# Filters and color conversion leave [0, 1] a little; code values by far.
_OVERSHOOT = 2.0


def check_frame(frame: Any, like: tuple[int, ...] | None) -> None:
    """Refuses what is not a frame, or not of the stream's size.

    Raises:
      UserError: integers or code values (says how to convert), a wrong rank, another size than
        ``like``.
    """
    shape = tuple(np.shape(frame))
    dtype = getattr(frame, "dtype", np.asarray(frame).dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        top = np.iinfo(dtype).max if jnp.issubdtype(dtype, jnp.integer) else 1
        raise UserError(
            f"frames are {dtype}, expected float32 in [0, 1]; "
            f"convert with frames.astype('float32') / {top}"
        )
    if len(shape) != 3:
        raise UserError(f"a frame has shape {shape}, expected [h, w, c]")
    if like is not None and shape != like:
        raise UserError(f"a frame of {shape} follows frames of {like}; one stream has one size")
    if like is None:
        _check_range(np.asarray(frame, np.float32))


def _check_range(frame: np.ndarray) -> None:
    top = float(np.max(np.abs(frame), initial=0.0))
    if not top > _OVERSHOOT:  # NaN is the guard's business
        return
    codes = next((2**bits - 1 for bits in (8, 10, 12) if top < 2**bits), 65535)
    raise UserError(f"frames reach {top:g}, expected values in [0, 1]; divide them by {codes}")


def qp_array(qp: int | None) -> jax.Array | None:
    """The quantisation parameter as networks take it, ``[1]``.

    Raises:
      UserError: outside HEVC's range of 0 to 51.
    """
    if qp is None:
        return None
    if not 0 <= qp <= 51:
        raise UserError(f"qp={qp} is not a quantisation parameter of HEVC; expected 0 to 51")
    return jax.device_put(np.full(1, qp, np.int32))
