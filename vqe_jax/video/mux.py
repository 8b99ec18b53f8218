"""Writing containers through PyAV: one encoded video stream, the rest carried over."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av

from vqe_jax.errors import UserError, near_misses
from vqe_jax.video.base import Writer
from vqe_jax.video.encoders import (
    CONTAINERS,
    DEFAULT_OPTIONS,
    check_options,
    default_encoder,
    encoder_name,
    keeps_alpha,
    keeps_captions,
    known_quality,
    layout_for,
)
from vqe_jax.video.files import discard, translated
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.libav import Packet, open_output, usual_priority
from vqe_jax.video.log import captured
from vqe_jax.video.passthrough import Passthrough
from vqe_jax.video.planes import to_av_frame
from vqe_jax.video.quicktime import add_extras

__all__ = ["ContainerWriter"]

_FAR = 1000  # frames; no encoder reorders over such a distance
_EVEN_ONLY = ("libx264", "libx265", "libsvtav1")
# Encoders and containers in which a frame lasts one unit of time: the unit must be the frame rate.
_FIXED_RATE = (
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "libxvid",
    "msmpeg4",
    "msmpeg4v2",
    "h263",
    "h263p",
    "flv",
    "wmv1",
    "wmv2",
    "avi",
    "mpeg",
)
_HEVC = ("libx265", "libkvazaar", "hevc_nvenc", "hevc_qsv", "hevc_vaapi", "hevc_videotoolbox")


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
    found = layout_for(codec, info.pixel_format, alpha=info.alpha)
    if found is None:
        raise UserError(
            f"{codec} cannot encode {info.pixel_format.av_name}; use ffv1 in .mkv, which takes "
            "almost any format"
        )
    return found


def _check_size(codec: str, info: VideoInfo) -> None:
    across, down = info.pixel_format.factors
    if codec in _EVEN_ONLY and (info.width % across or info.height % down):
        raise UserError(
            f"{codec} cannot encode {info.width}x{info.height} in "
            f"4:{':'.join(info.pixel_format.subsampling[1:])}, where sizes must be multiples of "
            f"{across}x{down}; use ffv1 in .mkv"
        )


def _what_is_kept(codec: str, info: VideoInfo, path: Path) -> VideoInfo:
    """The description without what the encoder cannot hold, of which it warns."""
    if info.captions and not keeps_captions(codec):
        warnings.warn(
            f"the source's closed captions (CEA-608/708) are left out: {codec} writes none; "
            "libx265 and libx264 do",
            stacklevel=5,
        )
    if not info.alpha or keeps_alpha(codec, info.pixel_format, path):
        return info
    warnings.warn(
        "the source's transparency (alpha channel) is left out: the result is opaque; "
        "--codec ffv1 in .mkv keeps it",
        stacklevel=5,
    )
    return dataclasses.replace(info, alpha=False)


class ContainerWriter(Writer):
    """An encoded video in a container; its header is written when it is opened.

    Args:
      codec: FFmpeg's name of the encoder; None for the container's usual one.
      options: of the encoder; None for :data:`vqe_jax.video.encoders.DEFAULT_OPTIONS`.
      copy_from: the file whose other streams come along.
      copy_seconds: how much of them; None for all.
      force: go on where all sound would be lost.
    """

    def __init__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        codec: str | None = None,
        options: Mapping[str, str] | None = None,
        copy_from: Path | None = None,
        copy_seconds: float | None = None,
        force: bool = False,
    ) -> None:
        super().__init__(path)
        if path.suffix.lower() not in CONTAINERS:
            raise UserError(
                f"{path}: {path.suffix!r} is no container known here"
                + near_misses(path.suffix.lower(), [*CONTAINERS, ".yuv", ".y4m"])
            )
        codec = encoder_name(codec) if codec else default_encoder(path, info)
        _check_size(codec, info)
        told = info.alpha
        self.info = info = _what_is_kept(codec, info, path)
        self._kind = CONTAINERS[path.suffix.lower()]
        rate = info.frame_rate or Fraction(25)
        fixed = codec in _FIXED_RATE or self._kind in _FIXED_RATE
        self._base = 1 / rate if fixed or not info.time_base else info.time_base
        self._tick = max(1, round(1 / (rate * self._base)))
        self._fixed, self._origin = fixed, Fraction(0)
        self._last: int | None = None
        self._first = self._moved = self._rounded = self._unheard = self._opaque = 0
        self._told = told
        self._captions = keeps_captions(codec)
        chosen = dict(DEFAULT_OPTIONS.get(codec, {}) if options is None else options)
        if not known_quality(codec, chosen):
            warnings.warn(
                f"encoder {codec} runs at its own default quality, which may lose more than was "
                "gained; choose one with --encoder-options",
                stacklevel=4,
            )
        self._claim()
        try:
            with translated(path, "written"):
                self._container = open_output(self.part, self._kind)
                self._stream = self._add_video(codec, chosen)
                self._others = Passthrough(
                    copy_from, self._container, self._stream, until=copy_seconds, force=force
                )
                self._container.start_encoding()
        except BaseException:
            self._abandon()
            raise

    def _add_video(self, codec: str, given: dict[str, str]) -> av.VideoStream:
        info = self.info
        layout = _layout(codec, info)
        check_options(codec, given)
        if info.hdr and codec != "libx265":
            warnings.warn(f"{codec} does not take the HDR metadata along", stacklevel=5)
        try:
            stream = cast(
                av.VideoStream, self._container.add_stream(codec, rate=info.frame_rate or 25)
            )
        except ValueError as err:
            usual = default_encoder(self.path, info)
            raise UserError(
                f"{self.path}: {err}; choose another codec (--codec {usual}) or container (.mkv)"
            ) from None
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = info.width, info.height, layout
        stream.time_base = context.time_base = self._base
        context.color_range = info.color.range
        context.colorspace = info.color.matrix
        context.color_primaries = info.color.primaries
        context.color_trc = info.color.transfer
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        if info.alpha and codec.startswith("libvpx"):
            stream.metadata["alpha_mode"] = "1"
        if info.display_matrix:
            stream.set_display_matrix(info.display_matrix)
        if codec in _HEVC and self._kind in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players know HEVC under this name only
        if info.interlaced:
            context.field_order = 3 if info.field_order == "bottom" else 2
        context.options = self._encoder_options(codec, given)
        _open_encoder(context, given)
        return stream

    def _encoder_options(self, codec: str, given: dict[str, str]) -> dict[str, str]:
        """What was chosen, and what follows from the pictures."""
        info, options = self.info, dict(given)
        if info.color.siting != "unspecified" and info.pixel_format.subsampling == "420":
            options["chroma_sample_location"] = info.color.siting
        if codec == "libx265":
            options = {"a53cc": "1"} | _x265_params(options, info)
        if codec == "libx264" and info.interlaced and not info.height % 4:
            field = "bff=1" if info.field_order == "bottom" else "tff=1"
            options["x264-params"] = ":".join(filter(None, [field, given.get("x264-params")]))
        if self._kind == "avi" and codec == "libx264":
            options.setdefault("bf", "0")  # AVI has decoding times only
        if info.alpha and codec.startswith("libvpx"):
            options.setdefault("auto-alt-ref", "0")  # its hidden frames have no transparency
        if codec == "mjpeg":
            options.setdefault("strict", "unofficial")  # limited range
        if codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors only
        return options

    def foresee(self, times: Sequence[Fraction]) -> list[str]:
        """What would be said at the end of frames shown at these times; for a rehearsal."""
        for time in times:
            self._stamp(time)
        return [*super().foresee(times), *self._moves()]

    def _stamp(self, time: Fraction | None) -> int:
        """A frame's time in the stream's units; counted on where the source has none."""
        if time is None:
            pts = 0 if self._last is None else self._last + self._tick
        else:
            exact = (time - self._others.shift) / self._base
            if self._last is None:
                self._origin = exact - round(exact)
            even = exact - self._origin  # a shift of less than a step is none
            pts = round(even if self._fixed else exact)
            self._rounded += abs(even - round(even)) > Fraction(1, 4)
        if self._last is not None and pts <= self._last:
            self._moved += 1
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
        picture = to_av_frame(frame, alpha=info.alpha, captions=self._captions)
        if frame.alpha is not None and not info.alpha:
            self._opaque += int(frame.alpha.min()) < frame.pixel_format.maximum
        self._unheard += frame.carrier is not None and not self._captions
        if self._stream.codec_context.pix_fmt != picture.format.name:
            picture = picture.reformat(format=self._stream.codec_context.pix_fmt)
        time = None if frame.pts is None else frame.pts * (frame.time_base or self._base)
        picture.pts, picture.time_base = self._stamp(time), self._base
        if frame.duration and frame.time_base:
            picture.duration = round(frame.duration * frame.time_base / self._base)
        picture.color_range = info.color.range
        picture.colorspace = info.color.matrix
        picture.color_primaries = info.color.primaries
        picture.color_trc = info.color.transfer
        self._mux(self._stream.encode(picture))

    def _mux(self, packets: list[Packet]) -> None:
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
            self._others.finish()
            self._container.close()
            if not add_extras(self.part, self._others.extras):
                warnings.warn(f"{self.path}: some tags could not be written", stacklevel=4)
        except BaseException:
            self._abandon()
            raise
        finally:
            self._others.close()
        self._say_what_moved()

    def _say_what_moved(self) -> None:
        if self._opaque and not self._told:
            warnings.warn(
                f"{self.path}: the transparency of {self._opaque} frames is left out", stacklevel=5
            )
        if self._unheard and not self.info.captions:  # else it was said before
            warnings.warn(
                f"{self.path}: the closed captions of {self._unheard} frames are left out",
                stacklevel=5,
            )
        for message in self._moves():
            warnings.warn(message, stacklevel=5)

    def _moves(self) -> Iterator[str]:
        if self._moved:
            yield (
                f"{self.path}: {self._moved} frames did not come after the one before them; each "
                "was moved by a tick"
            )
        if self._rounded:
            yield (
                f"{self.path}: {self._rounded} frames are not at even steps in the source; "
                f"{self.path.suffix} shows them at the nearest of {float(1 / self._base):.5g} a "
                "second"
            )

    def _abandon(self) -> None:
        """Closes what is thrown away; a disk that is full objects once more, in vain."""
        if hasattr(self, "_others"):
            self._others.close()
        try:
            if hasattr(self, "_container"):
                self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            pass
        finally:
            self._release()
            discard(self.part)


def _open_encoder(context: av.VideoCodecContext, options: Mapping[str, str]) -> None:
    """What the encoder only warns of (an unknown entry of ``x265-params``) is an error here."""
    failure: Exception | None = None
    with captured(av.logging.WARNING) as logs, usual_priority():
        try:
            context.open(strict=False)
        except (av.FFmpegError, ValueError) as err:
            failure = err
    said = [line for _, _, text in logs if (line := " ".join(text.split()))]
    refused = [text for text in said if "Unknown option" in text or "Invalid value" in text]
    if failure or refused:
        given = " ".join(f"{key}={value}" for key, value in options.items())
        # libvpx says all of its settings before it says which it does not take.
        reason = "; ".join(refused or said[-2:])[-300:] or str(failure)
        raise UserError(f"{context.name} refuses its options ({given[:200]}): {reason}")
