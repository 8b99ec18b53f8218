import numpy as np
import pytest

from tests.training.synthetic import SyntheticPair, Tiny, Waves
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.metrics import Protocol, protocol
from vqe_jax.training import validation
from vqe_jax.training.stages import Evaluation
from vqe_jax.training.validation import Gains, find_metric, validate
from vqe_jax.weights.perceptual import PERCEPTUAL
from vqe_jax.weights.perceptual_parts import PARTS

DATA = {"dataset": "waves", "data_dir": "/nowhere", "config_name": "qp37"}


def variables(scale: float):
    """Of a network that adds a constant: ``0.1 * scale``."""
    zero = {"kernel": np.zeros((3, 3, 4, 1), np.float32), "bias": np.full(1, scale, np.float32)}
    first = {"kernel": np.zeros((3, 3, 1, 4), np.float32)}
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    return {
        "params": {
            "first": first,
            "last": zero,
            "BatchNorm_0": {"scale": ones, "bias": zeros},
        },
        "batch_stats": {"BatchNorm_0": {"mean": zeros, "var": ones}},
    }


def psnr(a, b):
    return -10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2))


def test_the_identity_gains_nothing_and_a_constant_what_arithmetic_says():
    pairs = Waves.pairs("val")
    section = Evaluation()
    assert validate(Tiny(), variables(0.0), pairs, section).by_clip == {"waves": 0, "ripples": 0}
    gains = validate(Tiny(), variables(0.5), pairs, section)
    for pair in pairs:
        raw, compressed = (pair.read(side, "luma") / 255 for side in ("raw", "compressed"))
        deltas = [psnr(c + 0.05, r) - psnr(c, r) for c, r in zip(compressed, raw, strict=True)]
        assert gains.by_clip[pair.name] == pytest.approx(np.mean(deltas), abs=1e-3)


def test_clips_of_one_name_and_qp_all_count():
    (pair, _), section = Waves.pairs("val"), Evaluation(frames=1)
    found = validate(Tiny(), variables(0.0), [pair] * 4, section).by_clip
    told = f"{pair.name}@{pair.qp}"
    assert list(found) == [pair.name, told, f"{told}-2", f"{told}-3"]


def test_the_first_frames_alone_where_asked_for():
    seen = []

    class Spy(type(Waves.pairs("val")[0])):
        def read(self, side, color, start=0, count=None):
            seen.append((side, start))
            return super().read(side, color, start, count)

    validate(Tiny(), variables(0.1), [Spy("waves", 1)], Evaluation(frames=2))
    assert {start for side, start in seen if side == "raw"} == {0, 1}


def test_clips_whose_qp_nobody_knows_are_judged():
    pairs = Waves.pairs("val")
    for pair in pairs:
        pair.qp = -1  # of encoders that do not count in HEVC's QPs
    assert set(validate(Tiny(), variables(0.0), pairs, Evaluation()).by_clip.values()) == {0}


def test_the_score_weighs_mean_and_worst():
    gains = Gains({"a": 0.5, "b": 0.1}, worst_weight=0.25)
    assert (gains.mean, gains.worst, gains.worst_clip) == (pytest.approx(0.3), 0.1, "b")
    assert gains.score == pytest.approx(0.75 * 0.3 + 0.25 * 0.1)


def test_a_run_away_can_never_be_the_best():
    assert Gains({"a": 0.5, "b": float("nan")}).score == -np.inf
    gains = validate(Tiny(), variables(np.inf), Waves.pairs("val"), Evaluation())
    assert not gains.score > -1e9


class Splits(Waves):
    """Another clip in each split."""

    @staticmethod
    def pairs(split):
        return [SyntheticPair(split, 1), SyntheticPair("ripples", 2)]


def test_clips_are_chosen_by_name(tiny):
    assert [p.name for p in validation.open_clips(Evaluation(), DATA)] == ["waves", "ripples"]
    section = Evaluation(dataset=f"{__name__}:Splits", clips=("test", "ripples"), split="test")
    assert [p.name for p in validation.open_clips(section, DATA)] == ["test", "ripples"]
    with pytest.raises(UserError, match="did you mean 'waves'"):
        validation.open_clips(Evaluation(clips=("waves1",)), DATA)


def test_where_smaller_is_better_the_gain_is_what_it_falls_by():
    metric = Protocol(
        "mad", "mad", "luma", "float", "", lambda x, y: np.abs(x - y).mean(), higher_is_better=False
    )
    pairs = Waves.pairs("val")
    gains = validate(Tiny(), variables(0.5), pairs, Evaluation(), metric)
    assert gains.key == "gain_mad"
    for pair in pairs:
        raw, compressed = (pair.read(side, "luma") / 255 for side in ("raw", "compressed"))
        before, after = np.abs(compressed - raw).mean(), np.abs(compressed + 0.05 - raw).mean()
        assert gains.by_clip[pair.name] == pytest.approx(before - after, abs=1e-5)
    assert gains.worst < 0 and gains.score < 0  # brightening harms, and is never the best


def test_what_a_run_is_chosen_by_has_a_default_for_each_color():
    assert find_metric(None, Tiny()) is protocol("psnr_y")
    assert find_metric(None, Tiny(channels=3)) is protocol("psnr_rgb_uint8")
    assert find_metric("ssim_y", Tiny()).quantity == "ssim"


def test_learned_distances_take_published_weights(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    parts = [PARTS[name] for name in PERCEPTUAL["lpips_squeeze"]]
    named = [tensor for part in parts for tensor in part.tables()[1].values()]
    np.savez(tmp_path / "a.npz", **{t.names[0]: rng.random(t.shape, np.float32) for t in named})
    for variable in (variable for part in parts for variable in part.variables):
        monkeypatch.setenv(variable, str(tmp_path / "a.npz"))
    metric = find_metric("lpips_squeeze_y", Tiny())
    assert (metric.name, metric.color) == ("lpips_squeeze_y", "luma")
    assert not metric.higher_is_better
    clip = rng.random((1, 64, 64, 1), np.float32)
    same, other = (metric(clip, x).item() for x in (clip, 1 - clip))
    assert same == pytest.approx(0, abs=1e-6) and other > 1e-3


@pytest.mark.parametrize(
    ("name", "channels", "said"),
    [
        ("lpips_alexnet", 3, "does not exist; did you mean .*'lpips_alex'"),
        ("lpips_alex", 1, "defined on rgb and the model works on luma; .*lpips_alex_y"),
        ("psnr_y", 3, "defined on luma and the model works on rgb; .*psnr_rgb_uint8"),
    ],
)
def test_metrics_that_are_refused(name, channels, said):
    with pytest.raises(UserError, match=rf"eval.protocol='{name}'.*{said}"):
        find_metric(name, Tiny(channels=channels))


def test_a_metric_without_its_weights_says_the_ways_out(monkeypatch, tmp_path):
    for name in ("VQE_VGG16", "VQE_LPIPS_VGG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VQE_CACHE", str(tmp_path))
    monkeypatch.setenv("VQE_OFFLINE", "1")
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(EnvironmentFailure, match=r"weights fetch lpips_vgg"):
        find_metric("lpips_vgg_y", Tiny())
