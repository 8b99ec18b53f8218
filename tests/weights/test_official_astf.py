"""ASTF's names: those of three BasicVSR checkpoints, there and back."""

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vqe_jax.errors import UserError
from vqe_jax.weights import from_torch, to_torch
from vqe_jax.weights.conversion import table_of

SMALL = {"features": 8, "blocks": 1, "flow_levels": 2, "flow_widths": (4,)}


@pytest.fixture(scope="module")
def tensors():
    """Seeded official tensors of a small ASTF."""
    rng = np.random.default_rng(0)
    table = table_of("astf", **SMALL)
    return {t.names[0]: rng.random(t.shape, np.float32) for t in table.values()}


def test_names_come_back(tensors):
    back = to_torch("astf", from_torch("astf", tensors, **SMALL), **SMALL)
    assert back.keys() == tensors.keys()
    for key, value in tensors.items():
        np.testing.assert_array_equal(back[key], value)


def test_each_part_is_a_basicvsr(tensors):
    """A part's tensors alone, by BasicVSR's table, are that part's subtree."""
    params = from_torch("astf", tensors, **SMALL)["params"]
    for part in ("stage1", "enhance1", "enhance2"):
        mine = {k.removeprefix(f"{part}."): v for k, v in tensors.items() if k.startswith(part)}
        alone = from_torch("basicvsr", mine, upscale=1, **SMALL)["params"]
        left, right = (flatten_dict(tree, sep="/") for tree in (params[part], alone))
        assert left.keys() == right.keys()
        assert all(np.array_equal(left[k], right[k]) for k in left)


def test_the_other_spelling_and_what_a_trainer_leaves_are_understood(tensors):
    other = {k.replace("_resblocks.", "_trunk."): v for k, v in tensors.items()}
    assert other.keys() != tensors.keys()
    other |= {"stage1.spynet.mean": np.zeros(3), "enhance2.step_counter": np.zeros(1)}
    found, expected = (
        flatten_dict(from_torch("astf", t, **SMALL)["params"], sep="/") for t in (other, tensors)
    )
    assert all(np.array_equal(found[k], expected[k]) for k in expected)


def test_a_missing_network_is_named(tensors):
    two = {k: v for k, v in tensors.items() if not k.startswith("enhance2.")}
    with pytest.raises(UserError, match=r"lacks enhance2\."):
        from_torch("astf", two, **SMALL)
