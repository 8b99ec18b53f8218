import gc
import time

import pytest

from tests.training import synthetic
from vqe_jax import models
from vqe_jax.data import datasets


@pytest.fixture
def tiny(monkeypatch):
    """The synthetic data and the network "tiny" in place of real ones."""
    synthetic.install()
    monkeypatch.setattr(synthetic.Batches, "poison", set())
    yield synthetic
    models.unregister("tiny")
    datasets.unregister("waves")


@pytest.fixture
def late_readers():
    """Orbax's readers of an array that is cut short may end after their event loop was closed.

    Their complaint has no owner ("Exception ignored in: None") and comes when it comes: what is
    under way ends here, so that no other test is blamed.
    """
    yield
    gc.collect()
    time.sleep(0.1)
