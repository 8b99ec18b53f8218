"""What is known beside the frames of a stream, on its way to the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import jax
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import qp_array
from vqe_jax.models import Network, Side
from vqe_jax.models.side import FRAME_TYPES, MISSING_HINTS, FrameInfo
from vqe_jax.video import CODECS, codec_family, peak_frames

__all__ = ["SideStream", "known_frames"]

T = TypeVar("T")
_UNKNOWN = FrameInfo()
# A quantizer of at most 1.6 code values: lossless modes say QP 0 or 4.
_FINE = 8


def known_frames(
    network: Network,
    qps: Sequence[int | None],
    types: Sequence[str | None],
    peaks: Sequence[bool] | None = None,
    codec: str = "",
) -> list[FrameInfo] | None:
    """What the stream says of each frame, as far as a network asks; None where it does not ask.

    Args:
      qps: of each frame in display order; None or negative where unknown.
      types: ``"I"``, ``"P"`` or ``"B"``, anything else where unknown.
      peaks: peak-quality frames; None to tell them by QP and type.
      codec: as FFmpeg calls it; empty where unknown.

    Raises:
      UserError: the network needs what the stream does not tell; says how to give it.
    """
    context = network.context
    needs = context.needs - {"qp"}
    if not needs and not context.optional:
        return None
    if peaks is None and "peak" in needs:
        peaks = peak_frames(qps, types)
        if not any(peaks) and len(qps) != 1:
            raise _missing(network, "peak")
    known_qp = all(qp is not None and qp >= 0 for qp in qps)
    if "frame_qp" in needs and not known_qp:
        raise _missing(network, "frame_qp")
    if needs.isdisjoint({"frame_qp", "peak"}):  # what is not known of one frame stays so
        qps, known_qp = [-1 if qp is None else qp for qp in qps], True
    side = Side(
        frame_qp=np.array([qps], np.float32) if known_qp else None,
        frame_type=np.array([[FRAME_TYPES.get(kind or "", -1) for kind in types]], np.int32),
        peak=None if peaks is None else np.array([peaks], bool),
        codec=np.array([[_family(codec, qp) for qp in qps]], np.int32),
    )
    if context.references is not None:
        side = context.references.prepare(side)
    return side.infos(len(qps))


def _family(codec: str, qp: int | None) -> int:
    """Of a frame; one with hardly any quantization is as clean as if nothing had been lost."""
    fine = qp is not None and 0 <= qp <= _FINE
    return CODECS["none"] if fine else codec_family(codec)


def _missing(network: Network, name: str) -> UserError:
    return UserError(
        f"{type(network).__name__} needs {name} beside the frames, and the stream does not tell; "
        f"{MISSING_HINTS[name]}"
    )


class SideStream:
    """Gives each frame of a stream what is known of it, and a network what it asked for.

    It is read along with the frames, never ahead of them.
    """

    def __init__(
        self, network: Network, qp: int | None = None, infos: Iterable[FrameInfo] | None = None
    ) -> None:
        """Checks that the network will have what it needs.

        Args:
          infos: of each frame; None where nothing is known.

        Raises:
          UserError: something that the network needs is not given, or a QP it does not know.
        """
        self._names = network.context.needs - {"qp"}
        self._optional = network.context.optional
        self._qp = qp_array(qp)
        network.check_qp(qp)  # a compiled network could not say it
        if infos is None:
            network.check_side(Side(qp=self._qp))
        self._infos = iter(infos) if infos is not None and (self._names or self._optional) else None

    def along(self, frames: Iterable[T]) -> Iterator[tuple[T, FrameInfo]]:
        """Frames with what is known of them; go on with the next scene's frames after one's end.

        Raises:
          UserError: there is less side information than frames.
        """
        for index, frame in enumerate(frames):
            info = _UNKNOWN if self._infos is None else next(self._infos, None)
            if info is None:
                raise UserError(
                    f"side information ends before the frames do, after {index} of this scene; "
                    "give one entry a frame"
                )
            yield frame, info

    def arrays(self, infos: Sequence[FrameInfo]) -> Side:
        """Side information of successive frames as the network takes it, on the device."""
        side = Side.of_frames(infos, self._names, self._qp, optional=self._optional)
        return jax.device_put(side)

    def host_arrays(self, infos: Sequence[FrameInfo]) -> Side:
        """The same as NumPy arrays, for choosing frames."""
        return Side.of_frames(infos, self._names, None)
