"""Names of every kind, plans that keep their word, and warnings that can be understood."""

import re
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.faults.media import enhance, make
from tests.video.clips import drifting, info_of
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference.cli import _kind, main
from vqe_jax.inference.source_qp import doubt
from vqe_jax.models.shapes import initial_variables
from vqe_jax.video import encode_hevc, low_delay_p, open_reader
from vqe_jax.weights import ModelFile, save_model

NAMES = [
    "Talk: part 1.mkv",
    "http:x.mkv",
    "file:x.mkv",
    "pipe:1.mkv",
    "a [x265] [bold]b.mkv",
    "100% %d %03d.mkv",
    "-x.mkv",
    "ünïcode 漢字 🎬.mkv",
    "a'b\"c.mkv",
    "concat:a|b.mkv",
    "new\nline.mkv",
    "x" * 200 + ".mkv",
    "C:\\film.mkv",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / name)
    target = Path("out " + name[-60:])
    assert enhance(Path(name), target, codec="libx264") == []
    assert len(list(open_reader(target))) == 8


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    kwargs = {"width": 4, "down_widths": (4, 4, 4)}
    variables = initial_variables(models.build("vig", **kwargs), jax.random.key(0))
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_model(path, ModelFile("vig", kwargs, jax.tree.map(np.asarray, variables), qp=(37,)))
    return path


REFUSED = [
    ("b.webm", ["--codec", "libx265"], "does not support"),
    ("b.mkv", ["--codec", "nosuch"], "is not in this FFmpeg"),
    ("no/b.mkv", [], "does not exist"),
    ("b.xyz", [], "is no container"),
    ("b.mkv", ["--encoder-options", "crf=999"], "refuses its options"),
    ("b.mkv", ["--codec", "mpeg4", "--encoder-options", "nosuch=1"], "is not one of"),
    ("-", [], "standard output"),
    ("b.mkv", ["--tile", "0"], "expected a side"),
    ("b.mkv", ["--tile", "-5"], "expected a side"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
@pytest.mark.parametrize("plan", [["--plan"], []])
def test_a_plan_refuses_what_the_run_refuses(tmp_path, weights, name, options, message, plan):
    source = make(tmp_path / "a.mkv")
    target = name if name == "-" else str(tmp_path / name)
    with pytest.raises(UserError, match=message):
        main([str(source), target, "--model", str(weights), "--quiet", *plan, *options])
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_a_plan_lists_what_will_be_left_out(tmp_path, weights, capsys):
    source = make(tmp_path / "a.mkv", attachment=True, subtitles="srt", sound="pcm_s16le")
    main([str(source), str(tmp_path / "b.ts"), "--model", str(weights), "--plan"])
    said = " ".join(capsys.readouterr().err.split())
    for word in ("font.ttf) is left out", "(subtitle, srt) is left out", "becomes aac"):
        assert word in said
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]


def test_a_runs_folder_is_a_model(tmp_path, weights, capsys):
    source = make(tmp_path / "a.mkv")
    main([str(source), str(tmp_path / "b.mkv"), "--model", str(weights.parent), "--quiet"])
    assert capsys.readouterr().out == ""
    with pytest.raises(UserError, match=r"best\.safetensors"):
        main([str(source), str(tmp_path / "b.mkv"), "--model", str(tmp_path), "--quiet"])


def test_repeated_warnings_are_said_once_with_a_count(tmp_path, weights, capsys, monkeypatch):
    from vqe_jax.inference import job

    def complaining(*args, **options):
        for index, frame in enumerate(original(*args, **options)):
            warnings.warn(f"frame {index}: the state's size {index}.5 is too large", stacklevel=1)
            warnings.warn("all the same", stacklevel=1)
            yield frame

    original = job.enhance_frames
    monkeypatch.setattr(job, "enhance_frames", complaining)
    source = make(tmp_path / "a.mkv")
    main([str(source), str(tmp_path / "b.mkv"), "--model", str(weights), "--quiet", "--force"])
    lines = [s for s in capsys.readouterr().err.splitlines() if s.startswith("warning:")]
    assert lines == [
        "warning: frame 0: the state's size 0.5 is too large",
        "warning: all the same",
        "warning: 7 more of this kind, the last: frame 7: the state's size 7.5 is too large",
        "warning: 7 more of this kind, the last: all the same",
    ]


KINDS = [
    "a.mkv: the shape of the pixels changes from {}/11 to {}/15 at frame {}; the first one is kept",
    "frame {}: the state's size {}.5 is {} times too large",
    "b.ts is damaged: the decoder complains {} times, first at frame {} or later: MB {}",
]


@pytest.mark.parametrize("text", KINDS)
def test_warnings_of_single_frames_are_of_one_kind(text):
    assert len({_kind(text.format(n, n + 1, 2 * n)) for n in range(9)}) == 1
    assert len({_kind(f"stream {n} (audio, mp3) is left out") for n in range(9)}) == 9


MODEL = ModelFile("vig", {}, {}, qp=(37,))
DOUBTS = [
    ("hevc", 43.0, None),
    ("hevc", 46.0, None),
    ("h264", 41.0, None),
    ("hevc", None, None),
    ("hevc", 25.0, "better than.*QP 25.0.*QP 43.0.*lose detail"),
    ("hevc", 37.0, "better than.*may lose some detail"),
    ("h264", 20.0, "better than.*will lose detail"),
    ("hevc", 50.0, "worse than.*only a part"),
    ("av1", None, "coded as AV1.*H.265 and H.264 only"),
    ("libdav1d", None, "coded as AV1"),
    ("vp9", None, "VP9"),
    ("mpeg2video", None, "MPEG-2"),
    ("mpeg4", None, "MPEG-4"),
    ("ffv1", None, "lose detail"),
    ("huffyuv", None, "lose detail"),
    ("png", None, "lose detail"),
]


@pytest.mark.parametrize(("codec", "mean", "message"), DOUBTS)
def test_a_doubt_is_said_in_plain_words(codec, mean, message):
    found = doubt(codec, mean, MODEL)
    assert (found is None) if message is None else re.search(message, found)
    measured = ModelFile("vig", {}, {}, extra={"measured": {"codecs": [codec]}})
    assert doubt(codec, mean, measured) is None or "not compressed" in doubt(codec, mean, measured)


def test_a_model_that_is_told_the_codec_leaves_what_is_clean():
    measured = {"codecs": ["hevc", "vp9"], "any_qp": True}
    told = ModelFile("vig", {"told": True}, {}, extra={"measured": measured})
    for codec in ("ffv1", "utvideo", "png"):
        assert "left as it is" in doubt(codec, None, told)
    for codec, mean in [("rawvideo", None), ("hevc", 12.0), ("hevc", 50.0), ("vp9", None)]:
        assert doubt(codec, mean, told) is None
    assert "coded as DV" in doubt("dvvideo", None, told)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "mpeg2video", "ffv1", "mjpeg"])
def test_force_goes_on_without_the_doubt(tmp_path, weights, capsys, codec):
    layout = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = make(tmp_path / "a.mkv", codec=codec, layout=layout)
    given = [str(source), str(tmp_path / "b.mkv"), "--model", str(weights), "--quiet"]
    main(given)
    assert "lose detail" in capsys.readouterr().err
    main([*given, "--force"])
    assert capsys.readouterr().err == ""


def test_a_stream_of_the_recipe_is_not_doubted(tmp_path, weights, capsys):
    info = info_of()
    encode_hevc(drifting(info, 5), tmp_path / "a.hevc", info, low_delay_p(37))
    main([str(tmp_path / "a.hevc"), str(tmp_path / "b.mkv"), "--model", str(weights), "--quiet"])
    assert capsys.readouterr().err == ""


def test_names_in_a_report_are_no_markup(tmp_path, weights, capsys):
    from vqe_jax.evaluation.cli import main as evaluate

    source = make(tmp_path / "clip [x265] [red]1.mkv", frames=2)
    out = tmp_path / "rep [bold] [/rep]"
    given = ["--raw", str(source), "--compressed", str(source), "--out", str(out)]
    evaluate([str(weights), *given, "--metrics", "psnr_y"])
    said = "".join(capsys.readouterr().out.split())
    assert "".join(f"report: {out / 'report.md'}".split()) in said
    assert "[x265][red]1" in said


def test_progress_ends_where_the_frames_end(tmp_path):
    """The header counts what the sound takes, too."""
    seen = []
    source = make(tmp_path / "a.mkv", sound="aac", frames=7)
    enhance(source, tmp_path / "b.mkv", progress=lambda *x: seen.append(x))
    assert seen[-1] == (7, 7)


@pytest.mark.parametrize("name", ["-", "fifo"])
def test_what_is_no_file_is_not_waited_for(tmp_path, monkeypatch, name):
    import os

    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises(UserError, match=r"no file|not a file"):
        enhance(Path(name), tmp_path / "b.mkv")
