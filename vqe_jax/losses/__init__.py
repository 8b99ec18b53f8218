"""Losses: pure functions of what a network returns and of the ground truth, found by their names.

``build("charbonnier", eps=1e-6)`` gives a function ``(prediction, target) -> scalar``. A loss of
the reader's own is any function of that form: ``register("mine", function)``, or
``"package.module:function"`` wherever a name is taken. One that wants more than the two clips says
so in its entry, see :class:`Loss`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from vqe_jax.errors import UserError
from vqe_jax.losses import correlation, frequency, gradient, offsets, perceptual, pixel
from vqe_jax.registry import Registry, check_options

__all__ = ["LOSSES", "Loss", "build", "get", "names", "register"]

GIVEN = ("weight", "qp", "side", "variables", "compressed")


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss, and what it is to be given.

    Attributes:
      function: returns a scalar; called with the output that a term is taken of, then with what
        ``target`` names, then with what ``takes`` names and with its options as keyword arguments.
      target: "raw": the ground truth of the same frames ``[b, t, h, w, c]``; "window": that of the
        frames which the network reads for each, ``[b, t, k, h, w, c]``, for outputs on neighbors;
        None: nothing, for regularizers (of offsets, say).
      takes: keyword arguments that training gives: "weight" (``[b, t, h, w, 1]``, of the pixels
        that count; a loss without it cannot be taken on a part of the pixels), "qp" (``[b]``),
        "side" (a :class:`vqe_jax.models.Side` of the compared frames), "variables" (of a frozen
        network, see ``weights``), "compressed" (the frames that came in). "weight" and "qp" are
        given where the batch has them.
      weights: of a loss that takes "variables": the name of the perceptual weights by its options,
        published ones or the reader's own (``vqe_jax.weights.perceptual.WEIGHTS``).
    """

    function: Callable[..., Any]
    target: Literal["raw", "window"] | None = "raw"
    takes: tuple[str, ...] = ()
    weights: Callable[[Mapping[str, Any]], str] | None = None

    def __post_init__(self) -> None:
        """Refuses what nobody could give."""
        strangers = [name for name in self.takes if name not in GIVEN]
        if strangers or self.target not in ("raw", "window", None):
            wrong = f"takes={self.takes!r}, target={self.target!r}"
            raise UserError(
                f"loss {self.function!r}: {wrong}; a loss may take {', '.join(GIVEN)}, and its "
                "target is 'raw', 'window' or None"
            )
        if ("variables" in self.takes) != (self.weights is not None):
            raise UserError(f"loss {self.function!r}: 'variables' and weights= go together")

    def __call__(self, *arrays: Any, **given: Any) -> Any:
        """The function's value."""
        return self.function(*arrays, **given)


LOSSES: Registry[Any] = Registry(
    "loss",
    {
        "charbonnier": Loss(pixel.charbonnier, takes=("weight",)),
        "l1": Loss(pixel.l1, takes=("weight",)),
        "l2": Loss(pixel.l2, takes=("weight",)),
        "log_mse": Loss(pixel.log_mse),
        "harm": Loss(pixel.harm, takes=("compressed",)),
        "pearson": Loss(correlation.pearson, takes=("weight",)),
        "fft": Loss(frequency.fft),
        "gradient": Loss(gradient.gradient),
        "motion_compensation": Loss(pixel.motion_compensation),
        "low_pass": Loss(frequency.low_pass),
        "sobel": Loss(gradient.sobel),
        "temporal_gradient": Loss(gradient.temporal_gradient),
        "offset_tv": Loss(offsets.offset_tv, target=None),
        "offset_deviation": Loss(offsets.offset_deviation, target=None),
        "lpips": Loss(
            perceptual.lpips,
            takes=("variables",),
            weights=lambda options: f"lpips_{options.get('net', 'alex')}",
        ),
        "dists": Loss(perceptual.dists, takes=("variables",), weights=lambda _: "dists"),
        "vgg_pyramid": Loss(
            perceptual.vgg_pyramid,
            takes=("variables",),
            weights=lambda options: f"vgg{options.get('depth', 19)}",
        ),
    },
    check=callable,
    expected="a function (prediction, target) -> scalar, or a Loss",
)

names = LOSSES.names
register = LOSSES.register


def get(name: str) -> Loss:
    """The entry of a loss.

    Raises:
      UserError: no loss of that name; names the near misses.
    """
    entry = LOSSES.get(name)
    return entry if isinstance(entry, Loss) else Loss(entry)


def build(name: str, **options: Any) -> Loss:
    """A loss with its options bound.

    Args:
      name: a name of :func:`names`, or ``"package.module:Name"``.

    Returns:
      A function ``(prediction, target) -> scalar``.

    Raises:
      UserError: an unknown name or option; names the near misses.

    Example:
      >>> import jax.numpy as jnp
      >>> clip = jnp.zeros((1, 2, 4, 4, 1))
      >>> float(build("l1")(clip, clip + 0.5))
      0.5
    """
    loss = get(name)
    check_options(f"loss {name!r}", loss.function, options, given=loss.takes)
    return dataclasses.replace(loss, function=functools.partial(loss.function, **options))
