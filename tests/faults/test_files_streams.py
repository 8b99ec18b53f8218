"""Everything that goes in comes out, or is named, whatever the containers."""

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.faults.media import enhance, make, opened, picture, samples, streams, text_lines
from vqe_jax.errors import UserError
from vqe_jax.video import open_reader
from vqe_jax.video.encoders import default_encoder, encoder_name, known_quality, with_defaults

QUICK = {"codec": "libx264", "encoder_options": {"preset": "ultrafast"}}
# What a container of one kind has to be asked for in a container of another.
SOUNDS = [
    ("a.avi", {"sound": "adpcm_ima_wav", "codec": "mpeg4"}, ".mkv", True),
    ("b.avi", {"sound": "adpcm_yamaha", "codec": "mpeg4"}, ".mp4", True),
    ("c.avi", {"sound": "pcm_alaw", "codec": "mpeg4"}, ".mkv", True),
    ("d.mov", {"sound": "pcm_mulaw"}, ".mkv", True),
    ("d.mov", {"sound": "pcm_mulaw"}, ".mp4", True),
    ("e.mkv", {"sound": "pcm_s16le", "channels": 2}, ".mp4", True),
    ("f.mkv", {"sound": "pcm_s16le", "channels": 6}, ".mp4", True),
    ("f.mkv", {"sound": "pcm_s16le", "channels": 6}, ".mov", True),
    ("e.avi", {"sound": "pcm_s16le", "channels": 2, "codec": "mpeg4"}, ".mp4", True),
    ("e.mkv", {"sound": "pcm_s16le", "channels": 2}, ".ts", False),
    ("g.flv", {"sound": "adpcm_swf", "codec": "flv", "sound_rate": 22050}, ".mkv", True),
    ("j.m2ts", {"sound": "pcm_bluray", "channels": 2, "sound_rate": 48000}, ".mkv", True),
    ("k.3gp", {"sound": "libopencore_amrnb"}, ".mkv", True),
    ("k.3gp", {"sound": "libopencore_amrnb"}, ".mov", True),
    ("l.avi", {"sound": "g726", "codec": "mpeg4"}, ".mkv", True),
    ("o.mkv", {"sound": "libopus", "sound_rate": 48000}, ".mov", True),
    ("o.mkv", {"sound": "libopus", "sound_rate": 48000}, ".ts", False),
    ("o.mkv", {"sound": "flac"}, ".avi", True),
    ("o.mkv", {"sound": "aac"}, ".webm", False),
    ("o.ts", {"sound": "mp2", "sound_rate": 48000}, ".mp4", True),
    ("p.mkv", {"sound": "alac"}, ".nut", True),
    ("p.avi", {"sound": "adpcm_ima_wav", "codec": "mpeg4"}, ".nut", True),
    ("p.mkv", {"sound": "wavpack", "channels": 2}, ".avi", True),
    ("p.mkv", {"sound": "ac3", "channels": 6, "sound_rate": 48000}, ".ts", False),
]


@pytest.mark.parametrize(("name", "made", "suffix", "exact"), SOUNDS)
def test_sound_is_copied_or_converted(tmp_path, name, made, suffix, exact):
    source = make(tmp_path / name, **made)
    target = tmp_path / f"out{suffix}"
    said = enhance(source, target, codec="libvpx-vp9" if suffix == ".webm" else "libx264")
    before, after = samples(source), samples(target)
    assert after.shape[0] == before.shape[0]  # channels
    shared = min(before.shape[1], after.shape[1])
    assert shared > 0.9 * before.shape[1]
    if exact:
        assert np.abs(before[:, :shared] - after[:, :shared]).max() < 1e-4
    assert not any("left out" in s for s in said)


def test_the_last_sound_is_not_dropped_without_leave(tmp_path, monkeypatch):
    monkeypatch.setattr("vqe_jax.video.routes._SOUND", {})
    source = make(tmp_path / "a.avi", sound="adpcm_yamaha", codec="mpeg4")
    with pytest.raises(UserError, match=r"sound.*cannot be written.*--force"):
        enhance(source, tmp_path / "b.mkv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.avi"]
    said = enhance(source, tmp_path / "b.mkv", force=True, **QUICK)
    assert any("(audio, adpcm_yamaha) is left out" in s for s in said)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".avi", ".nut", ".ts", ".webm", ".flv"])
def test_attachments_are_kept_or_named(tmp_path, suffix):
    source = make(tmp_path / "a.mkv", attachment=True)
    target = tmp_path / f"b{suffix}"
    said = enhance(source, target)
    kept = ("attachment", "font.ttf") in streams(target)
    named = any("font.ttf) is left out" in s for s in said)
    assert kept == (suffix == ".mkv") and named == (not kept)
    assert len(list(open_reader(target))) == 8


@pytest.mark.parametrize("cover", ["mjpeg", "png"])
@pytest.mark.parametrize(("before", "after"), [
    (".mkv", ".mkv"), (".mkv", ".mp4"), (".mp4", ".mkv"), (".mp4", ".mp4"), (".mkv", ".mov"),
    (".mp4", ".avi"), (".mp4", ".ts"), (".mkv", ".webm"),
])  # fmt: skip
def test_covers_stay_covers_or_are_named(tmp_path, cover, before, after):
    source = make(tmp_path / f"a{before}", cover=cover, tags={"com.apple.quicktime.make": "Me"})
    assert ("cover", cover) in streams(source)
    target = tmp_path / f"b{after}"
    said = enhance(source, target)
    kept = after in (".mkv", ".mp4", ".mov")
    assert streams(target).count(("cover", cover)) == kept
    assert sum(kind == "video" for kind, _ in streams(target)) == 1
    assert kept or any("cover picture" in s and "left out" in s for s in said)
    if kept:
        with opened(source) as a, opened(target) as b:
            pictures = [bytes(next(c.demux(c.streams.video[1]))) for c in (a, b)]
        assert pictures[0] == pictures[1]


TEXTS = [
    ("a.mkv", "srt", ".mp4", "mov_text"),
    ("a.mkv", "srt", ".mov", "mov_text"),
    ("a.mkv", "ass", ".mp4", "mov_text"),
    ("a.mp4", "mov_text", ".mkv", "srt"),
    ("a.mkv", "webvtt", ".mp4", "mov_text"),
    ("a.mkv", "srt", ".webm", "webvtt"),
    ("a.mkv", "ass", ".mkv", "ssa"),
]


@pytest.mark.parametrize(("name", "codec", "suffix", "found"), TEXTS)
def test_text_subtitles_stay_text(tmp_path, name, codec, suffix, found):
    source = make(tmp_path / name, subtitles=codec, lines=3)
    target = tmp_path / f"b{suffix}"
    enhance(source, target)
    assert ("subtitle", found) in streams(target)
    assert [x for x in text_lines(target) if x] == [f"Line {n}" for n in range(3)]
    with opened(target) as container:
        assert container.streams.subtitles[0].language in ("deu", "ger")


@pytest.mark.parametrize(("codec", "suffix"), [("srt", ".ts"), ("ass", ".avi"), ("srt", ".y4m")])
def test_text_without_a_place_is_named(tmp_path, codec, suffix):
    source = make(tmp_path / "a.mkv", subtitles=codec)
    said = enhance(source, tmp_path / f"b{suffix}")
    assert any("subtitle" in s and "left out" in s for s in said)


@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_quicktime_keys_and_plain_tags_stay(tmp_path, suffix):
    tags = {"com.apple.quicktime.make": "Maker", "com.example.note": "täg", "title": "A film"}
    source = make(tmp_path / "a.mov", tags=tags, container={"movflags": "use_metadata_tags"})
    target = tmp_path / f"b{suffix}"
    enhance(source, target)
    with opened(target) as container:
        assert {key: container.metadata[key] for key in tags} == tags


def test_tags_that_are_lost_are_named(tmp_path):
    source = make(tmp_path / "a.mkv", tags={"DIRECTOR": "N. N.", "title": "A film"})
    said = enhance(source, tmp_path / "b.avi")
    assert any("left out: DIRECTOR" in s for s in said)


def test_tags_in_another_alphabet(tmp_path):
    source = make(tmp_path / "a.avi", codec="mpeg4", tags={"title": "Ferien in XX"})
    source.write_bytes(source.read_bytes().replace(b"Ferien in XX", b"Ferien in \xd6\xe9"))
    enhance(source, tmp_path / "b.mkv")
    assert len(list(open_reader(tmp_path / "b.mkv"))) == 8


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_timecode_stays_without_a_warning(tmp_path, suffix):
    source = make(tmp_path / "a.mov", tags={"timecode": "01:02:03:04"})
    assert any(kind == "data" for kind, _ in streams(source))
    said = enhance(source, tmp_path / f"b{suffix}")
    with opened(tmp_path / f"b{suffix}") as container:
        found = [
            s.metadata.get("timecode") or s.metadata.get("TIMECODE") for s in container.streams
        ]
        found += [container.metadata.get("timecode")]
    assert "01:02:03:04" in found and not any("left out" in s for s in said)


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
@pytest.mark.parametrize("codec", ["libx265", "hevc"])
def test_apple_players_know_the_tag(tmp_path, suffix, codec):
    source = make(tmp_path / "a.mkv")
    enhance(source, tmp_path / f"b{suffix}", codec=codec)
    with opened(tmp_path / f"b{suffix}") as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize(
    ("layout", "codec", "word"),
    [
        ("yuva420p", "ffv1", "transparency"),
        ("yuva444p10le", "ffv1", "transparency"),
        ("bgra", "ffv1", "transparency"),
        ("rgba", "png", "transparency"),
        ("gbrp16le", "ffv1", "16 bits a sample become 12"),
    ],
)
def test_what_pictures_lose_is_named(tmp_path, layout, codec, word):
    source = make(
        tmp_path / "a.mov" if codec == "png" else tmp_path / "a.mkv", codec=codec, layout=layout
    )
    assert any(word in s for s in enhance(source, tmp_path / "b.mkv"))


@pytest.mark.parametrize("field", ["tff", "bff"])
@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4", ".ts"])
def test_fields_stay_fields(tmp_path, field, suffix):
    options = {"flags": "+ildct+ilme", "x264-params": f"{field}=1"}
    source = make(tmp_path / "a.mkv", options=options)
    info = open_reader(source).info
    assert info.interlaced
    assert any("interlaced" in s for s in enhance(source, tmp_path / f"b{suffix}"))
    assert open_reader(tmp_path / f"b{suffix}").info.interlaced


@pytest.mark.parametrize(
    "suffix", [".webm", ".avi", ".flv", ".3gp", ".m2ts", ".mpg", ".m4v", ".nut"]
)
def test_every_container_has_an_encoder(tmp_path, suffix):
    source = make(tmp_path / "a.mkv")
    assert enhance(source, tmp_path / f"b{suffix}") == []
    assert len(list(open_reader(tmp_path / f"b{suffix}"))) == 8


@pytest.mark.parametrize(
    "codec",
    [
        "hevc",
        "h264",
        "vp9",
        "mpeg4",
        "mpeg2video",
        "mjpeg",
        "libsvtav1",
        "av1",
        "mpeg1video",
        "libx264",
    ],
)
def test_known_encoders_keep_the_picture(tmp_path, codec):
    """Against the lossless result: what was gained is not spent again."""
    source = make(tmp_path / "a.mkv", frames=4)
    said = enhance(source, tmp_path / "b.mkv", codec=codec)
    enhance(source, tmp_path / "c.mkv", codec="ffv1")
    found, wanted = (list(open_reader(tmp_path / n)) for n in ("b.mkv", "c.mkv"))
    error = np.mean(
        [(a.planes[0].astype(float) - b.planes[0]) ** 2 for a, b in zip(found, wanted, strict=True)]
    )
    assert 10 * np.log10(255**2 / error) > 42 and not any("quality" in s for s in said)


def test_unknown_encoders_are_named(tmp_path):
    source = make(tmp_path / "a.mkv", frames=2)
    said = enhance(source, tmp_path / "b.mkv", codec="snow", encoder_options={"strict": "-2"})
    assert any("snow runs at its own default quality" in s for s in said)
    assert known_quality("snow", {"qscale": "3"}) and encoder_name("h264") == "libx264"


def test_the_usual_encoder_by_name_and_kind(tmp_path):
    source = make(tmp_path / "a.mkv")
    info = open_reader(source).info
    names = {".mkv": "libx265", ".webm": "libvpx-vp9", ".avi": "libx264", ".264": "libx264"}
    for suffix, name in names.items():
        assert default_encoder(tmp_path / f"x{suffix}", info) == name


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".avi"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_the_last_frames_of_a_video_that_is_not_the_first_stream(tmp_path, suffix, codec):
    """The decoder is emptied at the end, whatever the order of the streams."""
    source = tmp_path / "a.ts"
    with av.open(str(source), "w") as out:
        audio = out.add_stream("mp2", rate=48000, layout="mono")
        video = out.add_stream(codec, rate=25, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        note = out.add_data_stream("klv")
        note.time_base = Fraction(1, 90000)
        for n in range(12):
            shot = picture(n)
            shot.pts, shot.time_base = n, Fraction(1, 25)
            out.mux(video.encode(shot))
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
            sound.sample_rate, sound.pts, sound.time_base = 48000, n * 1152, Fraction(1, 48000)
            out.mux(audio.encode(sound))
            packet = av.Packet(b"\x06\x0e\x2b\x34" + bytes(12) + b"\x01x")
            packet.pts = packet.dts = n * 3600
            packet.time_base, packet.stream = Fraction(1, 90000), note
            out.mux(packet)
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    said = enhance(source, tmp_path / f"b{suffix}")
    assert len(list(open_reader(tmp_path / f"b{suffix}"))) == 12
    kept = any(name == "klv" for _, name in streams(tmp_path / f"b{suffix}"))
    assert kept or any("klv) is left out" in s for s in said)


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [
        ("gray", ".webm"),
        ("gray", ".avi"),
        ("yuv411p", ".mkv"),
        ("yuv440p", ".mp4"),
        ("yuv420p10le", ".webm"),
        ("yuv422p10le", ".mkv"),
    ],
)
def test_layouts_that_an_encoder_lacks_keep_their_luma(tmp_path, layout, suffix):
    source = make(tmp_path / "a.mkv", codec="ffv1", layout=layout, frames=3)
    assert not any("quality" in s for s in enhance(source, tmp_path / f"b{suffix}"))
    enhance(source, tmp_path / "c.mkv", codec="ffv1")
    found, wanted = (list(open_reader(tmp_path / n)) for n in (f"b{suffix}", "c.mkv"))
    assert found[0].pixel_format.bits == wanted[0].pixel_format.bits
    top = wanted[0].pixel_format.maximum
    for a, b in zip(found, wanted, strict=True):
        assert np.mean(((a.planes[0].astype(float) - b.planes[0]) / top) ** 2) < 1e-4


def test_what_the_tables_of_encoders_say():
    assert with_defaults("libvpx-vp9", {"b": "2M"}) == {"b": "2M", "row-mt": "1", "cpu-used": "3"}
    assert with_defaults("mpeg4", {"qscale": "5"}) == {"qscale": "5"}
    assert with_defaults("libx265", {"preset": "fast"})["crf"] == "12"


@pytest.mark.parametrize("between", ["0", "2", "4"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts", ".mov"])
def test_a_second_video_comes_along(tmp_path, between, suffix):
    """Its pictures may be stored in another order than they are shown."""
    first = make(tmp_path / "a.mp4", frames=14)
    second = make(tmp_path / "b.mp4", frames=14, options={"bf": between})
    source = tmp_path / "c.mkv"
    with opened(first) as a, opened(second) as b, av.open(str(source), "w") as out:
        pairs = [(c, out.add_stream_from_template(c.streams.video[0])) for c in (a, b)]
        packets = [(p, t) for c, t in pairs for p in c.demux(video=0) if p.size]
        for packet, target in sorted(packets, key=lambda pair: pair[0].dts):
            packet.stream = target
            out.mux(packet)
    said = enhance(source, tmp_path / f"d{suffix}")
    assert not any("left out" in s or "come after" in s for s in said)
    with opened(tmp_path / f"d{suffix}") as container:
        shown = sorted(f.pts * f.time_base for f in container.decode(video=1))
    assert np.allclose(np.diff([float(t) for t in shown]), 0.04, atol=0.0011) and len(shown) == 14


@pytest.mark.parametrize(
    ("sound", "rate", "channels", "suffix", "kept"),
    [
        ("pcm_s24le", 96000, 2, ".mpg", 2),
        ("flac", 8000, 6, ".mpg", 2),
        ("pcm_s16be", 11025, 1, ".mpg", 1),
        ("ac3", 48000, 6, ".webm", 6),
        ("pcm_u8", 5000, 1, ".ts", 1),
        ("pcm_s16le", 192000, 2, ".flv", 2),
    ],
)
def test_sound_at_rates_and_channels_that_the_other_coding_has_not(
    tmp_path, sound, rate, channels, suffix, kept
):
    source = make(tmp_path / "a.mkv", sound=sound, sound_rate=rate, channels=channels)
    said = enhance(source, tmp_path / f"b{suffix}")
    assert any("with some loss" in s for s in said)
    heard = samples(tmp_path / f"b{suffix}")
    assert len(heard) == kept and np.abs(heard).max() > 0.05


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi", ".ts"])
@pytest.mark.parametrize("sound", ["pcm_alaw", "pcm_mulaw", "pcm_s16le", "adpcm_ima_wav"])
def test_sound_whose_header_is_damaged_is_carried_or_refused_in_a_line(tmp_path, sound, suffix):
    source = make(tmp_path / "a.avi", sound=sound, codec="mpeg4")
    data = bytearray(source.read_bytes())
    begin = data.index(b"strf", data.index(b"auds")) + 8  # format tag, then the number of channels
    data[begin + 3] ^= 0x80
    source.write_bytes(data)
    target = tmp_path / f"out{suffix}"
    try:
        enhance(source, target, codec="mpeg4")
    except UserError as err:
        assert "sound" in str(err) and "\n" not in str(err)
        assert not target.exists()
    else:
        assert opened(target)
