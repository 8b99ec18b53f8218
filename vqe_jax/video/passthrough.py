"""Sound, subtitles, attachments, chapters and tags of a source, carried over in step."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from vqe_jax.errors import UserError
from vqe_jax.video.clock import Clock, decoding_times, start_time
from vqe_jax.video.convert import Converter
from vqe_jax.video.files import translated
from vqe_jax.video.libav import Packet, open_input, packets, video_stream
from vqe_jax.video.quicktime import Extras
from vqe_jax.video.routes import (
    BARE,
    Route,
    add_converted,
    add_copy,
    codec_name,
    cover_file,
    find_routes,
    lost_tags,
)

__all__ = ["Passthrough", "other_streams"]

# Muxers write these themselves; a stale copy would contradict the new video.
_OWN_TAGS = (
    "encoder",
    "duration",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "alpha_mode",
    "handler_name",
    "vendor_id",
)
_OWN_PREFIXES = ("_statistics", "bps", "number_of_frames", "number_of_bytes")
# Broadcasts start their clock anywhere; other containers begin at 0, as the ffmpeg program does.
_KEEPS_START = ("mpegts",)
_HELD = 32  # packets; no encoder reorders over such a distance


# MOV has its own list of languages, with the bibliographic codes of ISO 639-2.
_MOV_LANGUAGES = {
    "deu": "ger",
    "nld": "dut",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "swe": "sve",
    "sqi": "alb",
    "mkd": "mac",
}


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_OWN_PREFIXES)
    }


def other_streams(source: Path) -> list[tuple[str, str]]:
    """(kind, codec) of each stream of a file that is not its video."""
    with translated(source, "read"), open_input(source) as container:
        video = video_stream(container, source)
        return [
            (stream.type, codec_name(stream))
            for stream in container.streams
            if stream.index != video.index
        ]


class Passthrough:
    """The streams of a source other than its video, copied in step with the video.

    What the container cannot hold is converted or left out with a warning that names it.

    Args:
      source: the file; None for nothing to copy.
      output: the container being written, before its header.
      video: its video stream, which gets the source's language, title and disposition.
      until: seconds from the source's start after which nothing more is copied.
      force: go on where the last sound would be lost.

    Attributes:
      shift: seconds that are taken off all times, so that the file starts at 0.
      extras: what has to be added to the file when it is closed.

    Raises:
      UserError: the source has sound, and none of it can come along.
    """

    def __init__(
        self,
        source: Path | None,
        output: av.container.OutputContainer,
        video: av.VideoStream,
        *,
        until: float | None = None,
        force: bool = False,
    ) -> None:
        self._output = output
        self._kind = output.format.name
        self._until: Fraction | float = float("inf") if until is None else Fraction(until)
        self._waiting: Packet | None = None
        self._packets: Iterator[Packet] = iter(())
        self._input: av.container.InputContainer | None = None
        self._targets: dict[int, av.stream.Stream] = {}
        self._converters: dict[int, Converter] = {}
        self._last: dict[int, int] = {}
        self._early: dict[int, list[Packet]] = {}
        self._moved = 0
        self.shift = Fraction(0)
        self.extras = Extras()
        if source is None or not source.is_file():
            return
        with translated(source, "read"):
            self._input = open_input(source)
        try:
            self._add(source, video, force)
        except BaseException:
            self._input.close()
            raise

    def _add(self, source: Path, video: av.VideoStream, force: bool) -> None:
        assert self._input is not None
        original = video_stream(self._input, source)
        routes = find_routes(source, original.index, self._kind)
        self._refuse_silence(source, routes, force)
        start = start_time(self._input)
        if self._kind not in _KEEPS_START:
            self.shift = max(Fraction(0), start)
        self._until += start - self.shift
        video.metadata.update(_kept(original.metadata))
        video.disposition = original.disposition
        for route in routes:
            if route.message:
                warnings.warn(route.message, stacklevel=2)
            self._take(route, self._input.streams[route.index], video)
        self._add_tags()
        self._packets = self._demux(original)

    def _refuse_silence(self, source: Path, routes: tuple[Route, ...], force: bool) -> None:
        sound = [r for r in routes if r.kind == "audio"]
        if not sound or self._kind in BARE or any(r.way != "drop" for r in sound):
            return
        if force:
            return
        raise UserError(
            f"the sound of {source} ({sound[0].name}) cannot be written to {self._kind}; write "
            ".mkv instead, or go on without it (enhance.py --force)"
        )

    def _take(self, route: Route, stream: Any, video: av.VideoStream) -> None:
        if "timecode" in stream.metadata:
            video.metadata.setdefault("timecode", stream.metadata["timecode"])
        if route.way == "attach" and route.kind == "attachment":
            self._output.add_attachment(stream.name or "", stream.mimetype or "", stream.data)
        elif route.way in ("attach", "cover"):
            picture = self._first_packet(route.index)
            if route.way == "cover":
                self.extras.covers.append((route.name, picture))
            else:
                self._output.add_attachment(*cover_file(stream), picture)
        elif route.way == "copy":
            self._targets[route.index] = add_copy(self._output, stream, route.layout)
            self._describe(self._targets[route.index], stream)
        elif route.way == "convert":
            converter = add_converted(self._output, stream, route.codec)
            self._describe(converter.target, stream)
            converter.target.disposition = stream.disposition
            self._targets[route.index] = converter.target
            self._converters[route.index] = converter

    def _describe(self, target: av.stream.Stream, stream: av.stream.Stream) -> None:
        tags = _kept(stream.metadata)
        if self._kind == "mov" and tags.get("language") in _MOV_LANGUAGES:
            tags["language"] = _MOV_LANGUAGES[tags["language"]]
        target.metadata.update(tags)

    def _first_packet(self, index: int) -> bytes:
        assert self._input is not None
        with open_input(Path(self._input.name)) as container:
            of_stream = packets(container, container.streams[index])
            return next((bytes(p) for p in of_stream if p.size), b"")

    def _add_tags(self) -> None:
        assert self._input is not None
        tags = _kept(self._input.metadata)
        self._output.metadata.update(tags)
        chapters = self._input.chapters()
        for chapter in chapters:
            ticks = round(self.shift / (chapter["time_base"] or 1))
            chapter["start"], chapter["end"] = chapter["start"] - ticks, chapter["end"] - ticks
        self._output.set_chapters(chapters)
        if self._kind in BARE:
            return
        lost = lost_tags(tags, self._kind)
        if self._kind in ("mp4", "mov"):
            self.extras.tags.update(lost)
        elif lost:
            names = ", ".join(sorted(lost))
            warnings.warn(f"tags that {self._kind} cannot hold are left out: {names}", stacklevel=2)

    def _demux(self, original: av.VideoStream) -> Iterator[Packet]:
        """The packets to copy, on a clock that never jumps."""
        assert self._input is not None
        clock = Clock(self._input, original.index)
        if not self._targets:
            return
        known = {s.index for s in self._input.streams}
        for packet in packets(self._input):
            if packet.stream.index not in known:
                continue
            clock.correct(packet)
            if packet.stream.index in self._targets:
                yield from self._decodable(packet)
        yield from itertools.chain(*self._early.values())

    def _decodable(self, packet: Packet) -> list[Packet]:
        """A packet, or those held back until the first one of a video that has a decoding time."""
        index = packet.stream.index
        if packet.stream.type != "video" or index in self._last:
            return [packet]
        held = self._early.setdefault(index, [])
        held += [packet] if packet.size else []
        if held and packet.dts is None and packet.size and len(held) < _HELD:
            return []
        decoding_times(held)
        return self._early.pop(index)

    def advance(self, seconds: float) -> None:
        """Writes the packets that are due before a time, so that no stream runs far ahead.

        Args:
          seconds: decoding time of the video packet that comes next, in the new file.
        """
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            stamp = packet.pts if packet.dts is None else packet.dts
            if not packet.time_base:  # the stream's header is damaged
                continue
            if stamp is None:
                if not packet.size:  # the empty packet that ends a stream
                    continue
                stamp = packet.pts = packet.dts = 0  # a cover picture
            if stamp * packet.time_base - self.shift > min(seconds, self._until):
                self._waiting = packet
                return
            self._put(packet)

    def _put(self, packet: Packet) -> None:
        index = packet.stream.index
        ticks = round(self.shift / packet.time_base)
        cover = packet.stream.disposition & av.stream.Disposition.attached_pic
        if ticks and not cover:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        converter = self._converters.get(index)
        for made in converter.packets(packet) if converter else [packet]:
            self._mux(made, index)

    def _mux(self, packet: Packet, index: int) -> None:
        """Hands a packet to the muxer, whose decoding times must grow."""
        target = self._targets[index]
        last = self._last.get(index)
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is not None:
            base = target.time_base or packet.time_base
            now = round(dts * packet.time_base / base)
            if last is not None and now <= last:
                later = last + 1 - now
                self._moved += now < last
                packet.pts = (
                    now + later
                    if packet.pts is None
                    else max(round(packet.pts * packet.time_base / base), last + 1)
                )
                packet.dts, now = last + 1, last + 1
                packet.duration = round((packet.duration or 0) * packet.time_base / base)
                packet.time_base = base
            self._last[index] = now
        packet.stream = target
        self._output.mux(packet)

    def finish(self) -> None:
        """Writes all that is left."""
        self.advance(float("inf"))
        for index, converter in self._converters.items():
            for packet in converter.packets(None):
                self._mux(packet, index)
            if converter.lost:
                warnings.warn(
                    f"{converter.lost} packets of stream {index} could not be decoded and are "
                    "missing",
                    stacklevel=2,
                )
        if self._moved:
            warnings.warn(
                f"{self._moved} packets of sound or text did not come after the one before them; "
                "each moved by a tick",
                stacklevel=2,
            )

    def close(self) -> None:
        """Closes the source."""
        if self._input is not None:
            self._packets = iter(())
            self._input.close()
