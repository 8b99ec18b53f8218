"""Sound and text of a source in another coding, where the container cannot hold the one it has."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any, cast

import av

from vqe_jax.video.libav import Packet

__all__ = ["AudioConverter", "Converter", "SubtitleConverter", "stated_layout"]

# What players assume of so many channels whose places are not stated.
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
_FEWER = ("5.1", "stereo", "mono")
_SHORT = ("u8", "u8p", "s16", "s16p")
_RESHAPING = ("libopus", "aac", "mp2")  # which lose a little anyway
_HOLE = Fraction(1, 5)  # seconds
_MILLISECONDS = Fraction(1, 1000)


def stated_layout(stream: av.AudioStream) -> str | None:
    """The usual layout of a stream that says how many channels it has but not where; else None."""
    layout = stream.codec_context.layout
    if layout.nb_channels and layout.name.endswith("channels"):
        return _LAYOUTS.get(layout.nb_channels)
    return None


class AudioConverter:
    """Decodes the packets of a stream and encodes them anew.

    Args:
      output: the container to write, before its header.
    """

    def __init__(
        self, source: av.AudioStream, output: av.container.OutputContainer, codec: str
    ) -> None:
        decoder = source.codec_context
        rate = _rate(codec, decoder.sample_rate)
        sampled = _sample_format(codec, decoder.format.name)
        layout = stated_layout(source) or decoder.layout.name
        if codec in _RESHAPING:
            layout = _accepted_layout(codec, layout, decoder.layout.nb_channels, rate, sampled)
        self.target = cast(av.AudioStream, output.add_stream(codec, rate=rate))
        self.target.layout = layout
        self.target.format = sampled
        self._source, self._nut = source, output.format.name == "nut"
        self.target.codec_context.open(strict=False)
        self.lost = 0
        self._heard: int | None = None  # samples of the source so far
        self._spoken = 0  # and where the next piece for the encoder belongs
        self._resampler = av.AudioResampler(
            self.target.format.name, layout, rate, self.target.codec_context.frame_size or None
        )

    def packets(self, packet: Packet | None) -> list[Packet]:
        """The packets that are complete after another one of the source; all, after None.

        Args:
          packet: of the source; None at its end.
        """
        if packet is not None and not packet.size:
            return []
        context = self._source.codec_context
        encoded: list[Packet] = []
        try:
            frames = context.decode(packet)
        except av.FFmpegError:  # a click, as players have it
            frames = []
            self.lost += packet is not None
        for frame in frames:
            self._keep_time(frame)
            encoded += self._encoded(self._resampler.resample(frame))
        if packet is None:
            encoded += self._encoded(self._resampler.resample(None))
            encoded += self.target.encode(None)
        # FLAC ends with an empty packet for the header, which NUT would take for sound.
        return [p for p in encoded if p.size or not self._nut]

    def _encoded(self, pieces: list[av.AudioFrame]) -> list[Packet]:
        packets = []
        for piece in pieces:
            piece.pts, piece.time_base = self._spoken, Fraction(1, self.target.rate)
            self._spoken += piece.samples
            packets += self.target.encode(piece)
        return packets

    def _keep_time(self, frame: av.AudioFrame) -> None:
        """Counts samples, which is finer than most clocks; holes in the sound stay holes."""
        rate = frame.sample_rate
        if frame.pts is not None and frame.time_base:
            due = round(frame.pts * frame.time_base * rate)
            if self._heard is None or due - self._heard > _HOLE * rate:
                late = due - (self._heard or 0)
                self._spoken += round(late * self.target.rate / rate)
                self._heard = due
        self._heard = (self._heard or 0) + frame.samples
        frame.pts = None


def _rate(codec: str, wanted: int) -> int:
    """The least sampling rate that an encoder takes and that loses nothing; else its highest."""
    known = av.Codec(codec, "w").audio_rates
    if not known:
        return wanted
    return min((r for r in known if r >= wanted), default=max(known))


def _accepted_layout(codec: str, own: str, channels: int, rate: int, sampled: str) -> str:
    """The layout of a stream, or the next best that an encoder takes."""
    for layout in (own, _LAYOUTS.get(channels, own), *_FEWER):
        encoder = cast(av.AudioCodecContext, av.CodecContext.create(codec, "w"))
        encoder.sample_rate, encoder.layout, encoder.format = rate, layout, sampled
        with contextlib.suppress(av.FFmpegError, ValueError):
            encoder.open(strict=False)
            return layout
    return own


def _sample_format(codec: str, found: str) -> str:
    """The encoder's sample format that holds what was decoded."""
    known = [f.name for f in av.Codec(codec, "w").audio_formats or ()]
    wanted = ("s16", "s16p") if found in _SHORT else ("s32", "s32p", "fltp", "flt", "s16", "s16p")
    return next((name for name in wanted if name in known), known[0])


class SubtitleConverter:
    """Decodes text subtitles and encodes them as another container has them.

    Args:
      output: the container to write, before its header.
    """

    def __init__(self, source: Any, output: av.container.OutputContainer, codec: str) -> None:
        self.lost = 0
        self._decoder = source.codec_context
        self._decoder.open(strict=False)
        self.target: Any = output.add_stream(codec)
        context: Any = self.target.codec_context
        context.subtitle_header = self._decoder.subtitle_header
        context.time_base = self.target.time_base = _MILLISECONDS
        context.open(strict=False)

    def packets(self, packet: Packet | None) -> list[Packet]:
        """The line of text in a packet of the source; none for the gaps between lines.

        Args:
          packet: of the source; None at its end.
        """
        if packet is None or packet.pts is None:
            return []
        try:
            lines = self._decoder.decode2(packet)
        except av.FFmpegError:
            self.lost += 1
            return []
        if lines is None or not len(lines):
            return []
        made = self.target.codec_context.encode_subtitle(lines)
        made.time_base = _MILLISECONDS
        made.pts = made.dts = round(packet.pts * packet.time_base / _MILLISECONDS)
        made.duration = round((packet.duration or 0) * packet.time_base / _MILLISECONDS)
        return [made]


Converter = AudioConverter | SubtitleConverter
