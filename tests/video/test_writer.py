from fractions import Fraction

import pytest

from tests.video.clips import drifting, info_of, noise, write
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.video import open_writer

NAMES = ["a.mkv", "a.yuv", "a.y4m", "frames"]


def clip_for(name):
    info = info_of(8, "gray") if name == "frames" else info_of()
    return info, noise(info, 3)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_the_final_name_until_it_is_whole(tmp_path, name):
    info, frames = clip_for(name)
    with open_writer(tmp_path / name, info) as writer:
        writer.write(frames[0])
        assert [p.name for p in tmp_path.iterdir()] == [name + ".part"]
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("bad input")])
def test_an_interrupt_leaves_nothing_and_keeps_what_was_there(tmp_path, name, error):
    info, frames = clip_for(name)
    before = write(tmp_path / name, info, frames)
    kept = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises((KeyboardInterrupt, UserError)), open_writer(before, info) as writer:
        writer.write(frames[0])
        raise error
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == kept


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.yuv", "a.y4m"])
def test_a_full_disk(tmp_path, name):
    info = info_of(width=256, height=256)
    (tmp_path / (name + ".part")).symlink_to("/dev/full")
    with pytest.raises(EnvironmentFailure, match="no space left") as failure:
        write(tmp_path / name, info, noise(info, 8), codec="ffv1")
    assert failure.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_no_frames(tmp_path):
    with (
        pytest.raises(UserError, match="no frame was written"),
        open_writer(tmp_path / "a.mkv", info_of()),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("no/a.mkv", {}, "does not exist"),
        ("a.xyz", {}, r"'\.xyz' is no container"),
        ("a.mkv", {"codec": "libx266"}, "'libx266' is not in this FFmpeg"),
        ("a.mkv", {"options": {"crff": "3"}}, "did you mean 'crf'"),
        ("a.mkv", {"options": {"crf": "99"}}, "refuses its options"),
        ("a.mkv", {"options": {"x265-params": "crff=3"}}, "Unknown option: crff"),
        ("a.mkv", {"options": {"preset": "fastish"}}, "preset"),
        ("a.webm", {"codec": "libx265"}, "--codec libvpx-vp9"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, options, message):
    with pytest.raises(UserError, match=message):
        write(tmp_path / name, info_of(), drifting(info_of(), 2), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx", "libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("rate", [Fraction(24, 1476395009), Fraction(2**31 - 1, 3)])
def test_a_frame_rate_that_an_encoder_refuses_in_many_lines(tmp_path, codec, rate):
    """libvpx says all of its settings; what is passed on is one line that can be read."""
    info = info_of(frame_rate=rate, time_base=1 / rate)
    try:
        write(tmp_path / "a.mkv", info, drifting(info, 2), codec=codec)
    except UserError as err:
        assert "\n" not in str(err) and len(str(err)) < 500
    else:
        assert codec not in ("libvpx-vp9", "libvpx") or rate > 1


def test_frames_that_do_not_fit(tmp_path):
    with pytest.raises(UserError, match="64x48 gray in a video of 64x48 yuv420p"):
        write(tmp_path / "a.mkv", info_of(), noise(info_of(8, "gray"), 1))
    odd = info_of(width=65)
    with pytest.raises(UserError, match="cannot encode 65x48"):
        write(tmp_path / "a.mkv", odd, noise(odd, 1))


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not PNG"):
        open_writer(folder, info_of(8, "gray"))
    assert (folder / "notes.txt").read_text() == "mine"
