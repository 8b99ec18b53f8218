"""What pictures bear beside brightness: transparency, full color, closed captions, odd layouts."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.faults.media import enhance, make, opened, picture
from vqe_jax.video import open_reader, read_frames
from vqe_jax.video.planes import side_data


def see_through(path, layout, codec, *, frames=4, options=None):
    """A video whose transparency is a ramp that moves."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, layout
        if codec.startswith("libvpx"):
            stream.metadata["alpha_mode"] = "1"
            stream.codec_context.options = {"auto-alt-ref": "0"}
        for n in range(frames):
            rgb = picture(n, "rgb24").to_ndarray()
            ramp = (np.arange(64)[None, :, None] * 3 + 10 * n + np.zeros((48, 1, 1))).astype("u1")
            shot = av.VideoFrame.from_ndarray(np.concatenate([rgb, ramp], -1), "rgba")
            shot = shot.reformat(format=layout)
            shot.pts = n
            out.mux(stream.encode(shot))
        out.mux(stream.encode(None))
    return path


def alphas(path):
    return [f.alpha for f in open_reader(path)]


SEEN = [
    ("a.mkv", "yuva420p", "ffv1"),
    ("a.mkv", "yuva444p10le", "ffv1"),
    ("a.mkv", "bgra", "ffv1"),
    ("a.mkv", "rgba64le", "ffv1"),
    ("a.mkv", "ya8", "ffv1"),
    ("a.mov", "yuva444p10le", "prores_ks"),
    ("a.mov", "rgba", "png"),
    ("a.mov", "argb", "qtrle"),
    ("a.avi", "gbrap", "utvideo"),
    ("a.avi", "yuva422p", "ffvhuff"),
    ("a.webm", "yuva420p", "libvpx-vp9"),
    ("a.webm", "yuva420p", "libvpx"),
    ("a.avi", "bgra", "huffyuv"),
]


@pytest.mark.parametrize(("name", "layout", "codec"), SEEN)
def test_transparency_comes_out_as_it_went_in(tmp_path, name, layout, codec):
    source = see_through(tmp_path / name, layout, codec)
    assert open_reader(source).info.alpha
    said = enhance(source, tmp_path / "b.mkv", codec="ffv1")
    assert not any("transparen" in s for s in said)
    for before, after in zip(alphas(source), alphas(tmp_path / "b.mkv"), strict=True):
        np.testing.assert_array_equal(before, after)
    assert len(np.unique(alphas(source)[0])) > 20


@pytest.mark.parametrize(
    ("layout", "target", "options"),
    [
        ("yuva420p", "b.webm", {}),
        ("yuva420p", "b.mkv", {"codec": "libvpx-vp9"}),
        ("yuva420p", "b.mkv", {"codec": "libvpx"}),
        ("yuva444p10le", "b.mov", {"codec": "prores_ks"}),
        ("bgra", "b.mov", {"codec": "png"}),
        ("bgra", "b.mov", {"codec": "qtrle"}),
        ("bgra", "b", {}),
        ("ya8", "b", {}),
        ("rgba64le", "b", {}),
        ("yuva420p", "b", {}),
    ],
)
def test_transparency_goes_wherever_it_can(tmp_path, layout, target, options):
    source = see_through(tmp_path / "a.mkv", layout, "ffv1")
    said = enhance(source, tmp_path / target, **options)
    assert not any("transparen" in s for s in said)
    top = [open_reader(p).info.pixel_format.maximum for p in (source, tmp_path / target)]
    for before, after in zip(alphas(source), alphas(tmp_path / target), strict=True):
        assert np.abs(before / top[0] - after / top[1]).max() < 0.04


@pytest.mark.parametrize(
    ("target", "options"),
    [("b.mkv", {}), ("b.mp4", {}), ("b.mp4", {"codec": "libvpx-vp9"}), ("b.y4m", {}), ("b.avi", {}),
     ("b.mkv", {"codec": "libsvtav1"})],
)  # fmt: skip
def test_transparency_that_cannot_stay_is_named(tmp_path, target, options):
    source = see_through(tmp_path / "a.mkv", "yuva420p", "ffv1")
    assert sum("transparency" in s for s in enhance(source, tmp_path / target, **options)) == 1
    assert alphas(tmp_path / target)[0] is None


def test_transparent_colors_of_palettes(tmp_path):
    """Only palettes that have such a color count."""
    for n, opaque in enumerate((255, 0)):
        shot = av.VideoFrame(64, 48, "pal8")
        index = np.zeros((48, shot.planes[0].line_size), np.uint8)
        index[:, 32:] = 1
        shot.planes[0].update(index.tobytes())
        colors = np.full((256, 4), 255, np.uint8)
        colors[1] = (10, 20, 30, opaque)
        shot.planes[1].update(colors.tobytes())
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "pal8"
        folder = tmp_path / str(n)
        folder.mkdir()
        data = [*encoder.encode(shot), *encoder.encode(None)]
        (folder / "0.png").write_bytes(b"".join(map(bytes, data)))
        enhance(folder, tmp_path / f"out{n}")
        found = alphas(tmp_path / f"out{n}")[0]
        assert (found is None) == (opaque == 255)
        assert found is None or sorted(np.unique(found)) == [0, 255]


def test_a_gif_is_seldom_transparent(tmp_path):
    source = make(tmp_path / "a.gif", codec="gif", layout="rgb8", frames=3)
    assert not any("transparen" in s for s in enhance(source, tmp_path / "b.mkv"))


def test_transparency_that_begins_later_is_named(tmp_path, monkeypatch):
    source = see_through(tmp_path / "a.mkv", "yuva420p", "ffv1")
    monkeypatch.setattr("vqe_jax.video.container._see_through", lambda *_: False)
    said = enhance(source, tmp_path / "b.mkv")
    assert any("the transparency of 4 frames is left out" in s for s in said)


FULL = [
    ("bgr0", {}, ("rgb", 8), False),
    ("gbrp10le", {}, ("rgb", 10), False),
    ("yuv444p16le", {}, ("444", 12), "16 bits a sample become 12"),
    ("yuv420p9le", {}, ("420", 10), False),
    ("yuv422p10le", {"codec": "libsvtav1"}, ("420", 10), "half of the color samples"),
    ("yuv444p", {"codec": "mpeg4"}, ("420", 8), "a quarter of the color samples"),
    ("yuv444p12le", {"codec": "libx264"}, ("444", 10), "12 bits a sample become 10"),
    ("gbrp16le", {}, ("rgb", 12), "16 bits a sample become 12"),
    ("bgr0", {"codec": "libx264"}, ("444", 8), "RGB and becomes YUV.*rounding"),
    ("bgr0", {"codec": "libvpx-vp9"}, ("rgb", 8), False),
    ("bgr0", {"codec": "libx264rgb"}, ("rgb", 8), False),
    ("gbrp10le", {"codec": "libx264"}, ("444", 10), "RGB and becomes YUV.*rounding"),
    ("bgr0", {"codec": "libsvtav1"}, ("420", 8), "a quarter of the color samples"),
    ("bgr0", {"codec": "mpeg4"}, ("420", 8), "a quarter of the color samples"),
]


@pytest.mark.parametrize(("layout", "options", "wanted", "word"), FULL)
def test_color_stays_as_fine_as_the_encoder_takes_it(tmp_path, layout, options, wanted, word):
    source = make(tmp_path / "a.mkv", codec="ffv1", layout=layout, frames=3)
    said = enhance(source, tmp_path / "b.mkv", **options)
    found = open_reader(tmp_path / "b.mkv").info.pixel_format
    assert (found.subsampling, found.bits) == wanted
    named = [s for s in said if "RGB" in s or "bits" in s or "color samples" in s]
    assert not named if word is False else re.search(word, " ".join(named))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_colors_of_rgb_are_the_same_after_it(tmp_path, suffix):
    source = make(tmp_path / "a.mkv", codec="ffv1", layout="bgr0", frames=2)
    enhance(source, tmp_path / f"b{suffix}")
    enhance(source, tmp_path / "c.mkv", codec="ffv1")
    pairs = zip(read_frames(tmp_path / f"b{suffix}"), read_frames(tmp_path / "c.mkv"), strict=True)
    for a, b in pairs:
        assert np.mean(np.abs(np.stack(a.planes).astype(float) - np.stack(b.planes))) < 2


@pytest.mark.parametrize("layout", ["yuv410p", "yuv411p", "yuv440p", "gray10le", "yuv444p16le"])
@pytest.mark.parametrize("target", ["b.mkv", "c.mkv", "b.y4m", "b.yuv", "b"])
def test_layouts_that_are_rare(tmp_path, layout, target):
    source = make(tmp_path / "a.mkv", codec="ffv1", layout=layout, frames=2)
    enhance(source, tmp_path / target, codec="ffv1" if target == "c.mkv" else None)
    info = open_reader(source).info
    more = {"size": (64, 48), "pixel_format": info.pixel_format} if target == "b.yuv" else {}
    before, after = (read_frames(p, **m) for p, m in ((source, {}), (tmp_path / target, more)))
    assert len(after) == len(before) == 2
    if target != "b":  # a folder of RGB
        top = [f[0].pixel_format.maximum for f in (before, after)]
        off = before[0].planes[0] / top[0] - after[0].planes[0] / top[1]
        assert np.abs(off).mean() < 0.2  # the network adds a little


CAPTION = b"\xb5\x00\x31GA94\x03\xc2\xff\xfc\x94\x2c\xfc\x94\x20\xff"


def captioned(path, codec="libx264", frames=10):
    """Each picture of an H.264 or H.265 stream with a message of captions before it."""
    plain = codec == "libx264"
    options = {"bf": "0"} if plain else {"x265-params": "bframes=0:log-level=none"}
    bare = path.with_suffix(".264" if plain else ".hevc")
    make(bare, codec=codec, frames=frames, options=options)
    head = b"\x06" if codec == "libx264" else b"\x4e\x01"
    payload = CAPTION.replace(b"\x00\x00", b"\x00\x00\x03")
    message = b"\0\0\0\1" + head + bytes([4, len(CAPTION)]) + payload + b"\x80"
    parts = re.split(rb"(?=\x00\x00\x00?\x01)", bare.read_bytes())
    if codec == "libx264":
        begins = [len(p) > 4 and p.lstrip(b"\0")[1] & 31 in (1, 5) for p in parts]
    else:
        begins = [len(p) > 4 and p.lstrip(b"\0")[1] >> 1 < 22 for p in parts]
    data = b"".join(message * b + p for p, b in zip(parts, begins, strict=True))
    bare.write_bytes(data)
    if path.suffix == bare.suffix:
        return bare
    with av.open(str(bare)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for n, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.pts = packet.dts = n
            packet.duration, packet.time_base, packet.stream = 1, Fraction(1, 25), stream
            out.mux(packet)
    return path


def captions(path):
    with opened(path) as container:
        return [side_data(f, "A53_CC") for f in container.decode(video=0)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("b.mkv", {}),
        ("b.mp4", {"codec": "libx264"}),
        ("b.ts", {}),
        ("b.mpg", {"codec": "mpeg2video"}),
    ],
)
def test_captions_stay_with_their_pictures(tmp_path, codec, target, options):
    source = captioned(tmp_path / "a.mkv", codec)
    before = captions(source)
    assert len(before) == 10 and all(before)
    said = enhance(source, tmp_path / target, **options)
    assert not any("caption" in s for s in said)
    assert captions(tmp_path / target) == before


@pytest.mark.parametrize(
    ("target", "options"),
    [("b.webm", {}), ("b.mkv", {"codec": "ffv1"}), ("b.y4m", {}), ("b", {})],
)
def test_captions_that_cannot_stay_are_named(tmp_path, target, options):
    source = captioned(tmp_path / "a.mkv")
    said = enhance(source, tmp_path / target, **options)
    assert sum("closed captions" in s for s in said) == 1


def test_captions_that_begin_later(tmp_path):
    source = captioned(tmp_path / "a.264")
    first = source.read_bytes().index(CAPTION[3:])
    data = bytearray(source.read_bytes())
    data[first + 1] ^= 1  # not captions any more
    source.write_bytes(bytes(data))
    assert not open_reader(source).info.captions
    assert enhance(source, tmp_path / "b.mkv") == []
    assert sum(map(bool, captions(tmp_path / "b.mkv"))) == 9
    said = enhance(source, tmp_path / "c.mkv", codec="ffv1")
    assert any("captions of 9 frames are left out" in s for s in said)
