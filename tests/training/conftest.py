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
