"""How parameters are drawn anew after a network has drawn its own, by path pattern.

A network begins as its authors have it; how it begins otherwise is the affair of training. The
``init`` of a stage is an ordered tuple of pairs, of which the last that matches a path wins::

    init=(*HIGH_PASS, ("^spynet/", "keep"), ("out_conv", "zeros"))

A scheme of the reader's own is a function ``(key, current, pictures, **options) -> array``:
registered, or named as ``"package.module:function"``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Bool, PRNGKeyArray

from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.models.shapes import example_inputs, initial_variables
from vqe_jax.nn.initializers import INPUT_GAIN, beside, kaiming_normal, uniform_fan_in
from vqe_jax.nn.initializers import high_pass as mean_free
from vqe_jax.registry import Registry, check_options
from vqe_jax.training.optimizer import selected
from vqe_jax.training.picture_channels import picture_channels
from vqe_jax.training.stages import Init

__all__ = ["HIGH_PASS", "SCHEMES", "check", "pictures_of", "redraw", "register"]

# For any network: kernels on pictures do not see brightness, the variance is kept after them. It
# replaces what a network is careful about (a last layer of zeros, blocks near the identity, parts
# from elsewhere): a recipe adds ("...", "keep") or ("...", "zeros") for those.
HIGH_PASS: tuple[tuple[str, str], ...] = (("kernel$", "high_pass"), ("bias$", "zeros"))

# A gate's bias that lets 98 % through: twelve gates in a row at a half would leave nothing.
_OPEN = 4.0

Pictures = Bool[np.ndarray, " _"]


def high_pass(
    key: PRNGKeyArray,
    current: Array,
    pictures: Pictures,
    *,
    gain: float = INPUT_GAIN,
    scale: float = 1.0,
    blind: bool | None = None,
) -> Array:
    """Kernels blind to the brightness of pictures, and Kaiming's for all other inputs.

    Args:
      gain: of the blind part: edges and artifacts are about a tenth of the brightness.
      blind: all inputs are pictures, or none; None: as found in the network.
    """
    window, inputs = current.shape[:-2], current.shape[-2]
    count = inputs * blind if blind is not None else int(sum(pictures))
    if all(side == 1 for side in window):
        count = 0  # such a kernel without its mean would be zero
    others = kaiming_normal(scale)
    if count == 0:
        return others(key, current.shape, current.dtype)
    first = mean_free(gain)
    if count == inputs:
        return first(key, current.shape, current.dtype)
    drawn = beside(first, count, others)(key, current.shape, current.dtype)
    if blind is not None or pictures[:count].all():
        return drawn
    order = jnp.argsort(jnp.argsort(~jnp.asarray(pictures), stable=True), stable=True)
    return jnp.take(drawn, order, axis=-2)


def kaiming(key: PRNGKeyArray, current: Array, pictures: Pictures, *, scale: float = 1.0) -> Array:
    """Kaiming's normal initialization, which keeps the variance through ReLUs, times ``scale``."""
    return kaiming_normal(scale)(key, current.shape, current.dtype)


def uniform(key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    """PyTorch's default for kernels, which shrinks the signal at every layer."""
    return uniform_fan_in()(key, current.shape, current.dtype)


def constant(key: PRNGKeyArray, current: Array, pictures: Pictures, *, value: float) -> Array:
    """One number everywhere."""
    return jnp.full_like(current, value)


def zeros(key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    """Zeros."""
    return jnp.zeros_like(current)


def open_gates(key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    """For biases of sigmoid gates: nearly everything passes at first."""
    return jnp.full_like(current, _OPEN)


def dirac(key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    """Kernels of odd sides that pass as many channels through as there are on both sides."""
    rows, columns, inputs, outputs = current.shape
    passed = jnp.eye(inputs, outputs, dtype=current.dtype)
    return jnp.zeros_like(current).at[rows // 2, columns // 2].set(passed)


def pass_on(key: PRNGKeyArray, current: Array, pictures: Pictures, *, noise: float = 0.1) -> Array:
    """Kernels of odd sides that hand all their inputs on: a deep network begins as a shallow one.

    Of more inputs than outputs each output is a sum whose variance is that of one; of more outputs
    than inputs each input is handed on several times.

    Args:
      noise: of Kaiming's normal initialization is added, times this.
    """
    rows, columns, inputs, outputs = current.shape
    goes = np.arange(inputs)[:, None] % outputs == np.arange(outputs)[None] % inputs
    passed = jnp.asarray(goes / np.sqrt(goes.sum(axis=0, keepdims=True)), current.dtype)
    drawn = noise * kaiming_normal()(key, current.shape, current.dtype)
    return drawn.at[rows // 2, columns // 2].add(passed)


def keep(key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    """As the network has drawn it."""
    return current


SCHEMES: Registry[Callable[..., Array]] = Registry(
    "init scheme",
    {
        f.__name__: f
        for f in (high_pass, kaiming, uniform, constant, zeros, dirac, pass_on, open_gates, keep)
    },
    check=callable,
    expected="a function (key, current, pictures) -> array",
)

register = SCHEMES.register


def check(inits: tuple[Init, ...], where: str) -> None:
    """Refuses schemes and options that do not exist.

    Raises:
      UserError: names the near misses.
    """
    for index, init in enumerate(inits):
        what = f"{where}[{index}]: scheme {init.scheme!r}"
        check_options(what, SCHEMES.get(init.scheme), init.options)


def pictures_of(network: Network) -> dict[str, Pictures]:
    """Which input channels of which of its kernels are pictures; nothing is computed."""
    clip, told = example_inputs(network)
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    others = {k: v for k, v in shapes.items() if k != "params"}
    rest = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), others)

    def run(params: Any, clip: Array) -> Any:
        return network.apply({"params": params, **rest}, clip, **told)

    return picture_channels(run, shapes["params"], clip)


def redraw(
    params: Any,
    inits: tuple[Init, ...],
    pictures: dict[str, Pictures],
    key: PRNGKeyArray,
) -> Any:
    """Draws parameters anew; each by a key of its path, so that none depends on the others.

    Args:
      inits: of the stage, in order.
      pictures: of the network, see :func:`pictures_of`.

    Raises:
      UserError: a pattern that matches no path, a scheme that does not exist.
    """
    chosen: dict[str, Init] = {}
    for init in inits:
        chosen |= dict.fromkeys(selected(params, [init.pattern], "init"), init)
    flat = flatten_dict(params, sep="/")
    for path, init in chosen.items():
        current = flat[path]
        own = jax.random.fold_in(key, zlib.crc32(path.encode()))
        seen = pictures.get(path, np.zeros(current.shape[-2] if current.ndim > 1 else 0, bool))
        flat[path] = _drawn(init, path, own, current, seen)
    return unflatten_dict(flat, sep="/")


def _drawn(init: Init, path: str, key: PRNGKeyArray, current: Array, pictures: Pictures) -> Array:
    scheme = SCHEMES.get(init.scheme)
    try:
        return scheme(key, current, pictures, **init.options)
    except (ValueError, IndexError) as err:  # of one axis: nothing to take a fan-in from
        raise UserError(
            f"init: scheme {init.scheme!r} cannot draw {path!r} of shape {current.shape}; choose "
            f"another for pattern {init.pattern!r}"
        ) from err
