"""Pictures that change their size or format within a file: no work is thrown away."""

import re

import pytest

from tests.faults.media import enhance, make, opened
from vqe_jax.errors import UserError
from vqe_jax.video import open_reader
from vqe_jax.video.png import encode_png

KINDS = [
    (".ts", {"codec": "libx264"}, {"size": (48, 32)}),
    (".ts", {"codec": "mpeg2video"}, {"size": (96, 64)}),
    (".ts", {"codec": "libx265"}, {"layout": "yuv420p10le"}),
    (".264", {"codec": "libx264"}, {"layout": "yuv422p"}),
    (".hevc", {"codec": "libx265"}, {"size": (96, 64)}),
    (".m2v", {"codec": "mpeg2video"}, {"size": (48, 32)}),
]


def changing(tmp_path, suffix, made, change):
    """8 frames of one kind and 8 of another."""
    parts = [
        make(tmp_path / f"{n}{suffix}", **(made | more)) for n, more in enumerate(({}, change))
    ]
    source = tmp_path / f"a{suffix}"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    return source


@pytest.mark.parametrize(("suffix", "made", "change"), KINDS)
def test_a_change_is_known_before_any_work(tmp_path, suffix, made, change):
    source = changing(tmp_path, suffix, made, change)
    with pytest.raises(UserError, match=r"the picture changes from .* to .* at about .*cut the"):
        enhance(source, tmp_path / "b.mkv")
    assert not (tmp_path / "b.mkv").exists()
    said = enhance(source, tmp_path / "b.mkv", codec="ffv1", keep_damaged=True)
    assert any(
        re.search(r"changes from .* at frame \d+; what follows is left out", s) for s in said
    )
    assert 6 <= len(list(open_reader(tmp_path / "b.mkv"))) <= 8


@pytest.mark.parametrize(("suffix", "made", "change"), KINDS[::2])
def test_what_is_done_is_kept_where_it_was_not_known(tmp_path, monkeypatch, suffix, made, change):
    """Some codecs change without a key frame."""
    monkeypatch.setattr("vqe_jax.video.container.change_of_pictures", lambda *_: None)
    source = changing(tmp_path, suffix, made | {"sound": None}, change)
    with pytest.raises(UserError, match=r"b\.mkv holds the \d frames before it"):
        enhance(source, tmp_path / "b.mkv", codec="ffv1")
    assert 6 <= len(list(open_reader(tmp_path / "b.mkv"))) <= 8


def test_a_file_of_key_frames_alone(tmp_path):
    made = {"codec": "mjpeg", "layout": "yuvj420p", "frames": 20}
    source = changing(tmp_path, ".ts", {"codec": "mpeg2video", "options": {"g": "0"}}, {})
    assert open_reader(source).concerns(5.0) is not None
    assert open_reader(make(tmp_path / "b.avi", **made)).concerns() == []


@pytest.mark.parametrize("harm", ["size", "cut", "byte", "kind"])
def test_a_folder_of_pictures_that_are_not_alike(tmp_path, harm):
    folder = tmp_path / "in"
    folder.mkdir()
    small, large = (
        next(iter(open_reader(make(tmp_path / f"{n}.mkv", codec="ffv1", layout="gray", size=size))))
        for n, size in enumerate([(64, 48), (48, 32)])
    )
    for n in range(5):
        (folder / f"{n}.png").write_bytes(encode_png(small))
    third = folder / "3.png"
    data = bytearray(third.read_bytes())
    if harm == "size":
        third.write_bytes(encode_png(large))
    elif harm == "cut":
        third.write_bytes(data[:-20])
    elif harm == "kind":
        third.write_bytes(b"GIF89a" + data)
    else:
        data[len(data) // 2] ^= 4
        third.write_bytes(data)
    with pytest.raises(UserError, match=r"3\.png"):
        enhance(folder, tmp_path / "b.mkv")
    assert not (tmp_path / "b.mkv").exists()


def test_streams_that_stay_alike_are_not_taken_for_others(tmp_path):
    for n, made in enumerate(
        [{}, {"layout": "yuvj420p", "codec": "mjpeg"}, {"codec": "mpeg2video"}]
    ):
        source = make(tmp_path / f"{n}.avi" if n else tmp_path / "0.mkv", frames=20, **made)
        assert not any("changes" in s for s in open_reader(source).concerns())
        with opened(source) as container:
            assert container.streams.video
