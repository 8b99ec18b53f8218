"""Small clips made on the spot, and files with sound, subtitles and chapters."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vqe_jax.video import ColorTags, Frame, PixelFormat, VideoInfo, open_writer


def info_of(bits=8, subsampling="420", width=64, height=48, **fields) -> VideoInfo:
    fields = {"frame_rate": Fraction(25), "time_base": Fraction(1, 1000)} | fields
    return VideoInfo(width, height, PixelFormat(bits, subsampling), **fields)


def noise(info: VideoInfo, count: int, seed: int = 0) -> list[Frame]:
    """Frames of random samples over the whole range: nothing survives by luck."""
    rng = np.random.default_rng(seed)
    top, dtype = info.pixel_format.maximum, info.pixel_format.dtype
    return [
        Frame(
            tuple(rng.integers(0, top + 1, shape).astype(dtype) for shape in info.plane_shapes),
            info.pixel_format,
        )
        for _ in range(count)
    ]


def drifting(info: VideoInfo, count: int) -> list[Frame]:
    """A soft pattern that moves by a pixel a frame, as cameras see it and encoders like it."""
    frames = []
    for t in range(count):
        planes = []
        for i, (height, width) in enumerate(info.plane_shapes):
            y, x = np.mgrid[:height, :width].astype(np.float64)
            wave = np.sin((x + t) / (5 + i)) * np.cos(y / (7 + i)) * 0.35 + 0.5
            planes.append(np.rint(wave * info.pixel_format.maximum).astype(info.pixel_format.dtype))
        frames.append(Frame(tuple(planes), info.pixel_format))
    return frames


def same(a: list[Frame], b: list[Frame]) -> bool:
    return len(a) == len(b) and all(
        x.pixel_format == y.pixel_format
        and all(np.array_equal(p, q) for p, q in zip(x.planes, y.planes, strict=True))
        for x, y in zip(a, b, strict=True)
    )


def write(path: Path, info: VideoInfo, frames, **options) -> Path:
    with open_writer(path, info, **options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def lossless(path: Path, info: VideoInfo, frames) -> Path:
    return write(path, info, frames, codec="ffv1")


def with_sound(path: Path, count: int = 12, subtitles: bool = True, codec: str = "libx264") -> Path:
    """A Matroska or MP4 file with uneven time stamps, AAC, an SRT track, chapters and tags."""
    info = info_of(color=ColorTags(matrix=1, range=1, primaries=1, transfer=1))
    times = np.cumsum([0, *np.random.default_rng(3).integers(20, 70, count - 1)])
    srt = path.with_suffix(".srt")
    srt.write_text("1\n00:00:00,100 --> 00:00:00,300\nHello\n")
    with av.open(str(path), "w") as out, av.open(str(srt)) as text:
        video = out.add_stream(codec, rate=25, options={"bf": "2"} if codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = info.width, info.height, "yuv420p"
        video.codec_context.time_base = video.time_base = Fraction(1, 1000)
        video.codec_context.colorspace = video.codec_context.color_primaries = 1
        video.codec_context.color_trc = video.codec_context.color_range = 1
        video.set_display_rotation(90)
        audio = out.add_stream("aac", rate=8000, layout="mono")
        audio.metadata["language"] = "deu"
        line = out.add_stream_from_template(text.streams.subtitles[0]) if subtitles else None
        out.metadata["title"] = "A clip"
        out.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 200,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": "One"},
                }
            ]
        )
        for frame, time in zip(drifting(info, count), times, strict=True):
            picture = av.VideoFrame.from_ndarray(
                np.concatenate([p.ravel() for p in frame.planes]).reshape(-1, info.width), "yuv420p"
            )
            picture.pts, picture.time_base = int(time), Fraction(1, 1000)
            out.mux(video.encode(picture))
        tone = (np.sin(np.arange(8000 * int(times[-1]) // 1000) / 5) * 9000).astype(np.int16)
        for start in range(0, len(tone) - 1023, 1024):
            sound = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 8000, start, Fraction(1, 8000)
            out.mux(audio.encode(sound))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
        if line:
            for packet in text.demux():
                if packet.size:
                    packet.stream = line
                    out.mux(packet)
    return path


def packets(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """(seconds, payload) of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]


def times(path: Path) -> list[Fraction]:
    """Presentation times of the video's frames."""
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]
