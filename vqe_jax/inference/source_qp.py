"""The QP a video was encoded at, and whether a model was trained for it.

Slice headers tell the QP of each frame. In the recipe that models are trained on, P frames have
offsets over the nominal QP (:func:`vqe_jax.video.mean_p_offset`), so streams are compared by the
mean QP of their P frames, and the nominal QP of any stream is that of the recipe with this mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.video import frame_qps, mean_p_offset, mean_p_qp, nominal_qp

__all__ = ["choose_qp", "measured_qp", "mismatch"]

# A quarter of a minute is enough to know an encoder's habits.
_FRAMES = 300
# The literature's QPs are 5 apart; further than that another model would be the right one.
_FAR = 5.0


def measured_qp(path: Path) -> float | None:
    """The mean QP of the P frames at the beginning of a video; None where it cannot be read.

    Args:
      path: a video; only HEVC and H.264 tell.
    """
    try:
        return mean_p_qp(frame_qps(path, limit=_FRAMES))
    except UserError:
        return None


def choose_qp(asked: int | str | None, mean: float | None, network: Network) -> int | None:
    """The QP to tell the network.

    Args:
      asked: a number, ``"auto"``, or None for auto where the network is conditioned on the QP.
      mean: of the source, as :func:`measured_qp` found it.
      network: may have ``qp_conditioning``, ``qps`` and ``qp_interpolation``.

    Returns:
      The nominal QP, the nearest that the network knows; None for networks that do not ask.

    Raises:
      UserError: auto, and the source does not tell; not a QP.
    """
    conditioned = getattr(network, "qp_conditioning", False)
    if asked is None and not conditioned:
        return None
    if isinstance(asked, int):
        return asked
    if asked not in (None, "auto"):
        raise UserError(f"qp {asked!r} is neither a number from 0 to 51 nor 'auto'")
    if mean is None:
        raise UserError(
            "the source does not tell its QP (only HEVC and H.264 do); say it, as in --qp 37"
        )
    found = nominal_qp(mean)
    known: Sequence[int] = getattr(network, "qps", ())
    if conditioned and known:
        if getattr(network, "qp_interpolation", False):
            return min(max(found, min(known)), max(known))
        return min(known, key=lambda qp: abs(qp - found))
    return found


def mismatch(mean: float | None, trained: Sequence[int]) -> str | None:
    """One line that says that a model is the wrong one for a stream; None if it is not.

    Args:
      mean: of the source, as :func:`measured_qp` found it.
      trained: the nominal QPs the model was trained at.
    """
    if mean is None or not trained:
        return None
    distances = {qp: mean - (qp + mean_p_offset(qp)) for qp in trained}
    nearest = min(distances, key=lambda qp: abs(distances[qp]))
    if abs(distances[nearest]) <= _FAR:
        return None
    better = distances[nearest] < 0
    advice = "it may blur what is still there" if better else "it will repair only a part"
    return (
        f"the source's P frames have QP {mean:.1f} on average, as at QP {nominal_qp(mean)} of the "
        f"training recipe, but the model was trained at QP {nearest}; {advice}"
    )
