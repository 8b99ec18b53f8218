"""The only room that touches picture files: reading, writing, encoding, color, frame QPs.

Frames are plain numpy planes with their time stamps; nothing here holds a whole video, and
nothing here knows of JAX.
"""

from vqe_jax.video.base import PictureChanges, Reader, Writer
from vqe_jax.video.color import from_rgb, luma, to_rgb, with_luma
from vqe_jax.video.encode import (
    LowDelayP,
    TwoPass,
    encode_hevc,
    low_delay_p,
    mean_p_offset,
    nominal_qp,
    two_pass,
)
from vqe_jax.video.families import CODECS, codec_family, codec_name, is_lossless
from vqe_jax.video.formats import ColorTags, PixelFormat
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.open import open_reader, open_writer, read_frames
from vqe_jax.video.passthrough import other_streams
from vqe_jax.video.peaks import peak_frames, peaks_every, peaks_of_pictures, peaks_of_scores
from vqe_jax.video.qp import (
    FrameQP,
    encoder_settings,
    frame_qps,
    frame_types,
    mean_p_qp,
)

__all__ = [
    "CODECS",
    "ColorTags",
    "Frame",
    "FrameQP",
    "LowDelayP",
    "PictureChanges",
    "PixelFormat",
    "Reader",
    "TwoPass",
    "VideoInfo",
    "Writer",
    "codec_family",
    "codec_name",
    "encode_hevc",
    "encoder_settings",
    "frame_qps",
    "frame_types",
    "from_rgb",
    "is_lossless",
    "low_delay_p",
    "luma",
    "mean_p_offset",
    "mean_p_qp",
    "nominal_qp",
    "open_reader",
    "open_writer",
    "other_streams",
    "peak_frames",
    "peaks_every",
    "peaks_of_pictures",
    "peaks_of_scores",
    "read_frames",
    "to_rgb",
    "two_pass",
    "with_luma",
]
