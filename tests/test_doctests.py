"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import vqe_jax

# Commands, not libraries: importing them runs something.
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages(vqe_jax.__path__, "vqe_jax.")
    if not m.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.failed == 0
