import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.losses import build as build_loss
from vqe_jax.training.corruption import build, guidance_mask, truth_guidance

KEY = jax.random.key(0)


@settings(deadline=None, max_examples=12)
@given(
    patch=st.sampled_from([3, 4, 8]),
    ratio=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    size=st.sampled_from([(16, 16), (10, 7)]),
)
def test_every_frame_has_the_same_number_of_compressed_squares(patch, ratio, size):
    h, w = size
    mask = np.asarray(guidance_mask(KEY, (2, 3, h, w), patch=patch, ratio=ratio))
    assert mask.shape == (2, 3, h, w, 1) and set(np.unique(mask)) <= {0.0, 1.0}
    corners = mask[:, :, ::patch, ::patch, 0]
    squares = corners.shape[2] * corners.shape[3]
    expected = max(1, round((1 - ratio) * squares))
    np.testing.assert_array_equal((corners == 0).sum(axis=(2, 3)), expected)
    whole = np.repeat(np.repeat(corners, patch, 2), patch, 3)[:, :, :h, :w]
    np.testing.assert_array_equal(mask[..., 0], whole)


def test_frames_choose_for_themselves_unless_told_otherwise():
    own = np.asarray(guidance_mask(KEY, (4, 5, 32, 32), patch=4, ratio=0.5))
    assert (own[:, 0] != own[:, 1]).any() and (own[0] != own[1]).any()
    shared = np.asarray(guidance_mask(KEY, (4, 5, 32, 32), patch=4, ratio=0.5, per_frame=False))
    np.testing.assert_array_equal(shared, np.broadcast_to(shared[:, :1], shared.shape))


def test_all_squares_are_equally_likely():
    mask = guidance_mask(KEY, (64, 16, 8, 8), patch=4, ratio=0.75)
    often = np.asarray(1 - mask).mean(axis=(0, 1, 4))
    np.testing.assert_allclose(often, 0.25, atol=0.06)


def test_the_loss_sees_the_compressed_squares_alone():
    raw = jax.random.uniform(KEY, (2, 3, 16, 16, 1))
    batch = truth_guidance(KEY, {"raw": raw, "compressed": raw + 1}, patch=8, ratio=0.75)
    compressed = np.asarray(batch["compressed"] - raw)
    np.testing.assert_allclose(compressed, np.asarray(batch["weight"]), atol=1e-6)
    loss = build_loss("charbonnier")
    gradient = jax.grad(loss)(batch["compressed"], raw, weight=batch["weight"])
    assert ((np.asarray(gradient) != 0) == (np.asarray(batch["weight"]) > 0)).all()
    assert float(loss(raw + 0.5, raw, weight=batch["weight"])) == pytest.approx(0.5, rel=1e-4)


def test_mistakes():
    assert build(None) is None
    with pytest.raises(UserError, match="did you mean 'truth_guidance'"):
        build({"name": "truth_guidence"})
    with pytest.raises(UserError, match=r"no option 'patches'.*'patch'"):
        build({"name": "truth_guidance", "patches": 3})
    with pytest.raises(UserError, match=r"ratio=1.5 is not in \[0, 1\]"):
        build({"name": "truth_guidance", "ratio": 1.5})
    with pytest.raises(UserError, match="patch=0"):
        build({"name": "truth_guidance", "patch": 0})


def test_the_key_alone_decides():
    batch = {"raw": jnp.ones((1, 2, 8, 8, 1)), "compressed": jnp.zeros((1, 2, 8, 8, 1))}
    corrupt = build({"name": "truth_guidance", "patch": 2})
    again = [corrupt(jax.random.key(k), batch)["compressed"] for k in (0, 0, 1)]
    assert (again[0] == again[1]).all() and (again[0] != again[2]).any()


def test_untold_hides_both_facts_of_whole_clips():
    batch = {
        "raw": jnp.zeros((400, 3, 4, 4, 1)),
        "frame_qp": jnp.full((400, 3), 30),
        "codec": jnp.ones((400, 3), jnp.int32),
    }
    hidden = build({"name": "untold", "ratio": 0.25})(jax.random.key(0), batch)
    gone = np.asarray(hidden["frame_qp"]) == -1
    assert (gone.all(axis=1) == gone.any(axis=1)).all()
    np.testing.assert_array_equal(np.asarray(hidden["codec"]) == 0, gone)
    assert 0.15 < gone[:, 0].mean() < 0.35
