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
CLIPS = (
    "aot1007_480x264",
    "carphone_176x144",
    "foliage_720x480",
    "sam2_04_coffee_416x232",
    "tennis_432x240",
)
SIDE = 48
# These take seconds a frame; whole frames, and 2,000, are for the slow tests and the cards.
DEEP = ("rfda_qp37", "stdf_qp37")

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


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("stream", ["x265hm_qp37", "hm1625_ldp_gop4_qp37"])
def test_it_gains_on_every_unseen_clip(shared, model, name, stream):
    clip = _clip(shared, name, stream=stream, limit=12)
    if model.label in DEEP:
        clip = _middle(clip, 128)
    enhanced = enhance_frames(model.ready(37)[0], clip.frames("compressed", "luma"))
    both = zip(enhanced, clip.frames("compressed", "luma"), clip.frames("raw", "luma"), strict=True)
    gains = [float(PSNR(out, raw)) - float(PSNR(before, raw)) for out, before, raw in both]
    known = GAINS.get((model.label, stream))
    least = known[CLIPS.index(name)] - 0.005 if known else 0.0
    assert np.mean(gains) > max(least, 0.0)


@pytest.mark.parametrize("name", ["carphone_176x144", "tennis_432x240"])
def test_the_gain_lasts(shared, model, name):
    if issubclass(model_class(load_model(model.label).model), WindowNetwork):
        pytest.skip("it carries nothing from frame to frame")
    length = 250 if model.label in DEEP else 2000
    run = long_run(_middle(_clip(shared, name), SIDE), model, PSNR, length=length)
    assert run.is_flat, f"{name}: {run.first:.3f} dB at first, {run.last:.3f} dB at last"
    assert run.last > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_the_gain_lasts_for_2000_whole_frames(shared, model, name):
    run = long_run(_clip(shared, name), model, PSNR, length=2000)
    assert run.is_flat, f"{name}: {run.first:.3f} dB at first, {run.last:.3f} dB at last"
    assert run.last > 0
