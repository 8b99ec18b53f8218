"""PEN against the official code; its two residuals, its peaks, windows and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from tests.models.random_variables import random_variables
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.models import Side
from vqe_jax.models.side import FrameInfo

NAME = "pen_edvr_c16"
NARROW = {
    "edvr": {
        "features": 16,
        "deform_groups": 2,
        "extraction_blocks": 2,
        "reconstruction_blocks": 2,
    },
    "residual": "released",
}
TINY = {
    "stdf": {"features": 4, "depth": 2, "fused": 6, "qe_features": 4, "qe_depth": 3},
    "edvr": {"features": 4, "deform_groups": 2, "extraction_blocks": 1, "reconstruction_blocks": 1},
    "reach": 3,
    "remat": False,
}
PEAKS = np.array([[True, False, False, True, False, False]])


def _clip(frames=6, height=7, width=10, channels=3):
    return jax.random.uniform(jax.random.key(0), (1, frames, height, width, channels))


@pytest.fixture(scope="module")
def tiny():
    network = models.build("pen", **TINY)
    return network, random_variables(network)


def test_both_forms_join_the_same_residuals(tiny):
    """report = frame + A + B; released = (A + red + B + frame) / 2."""
    network, variables = tiny
    windows = _clip(3, 8, 12)
    run = lambda n: jax.jit(lambda x: n.apply(variables, x, method="enhance"))(windows)  # noqa: E731
    report, released = (
        run(network.clone(residual=form))["picture"] for form in ("report", "released")
    )
    frame = windows[:, 1]
    np.testing.assert_allclose(released, (report + frame[..., :1]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edvr": {"features": 8}}, r"lacks edvr.feature_extraction.2|edvr.*expected \(8,"),
        ({"stdf": {"features": 16}}, r"ffnet\.\w+.*\(32, .*expected \(16, "),
        ({"channels": 1}, r"expected \(\d+, 3, 3, 3\)|expected \(\d+, 1, 3, 3\)"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(shared, fields, message):
    with pytest.raises(UserError, match=message):
        weights.from_torch("pen", load(shared, NAME).state_dict, **NARROW | fields)


def test_streaming_equals_the_whole_clip_and_sees_peaks_alone(tiny):
    network, variables = tiny
    clip, side = _clip(), Side(peak=jnp.asarray(PEAKS))
    run = jax.jit(lambda x: network.apply(variables, x, side=side))
    whole = run(clip)
    infos = [FrameInfo(peak=bool(p)) for p in PEAKS[0]]
    model = (network, variables)
    streamed = np.stack(list(enhance_frames(model, np.asarray(clip[0]), infos=iter(infos))))
    np.testing.assert_allclose(streamed, whole[0], atol=1e-5)
    # Frame 1 reads the peaks 0 and 3 and itself; frame 2 reads neither 1 nor 4.
    moved = jnp.abs(run(clip.at[:, 1].add(0.1)) - whole).max((0, 2, 3, 4)) > 1e-6
    assert moved.tolist() == [False, True, False, False, False, False]
    moved = jnp.abs(run(clip.at[:, 3].add(0.1)) - whole).max((0, 2, 3, 4)) > 1e-6
    assert moved.tolist() == [True] * 6


def test_peaks_must_be_known(tiny):
    network, variables = tiny
    with pytest.raises(UserError, match=r"PEN needs peak beside the frames; .*--peaks"):
        network.apply(variables, _clip())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"residual": "reported"}, "residual='reported' does not exist; did you mean 'report'"),
        ({"stdf": {"feature": 8}}, "pen.stdf has no field 'feature'; did you mean 'features'"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(UserError, match=message):
        models.build("pen", **fields)
