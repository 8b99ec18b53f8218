"""Block2Rock: its stacks, its blending, its sizes and both backbones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.random_variables import random_variables
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import parameter_count

TINY = {
    "past": 1,
    "future": 2,
    "patch": 8,
    "stride": 6,
    "features": 4,
    "deform_groups": 2,
    "extraction_blocks": 1,
    "reconstruction_blocks": 1,
    "remat": False,
}
RRDB = {"backbone": "rrdb", "rrdb_blocks": 1, "rrdb_growth": 2}
CORNERS = np.array([[0, 0], [5, 7]])


def _windows(k=4, height=14, width=17):
    return jax.random.uniform(jax.random.key(0), (1, k, height, width, 3))


def test_parameter_counts():
    """EDVR M at full size with 50 frames in both 1x1 fusions in place of 5; ESRGAN's trunk."""
    edvr = parameter_count("edvr")
    assert parameter_count("block2rock") == edvr + 2 * 45 * 64 * 64 == 3_373_347
    rrdb = parameter_count("block2rock", backbone="rrdb")
    assert rrdb - parameter_count("block2rock", backbone="rrdb", past=23) == 9 * 3 * 64
    assert rrdb == 16_708_803


def test_a_stack_is_the_block_and_its_matches():
    """In frames that are the same picture moved, every block of a stack is the first one."""
    wide = jax.random.uniform(jax.random.key(1), (24, 28, 3))
    moves = [(0, 3), (2, 2), (1, 0), (3, 4)]  # of earlier, current, later, later frame
    frames = jnp.stack([wide[y : y + 18, x : x + 20] for y, x in moves])
    network = models.build("block2rock", **TINY)
    stacks = network.apply({}, frames, CORNERS, method=lambda m, *a: type(m).stacks(m, *a))
    inside = stacks[1]  # it is in all of them
    np.testing.assert_array_equal(inside, jnp.broadcast_to(inside[:1], inside.shape))
    np.testing.assert_array_equal(inside[0], frames[1, 5:13, 7:15])
    near = network.clone(search=0)  # nothing may move: the blocks of the same place
    stacks = near.apply({}, frames, CORNERS, method=lambda m, *a: type(m).stacks(m, *a))
    order = jnp.array([1, 0, 2, 3])
    np.testing.assert_array_equal(stacks[1], frames[order, 5:13, 7:15])


def test_few_stacks_at_once_are_all_of_them():
    few = models.build("block2rock", **TINY, **RRDB, stacks_at_once=4)  # of 6: not a multiple
    all_ = few.clone(stacks_at_once=100)
    variables = random_variables(few)
    a, b = (jax.jit(n.apply)(variables, _windows()) for n in (few, all_))
    np.testing.assert_allclose(a, b, atol=1e-4)
    assert float(jnp.abs(a - _windows()).max()) > 1e-2


def test_blocks_meet_without_a_seam():
    """Where blocks overlap, what each adds is mixed by the weight of the pixel in it."""
    network = models.build("block2rock", **TINY | RRDB)
    variables = jax.tree.map(jnp.zeros_like, random_variables(network))
    windows = _windows()
    same = jax.jit(network.apply)(variables, windows)
    np.testing.assert_allclose(same, windows, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": 18}, "patch=18 must be a multiple of 4"),
        ({"backbone": "edrv"}, "backbone='edrv' does not exist; did you mean 'edvr'"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(UserError, match=message):
        models.build("block2rock", **fields)


def test_blocks_must_overlap_or_touch():
    network = models.build("block2rock", **TINY | RRDB | {"stride": 9})
    with pytest.raises(UserError, match="blocks of 8 pixels every 9 do not cover"):
        network.apply(random_variables(models.build("block2rock", **TINY | RRDB)), _windows())


def test_windows_of_another_length_are_refused():
    network = models.build("block2rock", **TINY | RRDB)
    with pytest.raises(UserError, match="got windows of 3 frames, expected 4"):
        network.apply({}, _windows(3), method="enhance")
