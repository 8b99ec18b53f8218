import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.metrics import lpips
from vqe_jax.perceptual import LPIPS

from ..perceptual.seeded import seeded

MODULE = LPIPS(divisor=16)


@pytest.fixture(scope="module")
def judged():
    clips = np.random.default_rng(0).random((2, 2, 3, 32, 32, 3), np.float32)
    return clips, seeded(MODULE, *clips)


def test_frames_in_chunks_of_any_size_get_the_same_values(judged):
    (result, reference), variables = judged
    expected = MODULE.apply(variables, result, reference)
    assert expected.shape == (2, 3)
    for chunk in (None, 4):
        found = lpips(result, reference, variables=variables, divisor=16, chunk=chunk)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_eight_bit_frames_are_refused_with_the_conversion(judged):
    (result, reference), variables = judged
    with pytest.raises(UserError, match=r"result has values from .* convert with result / 255"):
        lpips(result * 255, reference, variables=variables)
    with pytest.raises(UserError, match=r"reference is uint8, .*reference.astype\('float32'\)"):
        lpips(result, reference.astype(np.uint8), variables=variables)
    with pytest.raises(UserError, match="'alx'; did you mean 'alex'"):
        lpips(result, reference, variables=variables, net="alx")
