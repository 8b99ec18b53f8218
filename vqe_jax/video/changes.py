"""Where a video's pictures change their size or format, found before any work by key frames alone.

A change needs a key frame in nearly all codecs. Where every frame is one, a thousand are looked at.
"""

from __future__ import annotations

from pathlib import Path

import av

from vqe_jax.errors import UserError
from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import VideoInfo
from vqe_jax.video.libav import open_input, packets, video_stream
from vqe_jax.video.planes import planar_name

__all__ = ["change_of_pictures"]

_AT_ONCE, _APART, _LOOKED_AT = 32, 0.25, 1000  # key frames, seconds, key frames


def change_of_pictures(
    path: Path, info: VideoInfo, seconds: float | None = None
) -> tuple[str, float] | None:
    """From what to what the pictures change, and when in seconds; None where they stay alike.

    Args:
      seconds: look at so much of its beginning; None for all.
    """
    apart = max(_APART, (info.duration or 0) / _LOOKED_AT)
    begin: float | None = None
    last: float | None = None
    decoded = 0
    with open_input(path) as container:
        stream = video_stream(container, path)
        decoder = stream.codec_context
        decoder.thread_count = 1
        for packet in packets(container, stream):
            now = float((packet.pts or packet.dts or 0) * (packet.time_base or 0))
            begin = now if begin is None else begin
            if seconds is not None and now - begin > seconds:
                return None
            soon = decoded > _AT_ONCE and last is not None and 0 <= now - last < apart
            if not packet.is_keyframe or soon:
                continue
            last, decoded = now, decoded + 1
            try:
                packet.decode()
            except av.FFmpegError:  # damage is for others to tell
                continue
            if change := _change(info, decoder):
                return change, now
    return None


def _change(info: VideoInfo, decoder: av.VideoCodecContext) -> str:
    if not decoder.width or not decoder.pix_fmt:
        return ""
    if (decoder.width, decoder.height) != (info.width, info.height):
        return f"from {info.width}x{info.height} to {decoder.width}x{decoder.height}"
    try:
        found = PixelFormat.from_av(planar_name(decoder.pix_fmt))
    except UserError:
        return f"from {info.pixel_format.av_name} to {decoder.pix_fmt}"
    if found != info.pixel_format:
        return f"from {info.pixel_format.av_name} to {found.av_name}"
    return ""
