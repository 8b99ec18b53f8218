"""The metrics a report can ask for: the protocols of ``metrics``, and those that need weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from vqe_jax.errors import UserError, near_misses
from vqe_jax.metrics import PROTOCOLS, Protocol

__all__ = ["DEFAULTS", "find_protocols", "known_protocols"]

# What is measured where nothing is said: the papers' pair for each colour.
DEFAULTS = {
    "luma": ("psnr_y", "ssim_y"),
    "rgb": ("psnr_rgb_uint8", "ssim_rgb_gaussian"),
}


def _lpips(net: str) -> Protocol:
    from vqe_jax.metrics.lpips import lpips
    from vqe_jax.weights import load_perceptual

    variables = load_perceptual(f"lpips_{net}").variables
    return Protocol(
        f"lpips_{net}", "lpips", "rgb", "uint8",
        f"LPIPS v0.1 with {net}, RGB, clipped and rounded to 8 bits; smaller is better",
        functools.partial(lpips, variables=variables, net=net), higher_is_better=False,
    )  # fmt: skip


def _dists() -> Protocol:
    from vqe_jax.metrics.dists import dists
    from vqe_jax.weights import load_perceptual

    return Protocol(
        "dists", "dists", "rgb", "uint8",
        "DISTS, RGB, clipped and rounded to 8 bits, frames not shrunk; smaller is better",
        functools.partial(dists, variables=load_perceptual("dists").variables),
        higher_is_better=False,
    )  # fmt: skip


def _ms_ssim(colour: str) -> Protocol:
    from vqe_jax.metrics.ms_ssim import ms_ssim

    name = "ms_ssim_y" if colour == "luma" else "ms_ssim_rgb"
    return Protocol(
        name, "ms-ssim", colour, "uint8",  # type: ignore[arg-type]
        f"MS-SSIM of {'Y' if colour == 'luma' else 'RGB, mean of the channels'}, five scales, "
        "8 bits", ms_ssim,
    )  # fmt: skip


# Made only when asked for: most of them read weights.
_MADE: dict[str, Callable[[], Any]] = {
    **{f"lpips_{net}": functools.partial(_lpips, net) for net in ("alex", "vgg", "squeeze")},
    "dists": _dists,
    "ms_ssim_y": functools.partial(_ms_ssim, "luma"),
    "ms_ssim_rgb": functools.partial(_ms_ssim, "rgb"),
}


def known_protocols() -> list[str]:
    """All names that :func:`find_protocols` takes."""
    return sorted([*PROTOCOLS, *_MADE])


def find_protocols(names: Sequence[str], colour: str) -> list[Protocol]:
    """The protocols of a report.

    Args:
      names: what was asked for; empty for the defaults of the colour.
      colour: ``"luma"`` or ``"rgb"``, what the models work on.

    Raises:
      UserError: an unknown name, one on other channels, or weights that are not there.
    """
    found = []
    for name in names or DEFAULTS[colour]:
        if name not in PROTOCOLS and name not in _MADE:
            known = known_protocols()
            raise UserError(f"metric {name!r} does not exist{near_misses(name, known)}")
        protocol = PROTOCOLS[name] if name in PROTOCOLS else _MADE[name]()
        if protocol.colour != colour:
            raise UserError(f"metric {name!r} is defined on {protocol.colour}; models are {colour}")
        found.append(protocol)
    return found
