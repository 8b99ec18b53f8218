"""What is known beside the frames of a stream, on its way to the network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import qp_array
from vqe_jax.models import Network, Side
from vqe_jax.models.side import FrameInfo

__all__ = ["SideStream"]

T = TypeVar("T")
_UNKNOWN = FrameInfo()


class SideStream:
    """Gives each frame of a stream what is known of it, and a network what it asked for.

    It is read along with the frames, never ahead of them.
    """

    def __init__(
        self, network: Network, qp: int | None = None, infos: Iterable[FrameInfo] | None = None
    ) -> None:
        """Checks that the network will have what it needs.

        Args:
          network: whose context names what it needs.
          qp: quantization parameter of the stream.
          infos: of each frame; None where nothing is known.

        Raises:
          UserError: something that the network needs is not given, or a QP it does not know.
        """
        self._names = network.context.needs - {"qp"}
        self._qp = qp_array(qp)
        network.check_qp(qp)  # a compiled network could not say it
        if infos is None:
            network.check_side(Side(qp=self._qp))
        self._infos = iter(infos) if infos is not None and self._names else None

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
        side = Side.of_frames(infos, self._names, self._qp)
        return jax.tree.map(jnp.asarray, side)

    def host_arrays(self, infos: Sequence[FrameInfo]) -> Side:
        """The same as NumPy arrays, for choosing frames."""
        return Side.of_frames(infos, self._names, None)
