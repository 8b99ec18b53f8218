"""Writing containers through PyAV: one encoded video stream, the rest copied packet by packet."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av

from vqe_jax.errors import UserError, near_misses
from vqe_jax.video.base import Writer
from vqe_jax.video.files import discard, translated
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.log import captured
from vqe_jax.video.passthrough import Passthrough
from vqe_jax.video.planes import to_av_frame

__all__ = ["CONTAINERS", "DEFAULT_OPTIONS", "ContainerWriter"]

CONTAINERS = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".webm": "webm",
    ".ts": "mpegts",
    ".avi": "avi",
    ".nut": "nut",
    ".hevc": "hevc",
    ".h265": "hevc",
    ".265": "hevc",
    ".h264": "h264",
    ".264": "h264",
}
# Visually lossless: on the luma of decoded camera clips, x265 at CRF 12 was measured at 47 to
# 50 dB. What was gained is not spent again; to measure gains, ffv1 is exact.
DEFAULT_OPTIONS: dict[str, dict[str, str]] = {
    "libx265": {"preset": "medium", "crf": "12"},
    "libx264": {"preset": "medium", "crf": "12"},
    "ffv1": {"level": "3", "slicecrc": "1"},
}
_FAR = 1000  # frames; no encoder reorders over such a distance
_EVEN_ONLY = ("libx264", "libx265", "libsvtav1")


def _x265_params(options: dict[str, str], info: VideoInfo) -> dict[str, str]:
    """Adds what is wanted of x265 always: no chatter on the terminal, and the HDR metadata.

    What the options say themselves comes later and wins.
    """
    entries = ["log-level=error"]
    if info.hdr:
        entries.append(info.hdr.x265_params())
    if given := options.get("x265-params"):
        entries.append(given)
    return options | {"x265-params": ":".join(entries)}


def _layout(codec: str, info: VideoInfo) -> str:
    """The encoder's pixel format that holds the samples unchanged."""
    try:
        known = {f.name for f in av.Codec(codec, "w").video_formats or ()}
    except av.codec.codec.UnknownCodecError:
        raise UserError(
            f"encoder {codec!r} is not in this FFmpeg; known ones: libx265, libx264, ffv1, ..."
        ) from None
    name = info.pixel_format.av_name
    if name in known or not known:
        return name
    if name == "gbrp" and "bgr0" in known:
        return "bgr0"
    raise UserError(
        f"{codec} cannot encode {name}; use ffv1 in .mkv, which takes almost any format"
    )


def _check_size(codec: str, info: VideoInfo) -> None:
    across, down = info.pixel_format.factors
    if codec in _EVEN_ONLY and (info.width % across or info.height % down):
        raise UserError(
            f"{codec} cannot encode {info.width}x{info.height} in "
            f"4:{':'.join(info.pixel_format.subsampling[1:])}, where sizes must be multiples of "
            f"{across}x{down}; use ffv1 in .mkv"
        )


class ContainerWriter(Writer):
    """An encoded video in a container.

    Args:
      path: its suffix names the container.
      info: of the frames to come.
      codec: FFmpeg's name of the encoder.
      options: of the encoder; None for :data:`DEFAULT_OPTIONS`.
      copy_from: the file whose other streams come along.
      copy_seconds: how much of them; None for all.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        codec: str = "libx265",
        options: Mapping[str, str] | None = None,
        copy_from: Path | None = None,
        copy_seconds: float | None = None,
    ) -> None:
        super().__init__(path)
        if path.suffix.lower() not in CONTAINERS:
            raise UserError(
                f"{path}: {path.suffix!r} is no container known here"
                + near_misses(path.suffix.lower(), [*CONTAINERS, ".yuv", ".y4m"])
            )
        _check_size(codec, info)
        self.info = info
        self._base = info.time_base or 1 / (info.frame_rate or Fraction(25))
        self._tick = max(1, round(1 / ((info.frame_rate or Fraction(25)) * self._base)))
        self._last: int | None = None
        self._first = 0
        chosen = dict(DEFAULT_OPTIONS.get(codec, {}) if options is None else options)
        kind = CONTAINERS[path.suffix.lower()]
        with translated(path, "written"):
            self.part.open("wb").close()  # FFmpeg would do so with the first packet only
            self._container = av.open(str(self.part), "w", format=kind)
            try:
                if codec == "libx265":
                    chosen = _x265_params(chosen, info)
                elif info.hdr:
                    warnings.warn(f"{codec} does not take the HDR metadata along", stacklevel=4)
                self._stream = self._add_video(codec, chosen)
                self._others = Passthrough(
                    copy_from, self._container, self._stream, until=copy_seconds
                )
            except BaseException:
                self._abandon()
                raise

    def _add_video(self, codec: str, options: dict[str, str]) -> av.VideoStream:
        info = self.info
        layout = _layout(codec, info)
        _check_options(codec, options)
        try:
            stream = cast(
                av.VideoStream, self._container.add_stream(codec, rate=info.frame_rate or 25)
            )
        except ValueError as err:
            raise UserError(f"{self.path}: {err}; choose another codec or container") from None
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = info.width, info.height, layout
        stream.time_base = context.time_base = self._base
        context.color_range = info.color.range
        context.colorspace = info.color.matrix
        context.color_primaries = info.color.primaries
        context.color_trc = info.color.transfer
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.color.siting != "unspecified" and info.pixel_format.subsampling == "420":
            options = options | {"chroma_sample_location": info.color.siting}
        if info.display_matrix:
            stream.set_display_matrix(info.display_matrix)
        context.options = options
        _open_encoder(context, options)
        return stream

    def _stamp(self, frame: Frame) -> int:
        """The frame's time in the stream's units; counted on where the source has none."""
        if frame.pts is None:
            pts = 0 if self._last is None else self._last + self._tick
        else:
            pts = round(frame.pts * (frame.time_base or self._base) / self._base)
        if self._last is not None and pts <= self._last:
            warnings.warn(
                f"{self.path}: frame {self.written} does not come after the one before it; "
                "moved by a tick",
                stacklevel=4,
            )
            pts = self._last + 1
        self._first = pts if self._last is None else self._first
        self._last = pts
        return pts

    def _write(self, frame: Frame) -> None:
        info = self.info
        shapes = tuple(p.shape for p in frame.planes)
        if frame.pixel_format != info.pixel_format or shapes != info.plane_shapes:
            raise UserError(
                f"{self.path}: a frame of {shapes[0][1]}x{shapes[0][0]} "
                f"{frame.pixel_format.av_name} in a video of {info.width}x{info.height} "
                f"{info.pixel_format.av_name}"
            )
        picture = to_av_frame(frame)
        if self._stream.codec_context.pix_fmt != picture.format.name:
            picture = picture.reformat(format=self._stream.codec_context.pix_fmt)
        picture.pts, picture.time_base = self._stamp(frame), self._base
        if frame.duration and frame.time_base:
            picture.duration = round(frame.duration * frame.time_base / self._base)
        picture.color_range = info.color.range
        picture.colorspace = info.color.matrix
        picture.color_primaries = info.color.primaries
        picture.color_trc = info.color.transfer
        self._mux(self._stream.encode(picture))

    def _mux(self, packets: list[av.Packet]) -> None:
        for packet in packets:
            if packet.dts is not None:
                earliest = self._first - _FAR * self._tick
                if packet.pts is not None and not earliest <= packet.dts <= packet.pts:
                    # x265 leaves the decoding times of clips of two frames to chance.
                    packet.dts = packet.pts
                self._others.advance(float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _close(self, *, whole: bool) -> None:
        if not whole:
            self._abandon()
            return
        if not self.written:
            self._abandon()
            raise UserError(f"{self.path}: no frame was written; is the source empty?")
        try:
            self._mux(self._stream.encode(None))
            self._others.advance(float("inf"))
            self._container.close()
        except BaseException:
            self._abandon()
            raise
        finally:
            self._others.close()

    def _abandon(self) -> None:
        """Closes what is thrown away; a disk that is full objects once more, in vain."""
        if hasattr(self, "_others"):
            self._others.close()
        try:
            self._container.close()
        except (av.FFmpegError, OSError):
            pass
        finally:
            discard(self.part)


def _open_encoder(context: av.VideoCodecContext, options: Mapping[str, str]) -> None:
    """What the encoder only warns of (an unknown entry of ``x265-params``) is an error here."""
    failure: Exception | None = None
    with captured(av.logging.WARNING) as logs:
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as err:
            failure = err
    said = [text.strip() for _, _, text in logs]
    refused = [text for text in said if "Unknown option" in text or "Invalid value" in text]
    if failure or refused:
        given = " ".join(f"{key}={value}" for key, value in options.items())
        reason = "; ".join(refused or said) or str(failure)
        raise UserError(f"{context.name} refuses its options ({given[:200]}): {reason}")


def _check_options(codec: str, options: Mapping[str, str]) -> None:
    """FFmpeg passes over options it does not know; here they are an error."""
    context = av.CodecContext.create(codec, "w")
    known = {o.name for o in context.supported_options.generic}
    known |= {o.name for o in context.supported_options.private}
    for name in options:
        if name not in known:
            raise UserError(
                f"encoder option {name!r} is not one of {codec}'s" + near_misses(name, known)
            )
