"""How parameters are drawn anew by path, and how kernels that read pictures are found."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import rfda, stdf
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables, tree_paths
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.training import inits
from vqe_jax.training.picture_channels import picture_channels
from vqe_jax.training.stages import Init

KEY = jax.random.key(0)


class Mixed(nn.Module):
    """Pictures in every guise: stacked, shifted, beside features, in a loop, through 1x1."""

    @nn.compact
    def __call__(self, clip):
        centered = 2 * jnp.pad(clip, ((0, 0), (1, 1), *[(0, 0)] * 3), mode="edge") - 1
        stack = jnp.concatenate([centered[:, :-2], centered[:, 1:-1], centered[:, 2:]], axis=-1)
        pointwise = nn.Dense(2, name="pointwise")(stack)
        features = nn.relu(nn.Conv(4, (3, 3), name="first")(stack))
        both = nn.remat(nn.Conv)(4, (3, 3), name="both")(jnp.concatenate([features, clip], axis=-1))
        grouped = nn.Conv(4, (3, 3), feature_group_count=2, name="grouped")(
            jnp.concatenate([clip, clip], axis=-1)
        )
        hidden = nn.Conv(1, (3, 3), name="hidden")(both + grouped)
        twice = nn.Conv(1, (3, 3), name="twice")
        return twice(clip) + twice(hidden) + pointwise.sum(axis=-1, keepdims=True)


class Loop(nn.Module):
    """A recurrence over frames, as a loop and unrolled."""

    @nn.compact
    def __call__(self, clip):
        conv = nn.Conv(2, (3, 3), name="inside")

        def cell(_, state, frame):
            state = conv(jnp.concatenate([frame, state], axis=-1))
            return state, state

        start = jnp.zeros((*clip[:, 0].shape[:-1], 2))
        return scan_time(self, start, clip, method=cell)[1]


CLIP = jnp.zeros((1, 3, 8, 8, 1))


def _found(module):
    params = jax.eval_shape(module.init, KEY, CLIP)["params"]
    found = picture_channels(lambda p, x: module.apply({"params": p}, x), params, CLIP)
    return {path: mask.tolist() for path, mask in found.items()}


def test_kernels_that_read_pictures_are_found_with_their_channels():
    assert _found(Mixed()) == {
        "pointwise/kernel": [True] * 3,
        "first/kernel": [True] * 3,
        "both/kernel": [False] * 4 + [True],
        "grouped/kernel": [True],
    }
    assert _found(Loop()) == {"inside/kernel": [True, False, False]}


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("vig", {"width": 4, "down_widths": (4, 4, 4)}, {"pre"}),
        (
            "stdf",
            {"features": 4, "depth": 1, "fused_features": 8, "qe_features": 8, "qe_depth": 4},
            {"fusion/in_conv"},
        ),
        (
            "cfstif",
            {"features": 4, "volume_features": 2, "fused": 4, "qe_features": 4},
            {"fusion/volume0"},
        ),
        (
            "basicvsr",
            {"features": 4, "blocks": 1, "flow_levels": 2, "flow_widths": (4,)},
            {"backward_trunk/conv", "forward_trunk/conv"},
        ),
    ],
)
def test_first_layers_of_networks_are_found(name, kwargs, expected):
    found = inits.pictures_of(models.build(name, **kwargs))
    assert {p.removesuffix("/kernel") for p in found if "spynet" not in p} == expected
    assert all(mask[0] for mask in found.values())


def _drawn(*pairs, module=None):
    module = module or Mixed()
    params = module.init(KEY, CLIP)["params"]
    given = tuple(Init(*pair) for pair in pairs)

    pictures = picture_channels(lambda p, x: module.apply({"params": p}, x), params, CLIP)
    new = inits.redraw(params, given, pictures, jax.random.key(7))
    return tree_paths(params), tree_paths(new)


def test_high_pass_for_any_network():
    before, after = _drawn(*inits.HIGH_PASS, ("^hidden/", "keep"))
    sums = {p: np.abs(np.asarray(x).sum((0, 1))).max(-1) for p, x in after.items() if x.ndim == 4}
    assert sums["first/kernel"].max() < 1e-4  # blind to brightness
    assert sums["both/kernel"][4] < 1e-4 < 1e-2 < sums["both/kernel"][:4].min()
    assert np.std(after["both/kernel"][:, :, 4]) > 3 * np.std(after["both/kernel"][:, :, :4])
    # A kernel of one pixel less its mean would be nothing.
    assert np.std(after["pointwise/kernel"]) > 0.1
    for path in after:
        if path.endswith("bias"):
            assert not after[path].any()
        else:
            kept = np.array_equal(before[path], after[path])
            assert kept == path.startswith("hidden/"), path


def test_the_last_pattern_wins_and_draws_do_not_depend_on_each_other():
    _, all_of_them = _drawn(("kernel$", "kaiming"), ("^first", "zeros"), ("^first/b", "open_gates"))
    assert not all_of_them["first/kernel"].any()
    np.testing.assert_array_equal(all_of_them["first/bias"], 4.0)
    _, one = _drawn(("^hidden/kernel", "kaiming"))
    np.testing.assert_array_equal(all_of_them["hidden/kernel"], one["hidden/kernel"])
    assert not np.array_equal(
        one["hidden/kernel"][..., 0, :], all_of_them["both/kernel"][..., 0, :1]
    )


def test_schemes_have_their_size():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Conv(64, (3, 3), name="b")(nn.Conv(64, (3, 3), name="a")(x))

    for scheme, options, expected in (
        ("kaiming", {}, np.sqrt(2 / (9 * 64))),
        ("kaiming", {"scale": 2.0}, 2 * np.sqrt(2 / (9 * 64))),
        ("uniform", {}, np.sqrt(1 / (3 * 9 * 64))),
        ("high_pass", {"blind": True, "gain": 1.0}, np.sqrt(2 / (9 * 64) * 8 / 9)),
    ):
        _, after = _drawn(("b/kernel", scheme, options), module=Wide())
        np.testing.assert_allclose(np.std(after["b/kernel"]), expected, rtol=0.02)


def test_a_scheme_of_ones_own():
    _, after = _drawn(("first/kernel", f"{__name__}:ramp", {"top": 3.0}))
    np.testing.assert_allclose(np.max(after["first/kernel"]), 3.0)


def ramp(key, current, pictures, *, top):
    return jnp.linspace(0, top, current.size).reshape(current.shape)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("frist", "zeros"), "init: no parameter's path matches 'frist'.*'first'"),
        (("first", "zeroes"), "init scheme 'zeroes' does not exist; did you mean 'zeros'"),
        (("first/bias", "kaiming"), r"cannot draw 'first/bias' of shape \(4,\)"),
    ],
)
def test_what_is_refused(pair, message):
    with pytest.raises(UserError, match=message):
        _drawn(pair)


def test_options_are_checked_before_the_run():
    with pytest.raises(UserError, match="no option 'gian'; did you mean 'gain'"):
        inits.check((Init("kernel", "high_pass", {"gian": 1.0}),), "config.stages[0].init")


def _started(name, fields, begin, seed):
    network = models.build(name, **fields)
    drawn = initial_variables(network, jax.random.key(seed))["params"]
    given = tuple(Init(*pair) for pair in begin)
    return network, inits.redraw(drawn, given, inits.pictures_of(network), jax.random.key(seed))


SMALL = {"radius": 1, "features": 4, "depth": 1, "fused_features": 8, "qe_features": 8}


def test_stdf_does_not_see_brightness_at_first():
    begin = [pair for pair in stdf.INIT if "out_conv" not in pair[0]]
    network, params = _started("stdf", SMALL, begin, 0)
    noise = jax.random.uniform(jax.random.key(1), (1, 3, 24, 24, 1))
    run = jax.jit(lambda x: network.apply({"params": params}, x) - x)
    change = [run(noise + k) for k in (0.0, 5.0)]
    inside = np.s_[:, 1, 10:-10, 10:-10]  # borders of zeros are edges
    np.testing.assert_allclose(change[0][inside], change[1][inside], atol=1e-3)
    assert np.abs(change[0][inside]).max() > 0.1


def test_fresh_attention_and_recursion_hardly_change_what_stdf_gives():
    """So that RFDA, started from a file of STDF, goes on where that ended."""
    network, trained = _started("stdf", SMALL, stdf.INIT, 0)
    out_conv = trained["enhancement"]["out_conv"]
    out_conv["kernel"] = 0.02 * jax.random.normal(jax.random.key(3), out_conv["kernel"].shape)
    clip = jax.random.uniform(jax.random.key(2), (1, 3, 32, 32, 1))
    before = jax.jit(network.apply)({"params": trained}, clip) - clip
    changes = []
    apply = jax.jit(models.build("rfda", **SMALL).apply)
    for begin in (rfda._INIT, ()):
        _, params = _started("rfda", SMALL, begin, 1)
        both = params["enhancement"] | trained["enhancement"]
        params = {**params, "fusion": trained["fusion"], "enhancement": both}
        after = apply({"params": params}, clip) - clip
        changes.append(float(jnp.sqrt(jnp.mean((after - before) ** 2) / jnp.mean(before**2))))
    assert 0 < changes[0] < 0.6 < 0.9 < changes[1]


def test_dirac_kernels_pass_channels_through():
    kernel = inits.SCHEMES.get("dirac")(KEY, jnp.ones((3, 3, 2, 3)), np.zeros(2, bool))
    x = jax.random.uniform(KEY, (1, 5, 6, 2))
    y = nn.Conv(3, (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_array_equal(y[..., :2], x)
    assert not y[..., 2].any()


def test_kernels_that_pass_on_lose_no_channel():
    pass_on, none = inits.SCHEMES.get("pass_on"), np.zeros(2, bool)
    x = jax.random.uniform(KEY, (1, 5, 6, 2))

    def convolved(kernel):
        conv = nn.Conv(kernel.shape[-1], (3, 3), use_bias=False)
        return conv.apply({"params": {"kernel": kernel}}, x)

    more = convolved(pass_on(KEY, jnp.ones((3, 3, 2, 3)), none, noise=0.0))
    np.testing.assert_array_equal(more, x[..., jnp.array([0, 1, 0])])
    fewer = convolved(pass_on(KEY, jnp.ones((3, 3, 2, 1)), none, noise=0.0))
    np.testing.assert_allclose(fewer[..., 0], x.sum(-1) / np.sqrt(2), rtol=1e-6)
    noisy = pass_on(KEY, jnp.ones((3, 3, 2, 3)), none, noise=0.5)
    drawn = inits.SCHEMES.get("kaiming")(KEY, jnp.ones((3, 3, 2, 3)), none)
    np.testing.assert_allclose(convolved(noisy - 0.5 * drawn), more, atol=1e-5)
