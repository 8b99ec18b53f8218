"""Official weights where they are at hand; tests that need others skip and say how to get them."""

import numpy as np
import pytest

from vqe_jax.errors import EnvironmentFailure
from vqe_jax.weights import load_perceptual


@pytest.fixture(scope="session")
def official(shared):
    """A function from a network's name to its variables."""

    def load(name):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VQE_OFFLINE", "1")
            patch.setenv("VQE_LPIPS_ALEX", str(shared / "weights/lpips_alexnet_v0.1.npz"))
            patch.setenv("VQE_DISTS", str(shared / "weights/dists_alpha_beta.npz"))
            try:
                return load_perceptual(name).variables
            except EnvironmentFailure as err:
                pytest.skip(str(err))

    return load


@pytest.fixture(scope="session")
def example(shared):
    """Two distorted pictures and twice their reference, as LPIPS's authors publish them."""
    with np.load(shared / "golden/lpips_ex.npz") as images:
        distorted = np.stack([images["ex_p0"], images["ex_p1"]]).astype(np.float32) / 255
        reference = np.stack([images["ex_ref"]] * 2).astype(np.float32) / 255
    return distorted, reference
