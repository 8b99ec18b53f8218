"""Every packaged model gains on clips it has not seen, and keeps gaining for 2,000 frames."""

import dataclasses

import numpy as np
import pytest

from vqe_jax.evaluation.clips import clip_from_files
from vqe_jax.evaluation.long_run import long_run
from vqe_jax.evaluation.models import open_models
from vqe_jax.inference import enhance_frames
from vqe_jax.metrics import protocol
from vqe_jax.models import WindowNetwork, model_class
from vqe_jax.weights import load_model, packaged_models

PSNR = protocol("psnr_y")
STREAMS = ("x265hm_qp37", "hm1625_ldp_gop4_qp37")
CLIPS = (
    "aot1007_480x264",
    "carphone_176x144",
    "foliage_720x480",
    "sam2_04_coffee_416x232",
    "tennis_432x240",
)
# Squares from the middle; whole frames are for the slow tests and the cards.
SIDE = 48
SQUARE = 192
# These take seconds a frame, and are not given 2,000 either.
DEEP = ("rfda_qp37", "stdf_qp37")
DEEP_SQUARE = 96

# dB over the first 12 frames of each clip, in the order of CLIPS; less is a change for the worse.
GAINS = {
    ("vig_qp37", "x265hm_qp37"): (0.134, 0.330, 0.051, 0.385, 0.070),
    ("vig_qp37", "hm1625_ldp_gop4_qp37"): (0.122, 0.329, 0.053, 0.0, 0.067),
}


LUMA = [name for name in packaged_models() if load_model(name).color == "luma"]


@pytest.fixture(scope="module", params=LUMA)
def model(request):
    return open_models([request.param])[0]


def _clip(shared, name, *, stream="x265hm_qp37", limit=None):
    raw = shared / "data" / "val" / f"{name}.mkv"
    compressed = shared / "data" / "bitstreams" / "val" / name / f"{stream}.hevc"
    if not compressed.exists():
        pytest.skip(f"there is no {stream} stream of {name}")
    return clip_from_files(raw, compressed, qp=37, limit=limit)


def _middle(clip, size):
    """The central square only, so that thousands of frames take seconds."""
    top, left = (clip.height - size) // 2, (clip.width - size) // 2

    def read(side, color):
        for frame in clip.reader(side, color):
            yield frame[top : top + size, left : left + size]

    return dataclasses.replace(clip, height=size, width=size, reader=read)


def _gain(clip, model):
    """dB in the mean of the clip's frames."""
    enhanced = enhance_frames(model.ready(37)[0], clip.frames("compressed", "luma"))
    both = zip(enhanced, clip.frames("compressed", "luma"), clip.frames("raw", "luma"), strict=True)
    return np.mean([float(PSNR(out, raw)) - float(PSNR(before, raw)) for out, before, raw in both])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("stream", STREAMS)
def test_it_gains_on_every_unseen_clip(shared, model, name, stream):
    clip = _clip(shared, name, stream=stream, limit=12)
    if known := GAINS.get((model.label, stream)):
        assert _gain(clip, model) > max(known[CLIPS.index(name)] - 0.005, 0.0)
    else:
        square = DEEP_SQUARE if model.label in DEEP else SQUARE
        assert _gain(_middle(clip, min(square, clip.height)), model) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("stream", STREAMS)
def test_it_gains_on_whole_frames(shared, model, name, stream):
    assert _gain(_clip(shared, name, stream=stream, limit=12), model) > 0


@pytest.mark.parametrize("name", ["carphone_176x144", "tennis_432x240"])
def test_the_gain_lasts(shared, model, name):
    if issubclass(model_class(load_model(model.label).model), WindowNetwork):
        pytest.skip("it carries nothing from frame to frame")
    length = 350 if model.label in DEEP else 2000
    run = long_run(_middle(_clip(shared, name), SIDE), model, PSNR, length=length)
    assert run.is_flat, f"{name}: {run.first:.3f} dB at first, {run.last:.3f} dB at last"
    assert run.last > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_the_gain_lasts_for_2000_whole_frames(shared, model, name):
    run = long_run(_clip(shared, name), model, PSNR, length=2000)
    assert run.is_flat, f"{name}: {run.first:.3f} dB at first, {run.last:.3f} dB at last"
    assert run.last > 0
