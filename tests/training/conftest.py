import pytest

from tests.training import synthetic


@pytest.fixture
def tiny(monkeypatch):
    """The synthetic data and the network "tiny" in place of real ones."""
    synthetic.install(monkeypatch)
    monkeypatch.setattr(synthetic.Batches, "poison", set())
    return synthetic
