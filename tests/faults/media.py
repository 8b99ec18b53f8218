"""Media files of every kind, made on the spot: small, short, and odd in one way each."""

from __future__ import annotations

import re
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.inference.networks import StateNet, variables_of
from vqe_jax.inference.file import enhance_video

WIDTH, HEIGHT = 64, 48
# What encoders write depends on the number of threads, which is that of the machine's cores.
_ALIKE = {
    "libx264": {"threads": "1"},
    "libx265": {"x265-params": "log-level=none", "threads": "1"},
    **{name: {"threads": "3"} for name in ("mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "ffv1")},
}
_MODEL = []


def model():
    """A network that is compiled once for the size of all these clips."""
    if not _MODEL:
        network = StateNet()
        _MODEL.append((network, variables_of(network)))
    return _MODEL[0]


def picture(t: int, layout: str = "yuv420p", width: int = WIDTH, height: int = HEIGHT):
    y, x = np.mgrid[:height, :width]
    wave = (np.sin((x + 2 * t) / 6) * np.cos(y / 7) * 80 + 128).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.stack([wave, wave, 255 - wave], -1), "rgb24")
    return frame.reformat(format=layout)


def tone(seconds: float, rate: int, channels: int) -> np.ndarray:
    n = np.arange(int(seconds * rate))
    return np.stack([np.sin(n / (5 + c)) * 9000 for c in range(channels)]).astype(np.int16)


def make(
    path: Path,
    *,
    frames: int = 8,
    codec: str = "libx264",
    layout: str = "yuv420p",
    rate: Fraction | int = 25,
    base: Fraction | None = None,
    stamps: list[int] | None = None,
    sound: str | None = None,
    sound_rate: int = 8000,
    channels: int = 1,
    sound_late: float = 0.0,
    subtitles: str | None = None,
    lines: int = 2,
    cover: str | None = None,
    attachment: bool = False,
    tags: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    tag: str | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Path:
    """A file with a video and, as asked, sound, text, a cover, an attachment and tags."""
    with av.open(str(path.absolute()), "w", container_options=container or {}) as out:
        options = _ALIKE.get(codec, {}) | (options or {})
        video = out.add_stream(codec, rate=rate, options=options)
        video.width, video.height, video.pix_fmt = *size, layout
        if base:
            video.codec_context.time_base = video.time_base = base
        if tag:
            video.codec_context.codec_tag = tag
        audio = None
        if sound:
            audio = out.add_stream(sound, rate=sound_rate)
            audio.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        text = out.add_stream(subtitles) if subtitles else None
        if text:
            header = b"[Script Info]\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n"
            header += (
                b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
            )
            text.codec_context.subtitle_header = header
            text.codec_context.time_base = text.time_base = Fraction(1, 1000)
            text.metadata["language"] = "deu"
        art = None
        if cover and path.suffix == ".mkv":
            ending = {"mjpeg": "jpg"}.get(cover, cover)
            mime = {"mjpeg": "image/jpeg"}.get(cover, f"image/{cover}")
            out.add_attachment(f"cover.{ending}", mime, _still(cover))
        elif cover:
            art = out.add_stream(cover, rate=1)
            art.width, art.height = 32, 32
            art.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}[cover]
            art.disposition = av.stream.Disposition.attached_pic
        if attachment:
            out.add_attachment("font.ttf", "application/x-truetype-font", b"letters" * 50)
        out.metadata.update(tags or {})
        if art:
            shot = picture(0, art.pix_fmt, 32, 32)
            shot.pts = 0
            for packet in [*art.encode(shot), *art.encode(None)]:
                packet.pts = packet.dts = 0
                out.mux(packet)
        for n in range(frames):
            shot = picture(n, layout, *size)
            if stamps:
                shot.pts, shot.time_base = stamps[n], base
            else:
                shot.pts, shot.time_base = n, 1 / Fraction(rate)
            out.mux(video.encode(shot))
        out.mux(video.encode(None))
        if audio:
            _sing(out, audio, tone(frames / float(rate), sound_rate, channels), sound_late)
        for n in range(lines if text else 0):
            said = av.subtitles.subtitle.SubtitleSet.create(
                f"{n},0,Default,,0,0,0,,Line {n}".encode(), 0, 80, n * 100_000
            )
            packet = text.codec_context.encode_subtitle(said)
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = n * 100
            packet.duration = 80
            out.mux(packet)
    return path


def _still(codec: str) -> bytes:
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.time_base = 32, 32, Fraction(1, 25)
    encoder.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}[codec]
    shot = picture(0, encoder.pix_fmt, 32, 32)
    shot.pts = 0
    return b"".join(bytes(p) for p in [*encoder.encode(shot), *encoder.encode(None)])


def _sing(out, audio, samples: np.ndarray, late: float) -> None:
    audio.codec_context.open(strict=False)
    size = audio.codec_context.frame_size or 400
    resampler = av.AudioResampler(audio.format.name, audio.layout.name, audio.rate, size)
    whole = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.T.reshape(1, -1)), "s16", audio.layout.name
    )
    whole.sample_rate, whole.pts = audio.rate, round(late * audio.rate)
    whole.time_base = Fraction(1, audio.rate)
    for piece in [*resampler.resample(whole), *resampler.resample(None)]:
        out.mux(audio.encode(piece))
    out.mux(audio.encode(None))


def enhance(source: Path, target: Path, **options) -> list[str]:
    """Enhances a file; returns what was warned of."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        enhance_video(source, target, model=model(), **{"scene_cut": None} | options)
    return [str(w.message) for w in said]


def opened(path: Path):
    return av.open(str(path.absolute()), metadata_errors="replace")


def streams(path: Path) -> list[tuple[str, str]]:
    """(type, codec) of each stream; covers are named so."""
    with opened(path) as container:
        return [
            (
                "cover" if s.disposition & av.stream.Disposition.attached_pic else s.type,
                s.codec_context.name if s.codec_context else str(getattr(s, "name", "")),
            )
            for s in container.streams
        ]


def samples(path: Path) -> np.ndarray:
    """The sound of a file, decoded, as float of one channel after the other."""
    with opened(path) as container:
        resampler = av.AudioResampler("fltp")
        pieces = [
            piece.to_ndarray()
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        ]
    return np.concatenate(pieces, axis=1)


def times(path: Path) -> list[float]:
    with opened(path) as container:
        return [round(float(f.pts * f.time_base), 4) for f in container.decode(video=0)]


def text_lines(path: Path) -> list[str]:
    with opened(path) as container:
        stream = container.streams.subtitles[0]
        return [
            re.sub(r"\{.*?\}", "", rect.dialogue.decode())
            for packet in container.demux(stream)
            if packet.size
            for rect in (stream.codec_context.decode2(packet) or ())
        ]
