"""A plan and the run after it say and refuse the same."""

import re
import resource
import warnings
from fractions import Fraction

import pytest

from tests.faults.media import make, model
from vqe_jax.errors import UserError
from vqe_jax.inference.file import Request, prepare, run
from vqe_jax.video import open_reader

FIVE_ONE = {"sound": "ac3", "sound_rate": 48000, "channels": 6}
LATE = {"codec": "mpeg2video", "sound": "mp2", "sound_rate": 48000}
ODD = {
    "fonts": (".mkv", {"attachment": True, "subtitles": "ass", "sound": "flac"}, ".mp4"),
    "cover": (".mp4", {"cover": "png", "sound": "alac", "tags": {"title": "x"}}, ".ts"),
    "yamaha": (".avi", {"codec": "mpeg4", "sound": "adpcm_yamaha"}, ".y4m"),
    "surround": (".mkv", FIVE_ONE, ".webm"),
    "alpha": (".mkv", {"codec": "ffv1", "layout": "yuva420p"}, ".mp4"),
    "rgb": (".mkv", {"codec": "ffv1", "layout": "bgr0"}, ".mov"),
    "deep": (".mkv", {"codec": "ffv1", "layout": "yuv422p10le"}, ".avi"),
    "late": (".ts", LATE | {"container": {"output_ts_offset": "900"}}, ".264"),
    "bare": (".264", {}, ".nut"),
    "mu-law": (".mov", {"codec": "mjpeg", "layout": "yuvj420p", "sound": "pcm_mulaw"}, ".webm"),
    "text": (".webm", {"codec": "libvpx", "subtitles": "webvtt"}, ""),
    "uneven": (
        ".mkv",
        {"base": Fraction(1, 1000), "stamps": [0, 40, 95, 130, 200, 240, 260, 300]},
        ".y4m",
    ),
}


def said_of(work) -> tuple[list[str], str]:
    """Warnings, and the refusal."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            work()
        except UserError as err:
            return sorted(str(w.message) for w in said), str(err)
    return sorted(str(w.message) for w in said), ""


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("damage", ["whole", "cut"])
def test_a_plan_says_what_the_run_says(tmp_path, name, damage):
    suffix, made, target = ODD[name]
    source = make(tmp_path / f"a{suffix}", **made)
    if damage == "cut":
        source.write_bytes(source.read_bytes()[: source.stat().st_size * 4 // 5])
    out = tmp_path / f"b{target}"
    planned = said_of(lambda: prepare(open_reader(source), out, Request(model=model())))
    assert not out.exists()
    ran = said_of(lambda: run(prepare(open_reader(source), out, Request(model=model()))))
    assert planned == ran
    assert damage == "cut" or not ran[1]


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4", "b.y4m", "b.yuv", "b.avi", "b"])
@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there(tmp_path, name, there):
    """One line, no half of a file; an older one of that name stays."""
    source = make(tmp_path / "a.mkv", frames=6)
    out = tmp_path / name
    if there and out.suffix:
        out.write_bytes(b"old")
    job = prepare(open_reader(source), out, Request(model=model(), codec="ffv1"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(UserError) as caught:
            run(job)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.search("larger than this system allows|no space", str(caught.value))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 1
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"a.mkv"} | ({name} if there and out.suffix else set())
    assert not left - {"a.mkv"} or out.read_bytes() == b"old"
