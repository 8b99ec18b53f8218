"""The discriminator that sees high frequencies alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.test_parity import official_keys
from vqe_jax.errors import UserError
from vqe_jax.nn.high_pass_discriminator import HighPassDiscriminator
from vqe_jax.weights.conversion import table_of


def test_official_names_and_shapes(shared):
    expected = official_keys(shared, "restorcompressed_patch_discriminator_nf64")
    read = {k: s for k, s in expected.items() if not k.startswith("classification.")}
    found = {t.names[0]: t.shape for t in table_of("high_pass_discriminator").values()}
    assert found == read


def test_it_sees_edges_and_no_brightness():
    discriminator = HighPassDiscriminator(features=4, halvings=2)
    frames = jnp.asarray(np.random.default_rng(0).random((2, 32, 32, 3), np.float32)) / 2
    variables = jax.jit(discriminator.init)(jax.random.key(0), frames)
    score = jax.jit(lambda x: discriminator.apply(variables, x)[0])
    np.testing.assert_allclose(score(frames), score(frames + 0.4), atol=1e-6)
    assert float(jnp.abs(score(frames) - score(frames[:, :, ::-1])).max()) > 1e-5


def test_a_crop_that_does_not_divide_is_refused():
    with pytest.raises(UserError, match="frames of 40x40, expected sides that divide by 16"):
        HighPassDiscriminator().init(jax.random.key(0), jnp.zeros((1, 40, 40, 3)))
