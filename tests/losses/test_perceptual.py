import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.losses.perceptual import dists, lpips, vgg_pyramid
from vqe_jax.nn.vgg import torchvision_indices
from vqe_jax.perceptual import DISTS, LPIPS

from ..perceptual.seeded import seeded


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden/peq_losses_div8.npz") as npz:
        file = {k: npz[k] for k in npz.files}
    state = {k.rsplit(".", 2)[-2:][0]: k for k in file if k.startswith("sd/vgg.slice")}
    params = {}
    for name, place in torchvision_indices(19).items():
        if str(place) in state:
            key = state[str(place)].rsplit(".", 1)[0]
            kernel = file[f"{key}.weight"].transpose(2, 3, 1, 0)
            params[name] = {"kernel": kernel, "bias": file[f"{key}.bias"]}
    pair = [jnp.asarray(file[f"in/{k}"].transpose(0, 2, 3, 1)) for k in ("fake", "real")]
    return file, {"params": params}, pair


def test_vgg_pyramid_equals_the_released_code(golden):
    file, variables, pair = golden
    loss = jax.jit(lambda v, p, t: vgg_pyramid(p, t, variables=v, divisor=8))
    np.testing.assert_allclose(loss(variables, *pair), file["out/loss_VGG"], atol=2.9e-5)


@pytest.mark.parametrize(("level", "tap"), [(0, 4), (1, 0), (3, 2)])
def test_single_terms_equal_the_released_code(golden, level, tap):
    file, variables, pair = golden
    weights = np.zeros(5)
    weights[tap] = 1
    found = vgg_pyramid(
        *pair,
        variables=variables,
        divisor=8,
        factors=(2**level,),
        layer_weights=[float(w) for w in weights],
    )
    expected = file["out/vgg_l1_table_scale_by_tap"][level, tap]
    np.testing.assert_allclose(found, expected, atol=1.9e-5)


def test_pictures_too_small_for_the_pyramid(golden):
    _, variables, (fake, real) = golden
    with pytest.raises(UserError, match=r"pyramid with factors .* needs 121 pixels"):
        vgg_pyramid(fake[:, :120], real[:, :120], variables=variables, divisor=8)


@pytest.fixture(scope="module")
def clips():
    return np.random.default_rng(1).random((2, 1, 2, 32, 40, 3), np.float32)


@pytest.mark.parametrize(
    ("loss", "module"), [(lpips, LPIPS(divisor=16)), (dists, DISTS(divisor=32))]
)
def test_mean_over_frames_and_no_gradient_to_the_target(loss, module, clips):
    variables = seeded(module, *clips)

    def value(pred, target):
        return loss(pred, target, variables=variables, divisor=module.divisor)

    found, (to_pred, to_target) = jax.jit(jax.value_and_grad(value, (0, 1)))(*clips)
    np.testing.assert_allclose(found, jax.jit(module.apply)(variables, *clips).mean(), rtol=1e-5)
    assert np.isfinite(to_pred).all() and np.abs(to_pred).max() > 0
    assert not to_target.any()


def test_bfloat16_by_name(clips):
    module = LPIPS(divisor=16)
    variables = seeded(module, *clips)
    exact, fast = (
        lpips(*clips, variables=variables, divisor=16, dtype=d) for d in ("float32", "bfloat16")
    )
    assert fast.dtype == jnp.float32 and fast != exact
    np.testing.assert_allclose(fast, exact, rtol=0.01)


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [("lpips", {"net": "vgg"}, "lpips_vgg"), ("dists", {}, "dists"),
     ("vgg_pyramid", {"depth": 16}, "vgg16")],
)  # fmt: skip
def test_found_by_name_and_say_their_weights(name, options, weights):
    loss = losses.get(name)
    assert "variables" in loss.takes and loss.weights(options) == weights
