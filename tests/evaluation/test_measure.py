"""What is measured on a clip."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.evaluation.tiny import Stub, clip, model, model_file
from vqe_jax.errors import UserError
from vqe_jax.evaluation.clips import EvalClip, clip_from_files
from vqe_jax.evaluation.measure import Options, measure
from vqe_jax.metrics import protocol

PSNR = protocol("psnr_y")


def test_a_model_that_changes_nothing_gains_nothing():
    made = clip()
    result = measure(made, [model()], [PSNR, protocol("ssim_y")], Options())
    expected = PSNR(
        np.stack(list(made.frames("compressed", "luma"))),
        np.stack(list(made.frames("raw", "luma"))),
    )
    np.testing.assert_allclose(result.values["psnr_y"]["compressed"], expected, rtol=1e-6)
    assert np.array_equal(result.gain("psnr_y", "same"), np.zeros(6))
    assert np.array_equal(result.gain("ssim_y", "same"), np.zeros(6))
    assert np.array_equal(result.crops["same"], result.crops["compressed"])
    assert result.speed["same"] > 0


def test_progress_counts_every_frame_of_every_column():
    ticks = []
    measure(clip(), [model()], [PSNR], Options(), lambda: ticks.append(1))
    assert len(ticks) == 2 * 6


def test_the_crop_is_where_compression_did_most_damage():
    raw = np.full((200, 300, 1), 0.5, np.float32)
    coded = raw.copy()
    coded[150:160, 220:230] += 0.3
    made = EvalClip(
        "c",
        37,
        300,
        200,
        1,
        25.0,
        1.0,
        "I",
        (37,),
        lambda side, color: iter([raw if side == "raw" else coded]),
    )
    crops = measure(made, [model()], [PSNR], Options()).crops
    assert crops["raw"].shape == (128, 128, 1)
    assert np.isclose((crops["compressed"] - crops["raw"]).sum(), 0.3 * 100, rtol=1e-4)


def test_a_broken_network_is_reported_not_hidden():
    file = model_file(identity=False)
    broken = Stub.of(file.build(), jax.tree.map(lambda x: x * np.float32(np.nan), file.variables))
    result = measure(clip(), [broken], [PSNR], Options())
    assert len(result.events["stub"]) == 6
    assert "passed through" in result.events["stub"][0]
    assert np.array_equal(result.gain("psnr_y", "stub"), np.zeros(6))


def test_the_self_ensemble_is_an_option():
    rand = model("rand", identity=False)
    plain = measure(clip(), [rand], [PSNR], Options()).values["psnr_y"]["rand"]
    turned = dataclasses.replace(rand, ensemble="x8")
    averaged = measure(clip(), [turned], [PSNR], Options())
    assert not np.array_equal(plain, averaged.values["psnr_y"]["rand"])


def test_a_clip_that_ends_early_is_named():
    short = clip(count=3)
    cut = EvalClip("cut", 37, 24, 20, 5, 25.0, 1.0, "?" * 5, (-1,) * 5, short.reader)
    with pytest.raises(UserError, match=r"cut: the compressed clip ends after 3 .* expected 5"):
        list(cut.frames("compressed", "luma"))


def test_colors_are_converted_there_and_back(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.integers(80, 160, (3, 16 * 32 * 3 // 2), np.uint8)
    for name, frames in (("raw_32x16_3.yuv", codes), ("coded.YUV", codes + 3)):
        (tmp_path / name).write_bytes(frames.tobytes())
    pair = clip_from_files(tmp_path / "raw_32x16_3.yuv", tmp_path / "coded.YUV", size=(32, 16))
    luma, rgb = (list(pair.frames("compressed", color)) for color in ("luma", "rgb"))
    np.testing.assert_array_equal(list(pair.converted(luma, "rgb")), rgb)
    assert not np.array_equal(list(pair.converted(luma, "rgb", chroma="raw")), rgb)
    np.testing.assert_array_equal(list(pair.converted(rgb, "luma")), luma)


def test_a_clip_without_chroma_says_so():
    with pytest.raises(UserError, match="clip has no chroma; choose metrics of luma"):
        list(clip().converted(clip().frames("compressed", "luma"), "rgb"))
