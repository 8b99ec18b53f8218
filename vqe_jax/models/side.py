"""What is known of a clip beside its pictures: QPs, frame types, peaks of quality."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from vqe_jax.errors import UserError

__all__ = [
    "FRAME_TYPES",
    "MISSING_HINTS",
    "FrameInfo",
    "Side",
    "gather_frames",
]

# Of `Side.frame_type`; -1 is a frame whose type is not known.
FRAME_TYPES = {"I": 0, "P": 1, "B": 2}

# How to give what is missing, by the name of the field.
MISSING_HINTS = {
    "qp": "give --qp, or models.Side(qp=...)",
    "frame_qp": "read it from an HEVC or H.264 stream, or give models.Side(frame_qp=...)",
    "frame_type": "read it from the stream, or give models.Side(frame_type=...)",
    "peak": "find the peak-quality frames (enhance.py --peaks qp, measure, or a period such as 4), "
    "or give models.Side(peak=...)",
}


@dataclasses.dataclass(frozen=True)
class FrameInfo:
    """What is known of one frame of a stream; None and -1 stand for what is not.

    Attributes:
      qp: mean quantization parameter of the frame.
      type: a value of ``FRAME_TYPES``, or -1.
      peak: whether it is a peak-quality frame.
      codec: its family, a value of :data:`vqe_jax.video.CODECS`; 0 where it is not known.
    """

    qp: float | None = None
    type: int = -1
    peak: bool | None = None
    codec: int = 0


@flax.struct.dataclass
class Side:
    """Side information of a batch of clips; what is not known is None.

    A network names what it needs in ``Context.side``.

    Attributes:
      qp: nominal quantization parameter of each clip, integers ``[b]``.
      frame_qp: mean quantization parameter of each frame, ``[b, t]``.
      frame_type: 0 for I, 1 for P, 2 for B frames, -1 unknown, ``[b, t]``.
      peak: True for peak-quality frames, those better than their neighbors in time, ``[b, t]``.
      codec: family of the codec (:data:`vqe_jax.video.CODECS`) of each frame, ``[b, t]``.
    """

    # Typed loosely: transformations put shapes, shardings and placeholders where arrays are.

    qp: Any = None
    frame_qp: Any = None
    frame_type: Any = None
    peak: Any = None
    codec: Any = None

    @classmethod
    def of_frames(
        cls,
        infos: Sequence[FrameInfo],
        names: Collection[str],
        qp: Any = None,
        *,
        optional: Collection[str] = (),
    ) -> Side:
        """The named fields of successive frames of one clip, as NumPy arrays ``[1, t]``.

        Args:
          infos: of the frames; of those that are asked for nothing may be missing.
          qp: of the clip, ``[1]``.
          optional: further fields, in which -1 stands for a QP that is not known.

        Raises:
          UserError: a frame of which a wanted fact is not known.
        """
        columns: dict[str, tuple[str, Any]] = {
            "frame_qp": ("qp", np.float32),
            "frame_type": ("type", np.int32),
            "peak": ("peak", np.bool_),
            "codec": ("codec", np.int32),
        }
        found: dict[str, Any] = {}
        for name, (attribute, dtype) in columns.items():
            if name not in names and name not in optional:
                continue
            values = [getattr(info, attribute) for info in infos]
            if name not in names:
                values = [-1 if v is None else v for v in values]
            if None in values:
                raise UserError(
                    f"{name} of a frame is not known, and the network needs it; "
                    f"{MISSING_HINTS[name]}"
                )
            found[name] = np.array([values], dtype)
        return cls(qp=qp, **found)

    def infos(self, length: int) -> list[FrameInfo]:
        """The facts of each frame of a clip that is alone in its batch."""
        qp, kind, peak, codec = (
            [None] * length if x is None else np.asarray(x)[0].tolist()
            for x in (self.frame_qp, self.frame_type, self.peak, self.codec)
        )
        return [
            FrameInfo(q, -1 if k is None else int(k), p, c or 0)
            for q, k, p, c in zip(qp, kind, peak, codec, strict=True)
        ]

    def known(self) -> frozenset[str]:
        """Names of the fields that are given."""
        return frozenset(
            f.name for f in dataclasses.fields(self) if getattr(self, f.name) is not None
        )

    def windows(self, indices: Int[Array | np.ndarray, "*b t k"]) -> Side:
        """The side information of windows of frames, one batch entry a window.

        Args:
          indices: frames of each window, the same for all clips or one row a clip.
        """

        def per_frame(x: Any) -> Any:
            return None if x is None else gather_frames(x, indices).reshape(-1, indices.shape[-1])

        qp = None if self.qp is None else jnp.repeat(jnp.asarray(self.qp), indices.shape[-2])
        return Side(
            qp=qp,
            frame_qp=per_frame(self.frame_qp),
            frame_type=per_frame(self.frame_type),
            peak=per_frame(self.peak),
            codec=per_frame(self.codec),
        )

    def clip(self, index: int) -> Side:
        """The side information of one clip of the batch, as a batch of one."""
        return jax.tree.map(lambda x: x[index : index + 1], self)

    def frames(self, start: int, stop: int) -> Side:
        """The side information of the frames ``start .. stop - 1``."""
        return jax.tree.map(lambda x: x if x.ndim == 1 else x[:, start:stop], self)


def gather_frames(
    x: Shaped[Array | np.ndarray, "b t *rest"], indices: Int[Array | np.ndarray, "*b n k"]
) -> Shaped[Array, "b n k *rest"]:
    """Frames by number, ``indices`` either the same for every clip or one set a clip."""
    if indices.ndim == 2:
        return jnp.take(jnp.asarray(x), jnp.asarray(indices), axis=1)
    return jax.vmap(lambda clip, index: clip[index])(jnp.asarray(x), jnp.asarray(indices))
