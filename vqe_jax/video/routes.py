"""What becomes of each stream of a source in another container: found out by trying.

Lists of which container holds which codec are incomplete, so a few packets of a stream are
written to a container in memory and read back. What comes back as it was is copied. Sound and
text that do not are converted, without loss where the container has such a codec. The rest is left
out by name.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import itertools
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av

from vqe_jax.video.clock import decoding_times
from vqe_jax.video.convert import AudioConverter, Converter, SubtitleConverter, stated_layout
from vqe_jax.video.libav import Packet, open_input, packets

__all__ = [
    "BARE",
    "Route",
    "add_converted",
    "add_copy",
    "codec_name",
    "cover_file",
    "find_routes",
    "lost_tags",
]

Way = Literal["copy", "convert", "attach", "cover", "done", "drop"]

# Bitstreams: nothing but pictures.
BARE = ("hevc", "h264")
_MATROSKA, _QUICKTIME = "matroska", ("mp4", "mov", "3gp")
# Encoders to try in this order; those before the bar lose nothing.
_SOUND = {
    "matroska": ("flac",),
    "nut": ("flac",),
    "mp4": ("flac",),
    "mov": ("alac",),
    "avi": ("pcm_s16le", "pcm_s24le"),
    "webm": ("libopus",),
    "mpegts": ("aac",),
    "flv": ("aac",),
    "3gp": ("aac",),
    "mpeg": ("mp2",),
}
_LOSSLESS = ("flac", "alac", "pcm_s16le", "pcm_s24le")
_TEXT = {"matroska": "subrip", "mp4": "mov_text", "mov": "mov_text", "webm": "webvtt"}
_IS_TEXT = ("srt", "subrip", "ass", "ssa", "mov_text", "webvtt", "text", "ttml")
_STYLED = ("ass", "ssa")
_ENDINGS = {
    "mjpeg": ("jpg", "image/jpeg"),
    "png": ("png", "image/png"),
    "bmp": ("bmp", "image/bmp"),
}
_ANY_VIDEO = ("mpeg4", "flv", "mpeg2video")
_SAMPLES = 4  # packets of a stream that are tried
_SEARCHED = 20_000  # packets of a file in which they are looked for
_EARLY = 500


@dataclasses.dataclass(frozen=True)
class Route:
    """What becomes of one stream.

    Attributes:
      kind: ``"audio"``, ``"subtitle"``, ``"video"``, ``"data"``, ``"attachment"``, ...
      way: copied, converted, made an attachment, a cover in the tags, already in the tags, or
        left out.
      layout: of the channels, where the source does not state it.
      why: in words, where it is left out or changes.
    """

    index: int
    kind: str
    name: str
    way: Way
    codec: str = ""
    layout: str = ""
    why: str = ""

    @property
    def message(self) -> str:
        """What the user is told; empty where nothing is lost."""
        if self.way == "drop":
            return f"stream {self.index} ({self.kind}, {self.name}) is left out: {self.why}"
        if self.why:
            return f"stream {self.index} ({self.kind}, {self.name}) {self.why}"
        return ""


def _copy(packet: Packet, at: int) -> Packet:
    twin = Packet(bytes(packet))
    if packet.time_base:
        twin.time_base = packet.time_base
    twin.pts = packet.pts if packet.pts is not None else at
    twin.dts = packet.dts if packet.dts is not None else twin.pts
    twin.duration = packet.duration
    twin.is_keyframe = packet.is_keyframe
    return twin


def _samples(container: av.container.InputContainer) -> dict[int, list[Packet]]:
    """The first packets of each stream; of text and data only what comes early."""
    cover = av.stream.Disposition.attached_pic
    found: dict[int, list[Packet]] = {
        s.index: [] for s in container.streams if s.type != "attachment"
    }
    needed = {s.index for s in container.streams.audio} | {
        s.index for s in container.streams.video if not s.disposition & cover
    }
    for count, packet in enumerate(itertools.islice(packets(container), _SEARCHED)):
        kept = found.get(packet.stream.index)
        if packet.size and kept is not None and len(kept) < _SAMPLES:
            kept.append(packet)
        if count > _EARLY and all(len(found[index]) >= _SAMPLES for index in needed):
            break
    for stream in container.streams.video:
        if any(packet.dts is None for packet in found[stream.index]):
            decoding_times(found[stream.index])
    return {
        index: [_copy(packet, at) for at, packet in enumerate(packets)]
        for index, packets in found.items()
    }


def _line(name: str) -> Packet:
    """A subtitle, for streams whose first one comes late."""
    text = b"\0\1x" if name == "mov_text" else b"0,0,Default,,0,0,0,,x"
    packet = Packet(text)
    packet.pts, packet.dts, packet.time_base = 0, 0, Fraction(1, 1000)
    packet.duration = 1
    return packet


Trial = Callable[[av.container.OutputContainer], list[tuple[av.stream.Stream, Packet]]]


def _read_back(kind: str, trial: Trial) -> av.stream.Stream | None:
    """Writes a container in memory and returns the first stream in it; None if it cannot be."""
    memory = io.BytesIO()
    try:
        output = av.open(memory, "w", format=kind)
        for stream, packet in trial(output):
            packet.stream = stream
            output.mux(packet)
        output.start_encoding()
        output.close()
        memory.seek(0)
        # The container must outlive its stream.
        found = av.open(memory, format=kind, metadata_errors="replace")
        return next(iter(found.streams), None)
    except (av.FFmpegError, ValueError, OSError, EOFError, NotImplementedError):
        return None


def codec_name(stream: Any) -> str:
    """What a stream is, in a word: its codec, or the name of an attachment."""
    if stream.type in ("data", "attachment"):
        return str(stream.name or "unknown")
    return stream.codec_context.name if stream.codec_context else "unknown"


def _copies(kind: str, stream: Any, samples: list[Packet], layout: str | None) -> bool:
    """Whether a stream comes back from a container as it was."""
    packets = samples or ([_line(codec_name(stream))] if stream.type == "subtitle" else [])

    def trial(output: av.container.OutputContainer) -> list[tuple[av.stream.Stream, Packet]]:
        target = add_copy(output, stream, layout)
        return [(target, _copy(p, i)) for i, p in enumerate(packets)]

    found = _read_back(kind, trial)
    if found is None or (found.type == "audio" and not _opens(found)):
        return False
    cover = av.stream.Disposition.attached_pic
    same_role = not stream.disposition & cover or bool(found.disposition & cover)
    same_codec = _family(codec_name(found)) == _family(codec_name(stream))
    return found.type == stream.type and same_codec and same_role


def _opens(stream: Any) -> bool:
    """Whether a decoder would begin with what a container tells of a stream."""
    try:
        stream.codec_context.open(strict=False)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _family(name: str) -> str:
    """MP4 does not tell the layers of MPEG audio apart; decoders do."""
    return "mpeg audio" if re.fullmatch(r"mp[123](float)?", name) else name


def _converts(kind: str, stream: Any, samples: list[Packet], codec: str) -> bool:
    def trial(output: av.container.OutputContainer) -> list[tuple[av.stream.Stream, Packet]]:
        converter = add_converted(output, stream, codec)
        made = [p for s in samples for p in converter.packets(_copy(s, 0))]
        if stream.type == "audio":
            made += converter.packets(None)
            stream.codec_context.flush_buffers()  # it will be asked again
        return [(converter.target, packet) for packet in made]

    found = _read_back(kind, trial)
    return found is not None and found.type == stream.type


def add_copy(
    output: av.container.OutputContainer, stream: Any, layout: str | None
) -> av.stream.Stream:
    """Adds a stream whose packets will be copied."""
    target = output.add_stream_from_template(stream, opaque=True)
    if layout:
        target.codec_context.layout = layout
    target.disposition = stream.disposition
    return target


def add_converted(output: av.container.OutputContainer, stream: Any, codec: str) -> Converter:
    """Adds a stream whose packets will be converted."""
    if stream.type == "audio":
        return AudioConverter(stream, output, codec)
    return SubtitleConverter(stream, output, codec)


def find_routes(source: Path, video: int, kind: str) -> tuple[Route, ...]:
    """What becomes of the streams of a file other than its video.

    Args:
      kind: FFmpeg's name of the container to write.
    """
    with open_input(source) as container:
        others = [s for s in container.streams if s.index != video]
        if not others:
            return ()
        chapters = bool(container.chapters())
        samples = {} if kind in BARE else _samples(container)
    with open_input(source) as container:  # decoders afresh
        return tuple(
            _route(kind, stream, samples.get(stream.index, []), chapters)
            for stream in container.streams
            if stream.index != video
        )


def _route(kind: str, stream: Any, samples: list[Packet], chapters: bool) -> Route:
    index, name = stream.index, codec_name(stream)
    here = (index, stream.type, name)
    if kind in BARE:
        return Route(*here, "drop", why="a bitstream holds pictures only")
    if stream.type == "attachment":
        if kind == _MATROSKA:
            return Route(*here, "attach")
        return Route(*here, "drop", why=f"{kind} holds no attachments; .mkv does")
    # The muxer writes time code from the tags, and chapters that MP4 keeps as a track, too.
    if stream.type == "data" and (
        "timecode" in stream.metadata or (chapters and name == "bin_data")
    ):
        return Route(*here, "done")
    if stream.disposition & av.stream.Disposition.attached_pic:
        return _cover(kind, stream, samples)
    layout = (
        stated_layout(stream) if stream.type == "audio" and stream.codec_context else ""
    ) or ""
    if _copies(kind, stream, samples, layout):
        return Route(*here, "copy", layout=layout)
    return _other_coding(kind, stream, samples)


def _cover(kind: str, stream: Any, samples: list[Packet]) -> Route:
    here = (stream.index, "cover picture", codec_name(stream))
    if kind == _MATROSKA and samples and codec_name(stream) in _ENDINGS:
        return Route(*here, "attach")
    if kind == "mov" and samples and codec_name(stream) in _ENDINGS:
        return Route(*here, "cover")
    if kind in _QUICKTIME and samples and _copies(kind, stream, samples, None):
        return Route(*here, "copy")
    return Route(*here, "drop", why=f"{kind} holds no cover; .mkv and .mp4 do")


def _other_coding(kind: str, stream: Any, samples: list[Packet]) -> Route:
    index, name = stream.index, codec_name(stream)
    here = (index, stream.type, name)
    # A damaged header may leave a decoder without a sample format; nothing can be made of it.
    if stream.type == "audio" and samples and getattr(stream.codec_context, "format", None):
        sampled = stream.codec_context.format.name
        for codec in _SOUND.get(kind, ()):
            if codec == "pcm_s16le" and sampled.startswith("s32"):
                continue
            if _converts(kind, stream, samples, codec):
                exact = codec in _LOSSLESS and (codec != "pcm_s16le" or "16" in sampled)
                loss = "without loss" if exact else "with some loss"
                why = f"becomes {codec.removeprefix('lib')}, {loss}: {kind} cannot hold it as it is"
                return Route(*here, "convert", codec=codec, why=why)
    if stream.type == "subtitle" and name in _IS_TEXT and kind in _TEXT:
        codec = _TEXT[kind]
        if _converts(kind, stream, samples or [_line(name)], codec):
            loss = " without its styles" if name in _STYLED else ""
            why = f"becomes {codec}{loss}: {kind} cannot hold it as it is"
            return Route(*here, "convert", codec=codec, why=why)
    return Route(*here, "drop", why=f"{kind} cannot hold it")


def cover_file(stream: Any) -> tuple[str, str]:
    """Name and MIME type of a cover picture as a file."""
    ending, mime = _ENDINGS[codec_name(stream)]
    return stream.metadata.get("filename", f"cover.{ending}"), mime


def lost_tags(tags: dict[str, str], kind: str) -> dict[str, str]:
    """Those tags of a file that a container does not give back, found by trying."""
    if not tags:
        return {}

    def trial(
        output: av.container.OutputContainer, codec: str
    ) -> list[tuple[av.stream.Stream, Packet]]:
        stream = cast(av.VideoStream, output.add_stream(codec, rate=25))
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        output.metadata.update(tags)
        packets = stream.encode(av.VideoFrame(16, 16, "yuv420p")) + stream.encode(None)
        return [(stream, packet) for packet in packets]

    holder = "matroska" if kind == "webm" else kind
    tried = (_read_back(holder, functools.partial(trial, codec=codec)) for codec in _ANY_VIDEO)
    found = next((stream for stream in tried if stream is not None), None)
    kept = {key.lower() for key in found.container.metadata} if found is not None else set()
    return {key: value for key, value in tags.items() if key.lower() not in kept}
