import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from vqe_jax.errors import UserError
from vqe_jax.perceptual import LPIPS, SqueezeNet
from vqe_jax.perceptual.lpips import LPIPS_NETS, unit_length
from vqe_jax.weights.perceptual_parts import PARTS, extract

from .seeded import seeded

# Distances of the two example pictures, and their sums' parts, from the authors' implementation.
PUBLISHED = {
    "alex": (
        (0.721881, 0.137566),
        [(0.01813, 0.01174), (0.28697, 0.02971), (0.15986, 0.03538),
         (0.11900, 0.03437), (0.13792, 0.02636)],
    ),
    "vgg": (
        (0.568613, 0.421664),
        [(0.06084, 0.07391), (0.07020, 0.08402), (0.07581, 0.06428),
         (0.18647, 0.08622), (0.17529, 0.11324)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_published_distances_and_their_layers(net, official, example):
    variables = official(f"lpips_{net}")
    distances, layers = PUBLISHED[net]
    np.testing.assert_allclose(LPIPS(net=net).apply(variables, *example), distances, atol=1e-5)
    maps = LPIPS(net=net).apply(variables, *example, method="layers")
    for found, expected in zip(maps, layers, strict=True):
        np.testing.assert_allclose(found.mean((1, 2)), expected, atol=1e-5)


def test_published_mean_of_the_map(official, example):
    maps = LPIPS(spatial=True).apply(official("lpips_alex"), *example)
    assert maps.shape == (2, 64, 64)
    np.testing.assert_allclose(maps.mean((1, 2)), (0.721858, 0.137554), atol=1e-5)


def test_bfloat16_changes_less_than_one_percent(official, example):
    fast = LPIPS(dtype=jnp.bfloat16).apply(official("lpips_alex"), *example)
    assert fast.dtype == jnp.float32
    np.testing.assert_allclose(fast, PUBLISHED["alex"][0], rtol=0.01)


@pytest.fixture(scope="module")
def narrow():
    module, blank = LPIPS(net="alex", divisor=16), jnp.zeros((1, 32, 32, 3))
    return module, seeded(module, blank, blank)


def pictures(*shape):
    return np.random.default_rng(7).random((2, *shape), np.float32)


def test_symmetric_zero_on_the_diagonal_and_blind_to_how_luma_is_given(narrow):
    module, variables = narrow
    a, b = pictures(2, 3, 33, 40, 1)
    distances = module.apply(variables, a, b)
    assert distances.shape == (2, 3) and (distances > 0).all()
    np.testing.assert_allclose(module.apply(variables, b, a), distances, rtol=1e-6)
    np.testing.assert_array_equal(module.apply(variables, a, a), 0)
    rgb = [np.repeat(x, 3, axis=-1) for x in (a, b)]
    np.testing.assert_allclose(module.apply(variables, *rgb), distances, rtol=1e-6)


@pytest.mark.parametrize("dead", ["first", "both"])
def test_gradients_are_finite_where_all_features_are_zero(narrow, dead):
    module, variables = narrow
    biases = jax.tree.map_with_path(
        lambda path, v: v - 100 if path[-1].key == "bias" else v, variables
    )
    a, b = pictures(1, 32, 32, 3)
    used = biases if dead == "both" else variables
    a = np.zeros_like(a) if dead == "first" else a
    gradient = jax.jit(jax.grad(lambda x: module.apply(used, x, b).sum()))(a)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max() > 0) == (dead == "first")


def test_unit_length_of_zero_and_of_tiny_vectors():
    x = jnp.array([[0.0, 0.0], [3.0, 4.0], [1e-30, 0.0]])
    np.testing.assert_allclose(unit_length(x), [[0, 0], [0.6, 0.8], [0, 0]], atol=1e-6)
    gradient = jax.grad(lambda v: unit_length(v).sum())(x)
    assert np.isfinite(gradient).all() and not gradient[0].any()


@pytest.mark.parametrize("net", sorted(LPIPS_NETS))
def test_the_smallest_picture_passes_and_a_smaller_one_is_refused(net):
    module, side = LPIPS(net=net, divisor=16), LPIPS_NETS[net].min_side
    a = jnp.zeros((1, side, side, 3))
    layers = jax.eval_shape(
        lambda: module.init_with_output(jax.random.key(0), a, a, method="layers")[0]
    )
    assert all(min(layer.shape) > 0 for layer in layers)
    with pytest.raises(UserError, match=rf"LPIPS \({net}\) needs {side} pixels"):
        module.init(jax.random.key(0), a[:, 1:], a[:, 1:])


def test_unknown_net():
    a = jnp.zeros((1, 64, 64, 3))
    with pytest.raises(UserError, match="'alexnet'; did you mean 'alex'"):
        LPIPS(net="alexnet").init(jax.random.key(0), a, a)


def squeezenet_of_torch(torch, state, x):
    """SqueezeNet 1.1 by PyTorch's functions: the activations LPIPS reads."""
    f = torch.nn.functional

    def conv(name, y, **options):
        weight, bias = state[f"features.{name}.weight"], state[f"features.{name}.bias"]
        return f.relu(f.conv2d(y, weight, bias, **options))

    y = conv("0", x, stride=2)
    taps = [y]
    for place in range(2, 13):
        if place in (2, 5, 8):
            y = f.max_pool2d(y, 3, 2, ceil_mode=True)
        else:
            y = conv(f"{place}.squeeze", y)
            wide = [conv(f"{place}.expand1x1", y), conv(f"{place}.expand3x3", y, padding=1)]
            y = torch.cat(wide, 1)
        if place in (4, 7, 9, 10, 11, 12):
            taps.append(y)
    return taps


@pytest.mark.parametrize("size", [(35, 46), (18, 17)])
def test_squeezenet_equals_pytorch_at_sizes_that_round_up(size):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    state = {}
    for path, tensor in PARTS["squeezenet"].tables()[1].items():
        scale = np.sqrt(2 / np.prod(tensor.shape[1:])) if path.endswith("kernel") else 0.1
        state[tensor.names[0]] = (scale * rng.standard_normal(tensor.shape)).astype(np.float32)
    variables = unflatten_dict(extract("squeezenet", state, "seeded"), sep="/")
    x = rng.standard_normal((1, *size, 3)).astype(np.float32)
    ours = jax.jit(SqueezeNet().apply)(variables, x)
    tensors = {k: torch.from_numpy(v) for k, v in state.items()}
    theirs = squeezenet_of_torch(torch, tensors, torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    assert [o.shape[-1] for o in ours] == [64, 128, 256, 384, 384, 512, 512]
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(
            mine, reference.numpy().transpose(0, 2, 3, 1), atol=2e-4 * float(reference.abs().max())
        )
