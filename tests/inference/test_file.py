import gc
import os
import tracemalloc
from fractions import Fraction

import jax
import numpy as np
import pytest

import vqe_jax
from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.video.clips import (
    drifting,
    info_of,
    lossless,
    noise,
    packets,
    same,
    times,
    with_sound,
    write,
)
from vqe_jax import models
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.inference.file import Request, prepare, run
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.models.shapes import initial_variables
from vqe_jax.video import (
    ColorTags,
    encode_hevc,
    from_rgb,
    low_delay_p,
    luma,
    open_reader,
    read_frames,
    to_rgb,
    with_luma,
)
from vqe_jax.video.encoders import with_defaults
from vqe_jax.weights import ModelFile

NETWORKS = {"window": WindowNet, "state": StateNet, "both": BothNet}
LOSSLESS = {"codec": "ffv1", "scene_cut": None}


def model(kind="state", channels=1):
    network = NETWORKS[kind](channels=channels)
    return network, variables_of(network)


def enhance_video(src, dst, **options):
    return vqe_jax.enhance_video(src, dst, **{"model": model()} | options)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("bits", [8, 10])
def test_luma_is_that_of_the_whole_clip_and_chroma_is_untouched(tmp_path, kind, bits):
    info = info_of(bits, "420", 22, 14)
    frames = drifting(info, 7)
    source = lossless(tmp_path / "a.mkv", info, frames)
    enhance_video(source, tmp_path / "b.mkv", model=model(kind), **LOSSLESS)
    clip = np.stack([luma(f, info) for f in frames])[..., None]
    wanted = vqe_jax.enhance(clip, model=model(kind))
    expected = [with_luma(f, y[..., 0]) for f, y in zip(frames, wanted, strict=True)]
    assert same(read_frames(tmp_path / "b.mkv"), expected)
    assert not same(expected, frames)


@pytest.mark.parametrize("layout", ["420", "444", "gray", "rgb"])
def test_rgb_networks(tmp_path, layout):
    info = info_of(8, layout, 22, 14, color=ColorTags(1, 1) if layout != "rgb" else ColorTags(0, 2))
    frames = drifting(info, 4)
    source = lossless(tmp_path / "a.mkv", info, frames)
    enhance_video(source, tmp_path / "b.mkv", model=model("window", 3), **LOSSLESS)
    wanted = vqe_jax.enhance(np.stack([to_rgb(f, info) for f in frames]), model=model("window", 3))
    expected = [from_rgb(w, info, like=f) for w, f in zip(wanted, frames, strict=True)]
    assert same(read_frames(tmp_path / "b.mkv"), expected)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_everything_but_the_picture_stays(tmp_path, suffix):
    source = with_sound(tmp_path / f"a{suffix}", subtitles=suffix == ".mkv")
    result = enhance_video(source, tmp_path / f"b{suffix}")
    before, after = open_reader(source).info, open_reader(result.path).info
    assert times(result.path) == times(source) and result.frames == len(times(source))
    assert packets(result.path, "audio") == packets(source, "audio")
    assert (after.color.matrix, after.color.range) == (before.color.matrix, before.color.range)
    assert (after.rotation, after.pixel_format) == (before.rotation, before.pixel_format)
    assert after.codec == "hevc"


def test_ten_bits_and_hdr_tags(tmp_path):
    info = info_of(10, color=ColorTags(9, 1, 9, 16, "topleft"), sample_aspect_ratio=Fraction(4, 3))
    source = write(tmp_path / "a.mp4", info, drifting(info, 4))
    enhance_video(source, tmp_path / "b.mp4")
    after = open_reader(tmp_path / "b.mp4").info
    assert (after.color, after.pixel_format) == (info.color, info.pixel_format)
    assert after.sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("name", ["b_22x14_3.yuv", "b.y4m", "b.mkv"])
def test_raw_files_in_and_out(tmp_path, name):
    info = info_of(8, "420", 22, 14)
    frames = drifting(info, 3)
    source = write(tmp_path / "a_22x14_3.yuv", info, frames)
    enhance_video(source, tmp_path / name, codec="ffv1")
    found = read_frames(tmp_path / name)
    assert len(found) == 3
    assert all(np.array_equal(a.planes[1], b.planes[1]) for a, b in zip(found, frames, strict=True))


def test_folders_of_pictures_in_and_out(tmp_path):
    info = info_of(8, "rgb")
    source = write(tmp_path / "in", info, drifting(info, 3))
    enhance_video(source, tmp_path / "out", model=model("window", 3))
    assert open_reader(tmp_path / "out").info.pixel_format == info.pixel_format
    enhance_video(source, tmp_path / "out.mp4")
    assert open_reader(tmp_path / "out.mp4").info.pixel_format == info.pixel_format
    with pytest.warns(UserWarning, match="RGB and becomes YUV"):
        enhance_video(source, tmp_path / "yuv.mp4", codec="mpeg4")
    found = open_reader(tmp_path / "yuv.mp4").info
    assert found.pixel_format.subsampling == "420" and found.color.resolved(48, "420").matrix == 6
    video = lossless(tmp_path / "a.mkv", info_of(), drifting(info_of(), 2))
    enhance_video(video, tmp_path / "frames")
    assert open_reader(tmp_path / "frames").info.pixel_format.subsampling == "rgb"


@pytest.mark.parametrize("kind", NETWORKS)
def test_one_frame_of_an_odd_size(tmp_path, kind):
    info = info_of(8, "420", 13, 7)
    source = lossless(tmp_path / "a.mkv", info, noise(info, 1))
    enhance_video(source, tmp_path / "b.mkv", model=model(kind), **LOSSLESS)
    assert read_frames(tmp_path / "b.mkv")[0].planes[0].shape == (7, 13)


def test_a_preview_is_short_and_so_is_its_sound(tmp_path):
    source = with_sound(tmp_path / "a.mkv", count=30)
    result = enhance_video(source, tmp_path / "b.mkv", preview=0.4)
    stamps = [t for t in times(source) if t - times(source)[0] < Fraction(2, 5)]
    assert times(result.path) == stamps and 1 < len(stamps) < 30
    sound = packets(source, "audio")
    copied = packets(result.path, "audio")
    assert copied == sound[: len(copied)] and len(copied) < len(sound)


def test_split_leaves_the_left_half(tmp_path):
    info = info_of(8, "420", 22, 14)
    frames = drifting(info, 3)
    source = lossless(tmp_path / "a.mkv", info, frames)
    enhance_video(source, tmp_path / "b.mkv", split=True, **LOSSLESS)
    enhance_video(source, tmp_path / "c.mkv", **LOSSLESS)
    both, whole = read_frames(tmp_path / "b.mkv"), read_frames(tmp_path / "c.mkv")
    for x, y, z in zip(both, frames, whole, strict=True):
        assert np.array_equal(x.planes[0][:, :11], y.planes[0][:, :11])
        assert (x.planes[0][:, 11] == 255).all()
        assert np.array_equal(x.planes[0][:, 12:], z.planes[0][:, 12:])


def test_the_network_forgets_at_a_cut(tmp_path):
    info = info_of(8, "gray")
    dark, bright = drifting(info, 4), drifting(info, 4)
    for frame in bright:
        frame.planes = ((255 - frame.planes[0] // 8).astype(np.uint8),)
    for frame in dark:
        frame.planes = (frame.planes[0] // 8,)
    source = lossless(tmp_path / "a.mkv", info, dark + bright)
    alone = lossless(tmp_path / "alone.mkv", info, bright)
    options = {"codec": "ffv1", "scene_cut": SceneCut()}
    enhance_video(source, tmp_path / "b.mkv", **options)
    enhance_video(alone, tmp_path / "c.mkv", **options)
    assert same(read_frames(tmp_path / "b.mkv", 4), read_frames(tmp_path / "c.mkv"))


def test_progress_counts_every_frame(tmp_path):
    info = info_of()
    source = write(tmp_path / "a.mp4", info, drifting(info, 5), codec="libx264")
    seen = []
    enhance_video(source, tmp_path / "b.mkv", progress=lambda *x: seen.append(x))
    assert seen == [(n, 5) for n in range(1, 6)]


def tiny_vig(qp=(37,)):
    kwargs = {"width": 4, "down_widths": (4, 4, 4)}
    network = models.build("vig", **kwargs)
    variables = initial_variables(network, jax.random.key(0))
    return ModelFile("vig", kwargs, jax.tree.map(np.asarray, variables), qp=qp)


def test_a_warning_where_the_streams_qp_is_far_from_the_models(tmp_path):
    info = info_of()
    for qp in (22, 37):
        encode_hevc(drifting(info, 5), tmp_path / f"{qp}.hevc", info, low_delay_p(qp))
    with pytest.warns(UserWarning, match="QP 25.8 on average.*QP 43.0.*lose detail"):
        result = enhance_video(tmp_path / "22.hevc", tmp_path / "b.mkv", model=tiny_vig())
    assert result.source_qp == 25.75
    enhance_video(tmp_path / "37.hevc", tmp_path / "c.mkv", model=tiny_vig())  # no warning


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", ["b.mkv", "b.yuv", "b"])
def test_an_interrupt_leaves_nothing_half_written(tmp_path, error, name):
    info = info_of()
    source = lossless(tmp_path / "a.mkv", info, drifting(info, 6))

    def stop(done, expected):
        if done == 3:
            raise error

    with pytest.raises(error):
        enhance_video(source, tmp_path / name, progress=stop)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_a_source_that_breaks_off_leaves_nothing(tmp_path):
    info = info_of()
    source = write(tmp_path / "a.y4m", info, drifting(info, 4))
    source.write_bytes(source.read_bytes()[:-10])
    with pytest.raises(UserError, match="cut short"):
        enhance_video(source, tmp_path / "b.mkv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.y4m"]


def test_a_full_disk_leaves_nothing(tmp_path):
    info = info_of(8, "420", 256, 256)
    source = lossless(tmp_path / "a.mkv", info, noise(info, 8))
    job = prepare(open_reader(source), tmp_path / "b.mkv", Request(model=model(), codec="ffv1"))
    (tmp_path / "b.mkv.part").symlink_to("/dev/full")
    with pytest.raises(EnvironmentFailure, match="no space left"):
        run(job)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_a_device_that_is_too_small(tmp_path, monkeypatch):
    info = info_of()
    source = lossless(tmp_path / "a.mkv", info, drifting(info, 2))

    def exhausted(*args, **options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr("vqe_jax.inference.job.enhance_frames", exhausted)
    with pytest.raises(EnvironmentFailure, match="--tile 512"):
        enhance_video(source, tmp_path / "b.mkv")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_the_source_is_not_written_over(tmp_path):
    info = info_of()
    source = lossless(tmp_path / "a.mkv", info, drifting(info, 2))
    with pytest.raises(UserError, match="is the source itself"):
        enhance_video(source, source)


def test_one_setting_decides_on_the_quality():
    assert with_defaults("libx265", {}) == {"preset": "medium", "crf": "12"}
    assert with_defaults("libx265", {"preset": "slow"}) == {"preset": "slow", "crf": "12"}
    assert with_defaults("libx265", {"x265-params": "lossless=1"}) == {
        "preset": "medium",
        "x265-params": "lossless=1",
    }
    assert with_defaults("libx264", {"qp": "0"}) == {"preset": "medium", "qp": "0"}


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Ten times as many frames, which would take 170 MB on the host and as much on the device."""
    info = info_of(8, "420", 320, 256)
    one = drifting(info, 1)[0]
    peaks, residents = [], []
    for count in (40, 400):
        path = tmp_path / f"a_320x256_{count}.yuv"
        write(path, info, [one] * count)
        gc.collect()
        tracemalloc.start()
        enhance_video(path, tmp_path / f"b_320x256_{count}.yuv", scene_cut=None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        residents.append(resident())
    assert peaks[1] < peaks[0] + 2_000_000
    assert residents[1] < residents[0] + 60_000_000  # the allocator keeps some
