import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.nn.vgg import VGG, max_pool, tap_channels, torchvision_indices


def test_torchvision_places_of_the_taps_that_pequenet_reads():
    taps = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1", "conv5_4")
    # The activation follows its convolution.
    assert [torchvision_indices(19)[t] + 1 for t in taps] == [1, 6, 11, 20, 29, 35]
    assert list(torchvision_indices(16).values()) == [
        0,
        2,
        5,
        7,
        10,
        12,
        14,
        17,
        19,
        21,
        24,
        26,
        28,
    ]


def test_parameters_of_vgg19_up_to_its_last_convolution():
    shapes = jax.eval_shape(
        VGG(depth=19, taps=("relu5_4",)).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    )
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)) == 20_024_384


def test_taps_come_in_the_order_asked_and_nothing_behind_the_last_is_made():
    vgg = VGG(taps=("relu3_1", "relu1_1"), divisor=16)
    features, variables = vgg.init_with_output(jax.random.key(0), jnp.ones((2, 13, 9, 3)))
    assert [f.shape for f in features] == [(2, 3, 2, 16), (2, 13, 9, 4)]
    assert sorted(variables["params"]) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    assert tap_channels("relu3_1", divisor=16) == 16


def test_pooling_drops_an_odd_last_row():
    x = jnp.arange(15, dtype=jnp.float32).reshape(1, 5, 3, 1)
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[4], [10]])


@pytest.mark.parametrize(
    ("vgg", "message"),
    [
        (VGG(taps=("relu5_4",)), "'relu5_4' is not in VGG-16; did you mean"),
        (VGG(depth=11), "depth is 11, expected 16 or 19"),
    ],
)
def test_impossible_requests(vgg, message):
    with pytest.raises(UserError, match=message):
        vgg.init(jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
