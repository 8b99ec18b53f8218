"""The QP a video was encoded at, and whether a model was trained for it.

Slice headers tell the QP of each frame. In the recipe that models are trained on, P frames have
offsets over the nominal QP (:func:`vqe_jax.video.mean_p_offset`), so streams are compared by the
mean QP of their P frames, and the nominal QP of any stream is that of the recipe with this mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.video import (
    FrameQP,
    codec_family,
    codec_name,
    frame_qps,
    is_lossless,
    mean_p_offset,
    mean_p_qp,
    nominal_qp,
)
from vqe_jax.weights import ModelFile

__all__ = ["choose_qp", "doubt", "measured_qp", "mismatch", "told_qps"]

# A quarter of a minute is enough to know an encoder's habits.
_FRAMES = 300
# The literature's QPs are 5 apart; further than that another model would be the right one.
_FAR = 5.0
# From here on every clip that was tried lost quality; at H.264, whose QPs are not comparable to the
# digit, some still gained with QPs 8 to 10 below those of the training.
_VERY_FAR = {"h264": 12.0}
_VERY_FAR_ELSEWHERE = 8.0
# Where a model file does not say otherwise (extra["measured"]["codecs"]): networks trained on HEVC
# were measured to gain on H.264 of the same quality, too, and to lose on AV1, VP9 and MPEG-2.
_MEASURED = ("hevc", "h264")
_SPOKEN = {
    "hevc": "H.265",
    "h264": "H.264",
    "av1": "AV1",
    "vp8": "VP8",
    "vp9": "VP9",
    "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2",
    "mpeg4": "MPEG-4 (Xvid, DivX)",
    "mjpeg": "Motion JPEG",
    "vvc": "H.266",
    "dvvideo": "DV",
    "h263": "H.263",
    "prores": "ProRes",
    "dnxhd": "DNxHD",
}
_CLEAN = (
    "this file is kept without loss, so it counts as clean and is left as it is; if a compressed "
    "video was decoded into it, enhance that video itself, or say its QP, as in --qp 37"
)
_COMPARE = "compare with --preview 5s --split, or go on without this warning with --force"


def told_qps(path: Path, *, limit: int | None = None) -> list[FrameQP]:
    """QP and type of each frame, or nothing: only HEVC and H.264 tell."""
    try:
        return frame_qps(path, limit=limit)
    except UserError:
        return []


def measured_qp(path: Path) -> float | None:
    """The mean QP of the P frames at the beginning of a video; None where it cannot be read."""
    return mean_p_qp(told_qps(path, limit=_FRAMES))


def choose_qp(asked: int | str | None, mean: float | None, network: Network) -> int | None:
    """The QP to tell the network.

    Args:
      asked: a number, ``"auto"``, or None for auto where the network is conditioned on the QP.
      mean: of the source, as :func:`measured_qp` found it.
      network: may have a ``conditioning``.

    Returns:
      The nominal QP, the nearest that the network knows; None for networks that do not ask.

    Raises:
      UserError: auto, and the source does not tell; not a QP.
    """
    conditioning = getattr(network, "conditioning", None)
    if asked is None and conditioning is None:
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
    if conditioning is None:
        return found
    if conditioning.interpolate:
        return min(max(found, min(conditioning.qps)), max(conditioning.qps))
    return min(conditioning.qps, key=lambda qp: abs(qp - found))


def mismatch(mean: float | None, trained: Sequence[int], codec: str = "hevc") -> str | None:
    """One sentence that says that a model is the wrong one for a stream; None if it is not.

    Args:
      mean: of the source, as :func:`measured_qp` found it.
      trained: the nominal QPs the model was trained at.
      codec: of the source.
    """
    if mean is None or not trained:
        return None
    means = {qp: qp + mean_p_offset(qp) for qp in trained}
    nearest = min(means, key=lambda qp: abs(mean - means[qp]))
    if abs(mean - means[nearest]) <= _FAR:
        return None
    better = mean < means[nearest]
    found = "better" if better else "worse"
    result = "only a part of the damage will be repaired"
    if better:
        much = means[nearest] - mean > _VERY_FAR.get(codec, _VERY_FAR_ELSEWHERE)
        result = "it will lose detail" if much else "it may lose some detail"
    return (
        f"this file is {found} than what the model was trained to mend: its frames have QP "
        f"{mean:.1f} on average, those of the training had QP {means[nearest]:.1f} (a nominal QP "
        f"of {nearest}); {result}"
    )


def _spoken(codec: str) -> str:
    return _SPOKEN.get(codec_name(codec), codec)


def _words(codecs: Sequence[str]) -> str:
    spoken = list(dict.fromkeys(map(_spoken, codecs)))
    return " and ".join(filter(None, [", ".join(spoken[:-1]), spoken[-1]])) if spoken else "none"


def doubt(
    codec: str, mean: float | None, model: ModelFile, *, asked: int | str | None = None
) -> str | None:
    """Why the result may be worse than the source; None where nothing speaks for it.

    A model file says for which codecs it was measured in ``extra["measured"]["codecs"]``, by
    FFmpeg's names, and for which QPs in ``qp``.

    Args:
      codec: of the source, by the name of FFmpeg's decoder.
      mean: QP of the source, as :func:`measured_qp` found it.
      asked: the QP that somebody says it has.
    """
    said: dict[str, Any] = model.extra.get("measured") or {}
    codecs = tuple(said.get("codecs") or _MEASURED)
    message = None
    told = "codec" in model.build().context.optional
    if told and is_lossless(codec):  # of decoded frames it judges by what it sees
        return _CLEAN if codec_family(codec) and asked is None else None
    if is_lossless(codec):
        message = (
            "this file is not compressed, or without loss, as it lies here: if it never was, "
            "there is nothing to mend, and it will lose detail"
        )
    elif codec not in codecs:
        message = (
            f"this file is coded as {_spoken(codec)}, but the model was measured on "
            f"{_words(codecs)} only; it may lose detail where it should gain"
        )
    elif not said.get("any_qp"):
        message = mismatch(mean, model.qp, codec)
    return f"{message}; {_COMPARE}" if message else None
