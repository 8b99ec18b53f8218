"""Protocols of the learned distances, LPIPS and DISTS, once their weights are at hand.

Each is defined on RGB; with ``_y`` behind its name it looks at Y copied to three channels, which is
what a network of luma can be judged by without its chroma. Rooms below this one load no weights, so
whoever asks brings them: :func:`weights_of` says which.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from vqe_jax.errors import check_known
from vqe_jax.metrics.dists import dists
from vqe_jax.metrics.lpips import lpips
from vqe_jax.metrics.protocols import Protocol
from vqe_jax.perceptual import LPIPS_NETS
from vqe_jax.perceptual.dists import DISTS_MIN_SIDE

__all__ = ["PERCEPTUAL_PROTOCOLS", "perceptual_protocol", "weights_of"]

# Title, function, and the smallest side it takes.
_DISTANCES: dict[str, tuple[str, Callable[..., Any], int]] = {
    **{
        f"lpips_{net}": (
            f"LPIPS v0.1 with {net}",
            functools.partial(lpips, net=net),
            kind.min_side,
        )
        for net, kind in LPIPS_NETS.items()
    },
    "dists": ("DISTS, frames not shrunk", dists, DISTS_MIN_SIDE),
    "dists_256": (
        "DISTS, short side shrunk to 256 pixels (its authors' program, PeQuENet)",
        functools.partial(dists, resize=256),
        DISTS_MIN_SIDE,
    ),
}
PERCEPTUAL_PROTOCOLS = tuple(f"{name}{end}" for name in _DISTANCES for end in ("", "_y"))


def weights_of(name: str) -> str:
    """The perceptual weights that a protocol needs, as ``weights.load_perceptual`` names them.

    Raises:
      UserError: no such protocol; names the near misses.

    Example:
      >>> weights_of("lpips_alex_y")
      'lpips_alex'
    """
    check_known("metric protocol ", name, PERCEPTUAL_PROTOCOLS)
    return name.removesuffix("_y").removesuffix("_256")


def perceptual_protocol(name: str, variables: Mapping[str, Any], *, divisor: int = 1) -> Protocol:
    """LPIPS or DISTS as a protocol.

    Args:
      name: one of :data:`PERCEPTUAL_PROTOCOLS`.
      variables: of the network that :func:`weights_of` names.
      divisor: every width is divided by it; above 1 in tests only.

    Raises:
      UserError: no such protocol; names the near misses.
    """
    network, shown = weights_of(name), name.removesuffix("_y")
    title, distance, least = _DISTANCES[shown]
    of_luma = name != shown
    seen = "Y copied to three channels" if of_luma else "RGB"
    return Protocol(
        name,
        network.partition("_")[0],
        "luma" if of_luma else "rgb",
        "uint8",
        f"{title}, {seen}, clipped and rounded to 8 bits; smaller is better",
        functools.partial(distance, variables=variables, divisor=divisor),
        higher_is_better=False,
        min_side=least,
    )
