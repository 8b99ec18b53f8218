"""The demo's moving photographs."""

import numpy as np
import pytest

from vqe_jax.data.demo_film import Scene, SceneOrigin, _Patch, _sample, photograph, render
from vqe_jax.data.sources.demo import TRAIN_PHOTOS, VAL_PHOTOS, Demo, DemoOptions
from vqe_jax.errors import UserError
from vqe_jax.video import to_rgb

SCENE = Scene("astronaut", ("coffee",), seed=3, frames=8, width=96, height=64)


def _film(**changes: object) -> np.ndarray:
    values = {**SCENE.__dict__, **changes}
    return np.stack(list(render(Scene(**values))))


def test_a_scene_follows_from_its_seed() -> None:
    film = _film()
    assert film.shape == (8, 64, 96, 3) and film.dtype == np.float32
    assert film.min() >= 0 and film.max() <= 1
    np.testing.assert_array_equal(film, _film())
    assert np.abs(film - _film(seed=4)).mean() > 0.01


def test_noise_is_as_strong_as_said_and_grows_with_light() -> None:
    still, noisy = _film(noise=0.0), _film(noise=4.0)
    inside = (still > 0.1) & (still < 0.9)
    error = ((noisy - still) * 255)[inside]
    assert np.std(error) == pytest.approx(4.0, rel=0.15)
    dark = np.std(((noisy - still) * 255)[(still > 0.1) & (still < 0.3)])
    light = np.std(((noisy - still) * 255)[(still > 0.7) & (still < 0.9)])
    assert light > 1.2 * dark


def test_motion_is_smooth_and_patches_hide_the_background() -> None:
    film, bare = _film(noise=0.0), _film(noise=0.0, foregrounds=())
    covered = np.abs(film - bare).max(axis=-1) > 0.05
    assert 0.02 < covered.mean() < 0.5
    assert (covered[0] != covered[-1]).any()
    # Two frames in a row are nearer than the first and the last.
    steps = np.abs(np.diff(bare, axis=0)).mean(axis=(1, 2, 3))
    assert 0 < steps.max() < np.abs(bare[-1] - bare[0]).mean()
    still = _film(noise=0.0, foregrounds=(), speed=0.0)
    assert np.abs(still - still[0]).max() == 0


def test_a_patch_is_painted_as_its_outline_says() -> None:
    rng = np.random.default_rng(0)
    patch = _Patch.draw(rng, SCENE, "coffee")
    for t in (0, 4, 7):
        picture = rng.random((64, 96, 3), np.float32)
        v = (np.arange(64) - patch.y[t])[:, None]
        u = (np.arange(96) - patch.x[t])[None, :]
        c, s = np.cos(patch.spin[t]), np.sin(patch.spin[t])
        down, across = s * u + c * v, c * u - s * v
        wave = np.sin(np.arctan2(down, across)[..., None] * np.arange(2, 6) + patch.phases)
        outline = patch.radius * (1 + (patch.waves * wave).sum(axis=-1))
        cover = np.clip(outline - np.hypot(down, across) + 0.5, 0, 1)[..., None]
        assert cover.max() > 0
        texture = _sample(patch.spline, patch.center[0] + down, patch.center[1] + across)
        expected = picture + cover * (texture - picture)
        patch.paint(picture, t)
        np.testing.assert_allclose(picture, expected, atol=1e-6)


def test_frames_are_coded_with_their_tags() -> None:
    info, frames = SceneOrigin(SCENE).open()
    frames = list(frames)
    assert SceneOrigin(SCENE).length() == len(frames) == 8
    assert (info.width, info.height, info.color.matrix) == (96, 64, 1)
    back = to_rgb(frames[0], info)
    assert np.abs(back - _film()[0]).mean() < 0.02


def test_validation_shares_no_photograph_with_training() -> None:
    assert not set(TRAIN_PHOTOS) & set(VAL_PHOTOS)
    (made,) = Demo().plan(DemoOptions())
    for job in made.jobs:
        allowed = TRAIN_PHOTOS if job.split == "train" else VAL_PHOTOS
        scene = job.origin.scene
        assert {scene.photo, *scene.foregrounds} <= set(allowed)
    assert len({job.origin.scene.seed for job in made.jobs}) == len(made.jobs)
    with pytest.raises(UserError, match="must be even"):
        Demo().plan(DemoOptions(width=97))


@pytest.mark.parametrize("name", [*TRAIN_PHOTOS, *VAL_PHOTOS])
def test_photographs_come_with_the_wheel(name: str) -> None:
    picture = photograph(name, 64, 48)
    assert picture.shape[2] == 3 and picture.dtype == np.float32
    assert picture.shape[0] >= 48 and picture.shape[1] >= 64
    assert np.ptp(picture) > 0.3
