import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.training.samples import side_by_side, write_sample
from vqe_jax.video import read_frames


@pytest.mark.parametrize("channels", [1, 3])
def test_a_sample_is_a_picture_of_what_was_given(tmp_path, channels):
    before = jnp.full((8, 6, channels), 0.25)
    after = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 1.5, (8, 6, channels)), jnp.float32)
    both = np.asarray(side_by_side(before, after))
    assert both.shape == (8, 12, channels) and both.min() == 0 and both.max() == 1
    write_sample(tmp_path / "folder" / "a.png", both)
    (frame,) = read_frames(tmp_path / "folder")
    shown = np.stack(frame.planes, -1) / 255
    np.testing.assert_allclose(shown, both, atol=0.5 / 255 + 1e-6)
