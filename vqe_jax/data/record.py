"""What is recorded of a pair of clips, and the form it takes in an array_record.

A record holds the encoded bytes of both clips: the compressed one as the bitstream that the encoder
wrote (or that was given), the raw one coded without loss. Decoded frames would be ten to a hundred
times as large, and a bitstream still tells the QP and type of each frame. Nobody decodes them in
training: that is done once, into memory-mapped planes beside the data set
(:mod:`vqe_jax.data.planes`). :class:`PairInfo` is the rest of the record, small enough to be
repeated in the data set's metadata, so that a set opens without a clip being read.
"""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import Any

from vqe_jax.video import ColorTags, VideoInfo

__all__ = ["PairInfo", "example", "features"]

UNKNOWN_QP = -1
_COLOR = tuple(f.name for f in dataclasses.fields(ColorTags))


@dataclasses.dataclass(frozen=True)
class PairInfo:
    """All of a pair but its pictures.

    Attributes:
      name: unique in its data set.
      qp: that was asked for, or that the given stream is said to have.
      width: of both clips, in pixels.
      height: of both clips, in pixels.
      frames: of both clips.
      frame_rate: frames per second as a fraction, ``"30000/1001"``; empty where unknown.
      frame_types: a letter a frame in display order, I, P, B or ? where unknown.
      frame_qps: QP of each frame in display order; -1 where unknown.
      source: the file or photograph the raw clip comes from.
      recipe: how the compressed clip was made, or the stream that was given.
      variant: what was done to the raw clip before encoding, as JSON; empty: nothing.
      color: the colour tags of the raw clip, which hold for both, as JSON.
      psnr_y: mean over frames of the compressed clip's PSNR on luma, in dB.
      raw_format: file name extension of the raw bytes.
      raw_bytes: how many there are.
      raw_sha256: of the raw bytes.
      compressed_format: file name extension of the compressed bytes.
      compressed_bytes: how many there are.
      compressed_sha256: of the compressed bytes.
    """

    name: str
    qp: int
    width: int
    height: int
    frames: int
    frame_rate: str
    frame_types: str
    frame_qps: tuple[int, ...]
    source: str
    recipe: str
    variant: str
    color: str
    psnr_y: float
    raw_format: str
    raw_bytes: int
    raw_sha256: str
    compressed_format: str
    compressed_bytes: int
    compressed_sha256: str

    @property
    def fps(self) -> float:
        """Frames per second; 0 where unknown."""
        return float(Fraction(self.frame_rate)) if self.frame_rate else 0.0

    @property
    def kbps(self) -> float:
        """Bit rate of the compressed clip in kbit/s; 0 where the frame rate is unknown."""
        return self.compressed_bytes * 8 / 1000 * self.fps / self.frames

    @property
    def video(self) -> VideoInfo:
        """The clips as a video that can be converted to RGB."""
        tags = ColorTags(**json.loads(self.color))
        rate = Fraction(self.frame_rate) if self.frame_rate else None
        return VideoInfo(self.width, self.height, color=tags, frame_rate=rate)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for metadata and manifests."""
        return {**dataclasses.asdict(self), "frame_qps": list(self.frame_qps)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PairInfo:
        """The inverse of :meth:`to_json`.

        Args:
          values: what it returned.

        Raises:
          TypeError: a field is missing or unknown.
        """
        return cls(**{**values, "frame_qps": tuple(values["frame_qps"])})


def color_json(color: ColorTags) -> str:
    """Colour tags as JSON.

    Args:
      color: of the raw clip.
    """
    return json.dumps({name: getattr(color, name) for name in _COLOR})


def features() -> Any:
    """The record as TFDS features; all of them work without TensorFlow."""
    import numpy as np
    import tensorflow_datasets as tfds

    text, blob = tfds.features.Text(), tfds.features.Tensor(shape=(), dtype=np.object_)
    kinds: dict[str, Any] = {"str": text, "int": np.int64, "float": np.float64}
    scalars = {f.name: kinds[str(f.type)] for f in _scalar_fields()}
    qps = tfds.features.Tensor(shape=(None,), dtype=np.int32)
    return tfds.features.FeaturesDict(
        {**scalars, "frame_qps": qps, "raw": blob, "compressed": blob}
    )


def _scalar_fields() -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(PairInfo) if f.name != "frame_qps"]


def example(info: PairInfo, raw: bytes, compressed: bytes) -> dict[str, Any]:
    """One record.

    Args:
      info: of the pair.
      raw: the losslessly coded clip.
      compressed: the bitstream.
    """
    import numpy as np

    qps = np.array(info.frame_qps, np.int32)
    return {**info.to_json(), "frame_qps": qps, "raw": raw, "compressed": compressed}
