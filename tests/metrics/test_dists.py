import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vqe_jax.errors import UserError
from vqe_jax.metrics import dists
from vqe_jax.metrics.dists import shrink
from vqe_jax.perceptual import DISTS

from ..perceptual.seeded import seeded


@pytest.mark.parametrize("size", [(41, 70), (64, 48)])
def test_shrinks_as_pillow_does(size):
    picture = np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8)
    found = shrink(jnp.asarray(picture, jnp.float32) / 255, short_side=24)
    codes = np.round(np.asarray(found) * 255).astype(int)
    height, width = (24 * n // min(size) for n in size)
    expected = np.asarray(Image.fromarray(picture).resize((width, height), Image.BILINEAR))
    # Pillow rounds between the two passes.
    assert np.abs(codes - expected).max() <= 1
    assert np.mean(codes == expected) > 0.8


def test_does_not_enlarge():
    frames = jnp.zeros((2, 20, 30, 3)) + 0.123
    np.testing.assert_array_equal(shrink(frames, short_side=24), frames)


def test_full_and_reduced_size():
    clips = np.random.default_rng(5).random((2, 3, 40, 48, 3), np.float32)
    module = DISTS(divisor=32)
    variables = seeded(module, *clips)
    full = dists(*clips, variables=variables, divisor=32, chunk=2)
    np.testing.assert_allclose(full, jax.jit(module.apply)(variables, *clips), rtol=1e-4)
    small = dists(*clips, variables=variables, divisor=32, resize=24)
    pair = [shrink(jnp.asarray(c), short_side=24) for c in clips]
    np.testing.assert_allclose(small, jax.jit(module.apply)(variables, *pair), rtol=1e-4)
    with pytest.raises(UserError, match="result has values"):
        dists(clips[0] * 2 - 1, clips[1], variables=variables, divisor=32)
