"""Sound, subtitles, attachments, chapters and metadata of a source, carried over unchanged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import av

from vqe_jax.video.container import video_stream
from vqe_jax.video.files import translated

__all__ = ["Passthrough"]

# Muxers write these themselves; a stale copy would contradict the new video.
_OWN_TAGS = ("encoder", "duration", "major_brand", "minor_version", "compatible_brands")
_OWN_PREFIXES = ("_statistics", "bps", "number_of_frames", "number_of_bytes")


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OWN_TAGS and not key.lower().startswith(_OWN_PREFIXES)
    }


class Passthrough:
    """The streams of a source other than its video, copied in step with the video.

    What the container cannot hold is left out with a warning that names it.

    Args:
      source: the file; None for nothing to copy.
      output: the container being written, before its first packet.
      video: its video stream, which gets the source's language, title and disposition.
      until: seconds from the source's start after which nothing more is copied.
    """

    def __init__(
        self,
        source: Path | None,
        output: av.container.OutputContainer,
        video: av.VideoStream,
        *,
        until: float | None = None,
    ) -> None:
        self._output = output
        self._until = float("inf") if until is None else until
        self._waiting: av.Packet | None = None
        self._packets: Iterator[av.Packet] = iter(())
        self._input: av.container.InputContainer | None = None
        if source is None or not source.is_file():
            return
        with translated(source, "read"):
            self._input = av.open(str(source))
            self._until += (self._input.start_time or 0) / av.time_base
        try:
            self._add_streams(source, video)
        except BaseException:
            self._input.close()
            raise

    def _add_streams(self, source: Path, video: av.VideoStream) -> None:
        assert self._input is not None
        original = video_stream(self._input, source)
        video.metadata.update(_kept(original.metadata))
        video.disposition = original.disposition
        self._targets: dict[int, av.stream.Stream] = {}
        for stream in self._input.streams:
            if stream.index != original.index:
                self._add(stream)
        self._output.metadata.update(_kept(self._input.metadata))
        self._output.set_chapters(self._input.chapters())
        copied = [s for s in self._input.streams if s.index in self._targets]
        self._packets = self._input.demux(*copied) if copied else iter(())

    def _add(self, stream: av.stream.Stream) -> None:
        if stream.type == "data":
            # MP4 keeps chapters as a track, too; the muxer makes it anew and refuses it as data.
            chapters = self._input.chapters() if self._input else []
            if not (chapters and stream.name == "bin_data"):
                self._left_out(stream, "data streams cannot be copied")
            return
        try:
            if isinstance(stream, av.stream.AttachmentStream):
                self._output.add_attachment(stream.name or "", stream.mimetype or "", stream.data)
                return
            target = self._output.add_stream_from_template(stream)
        except (ValueError, av.FFmpegError) as err:
            self._left_out(stream, str(err))
            return
        target.metadata.update(_kept(stream.metadata))
        target.disposition = stream.disposition
        self._targets[stream.index] = target

    def _left_out(self, stream: av.stream.Stream, why: str) -> None:
        warnings.warn(
            f"stream {stream.index} ({stream.type}, {stream.name}) is left out: {why}",
            stacklevel=2,
        )

    def advance(self, seconds: float) -> None:
        """Writes the packets that are due before a time, so that no stream runs far ahead.

        Args:
          seconds: decoding time of the video packet that comes next.
        """
        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            stamp = packet.pts if packet.dts is None else packet.dts
            if stamp is None:  # the empty packet that ends a stream
                continue
            if float(stamp * packet.time_base) > min(seconds, self._until):
                self._waiting = packet
                return
            packet.stream = self._targets[packet.stream_index]
            self._output.mux(packet)

    def close(self) -> None:
        """Closes the source."""
        if self._input is not None:
            self._input.close()
