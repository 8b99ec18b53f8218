import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.inference.bidirectional import exact
from vqe_jax.models.shapes import initial_variables, parameter_count, variable_shapes

SMALL = {"features": 4, "blocks": 1, "flow_levels": 3, "flow_widths": (4, 4)}


def _golden(shared):
    z = np.load(shared / "golden" / "basicvsr_c16n1_x4_t3_bigflow.npz")
    tensors = {k.removeprefix("sd/"): z[k] for k in z.files if k.startswith("sd/")}
    clip = jnp.asarray(np.moveaxis(z["in/lrs"], 2, -1))
    return tensors, clip, np.moveaxis(z["out/y_sub2"], 2, -1)


def _variables(network, seed=0):
    """Random variables, large enough that flow and propagation matter."""
    rng = np.random.default_rng(seed)
    tree = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.15, x.shape), jnp.float32), tree)


def _clip(t=5, h=64, w=72, c=3, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random((1, t, h, w, c), np.float32))


@pytest.fixture(scope="module")
def small():
    network = models.build("basicvsr", **SMALL)
    return network, _variables(network)


@pytest.mark.parametrize("train", [False, True])
def test_golden(shared, train):
    tensors, clip, expected = _golden(shared)
    kwargs = {"features": 16, "blocks": 1, "upscale": 4}
    variables = weights.from_torch("basicvsr", tensors, **kwargs)
    network = models.build("basicvsr", **kwargs, unroll=1)
    out = jax.jit(lambda v, x: network.apply(v, x, train=train))(variables, clip)
    assert out.shape == (1, 3, 256, 272, 3)
    np.testing.assert_allclose(out[:, :, 1::2, ::2], expected, rtol=0, atol=4.1e-5)


def test_parameter_counts():
    assert parameter_count("basicvsr", upscale=4) == 6_291_311
    assert parameter_count("basicvsr") == 5_995_887


def test_spellings_and_the_way_back(shared):
    tensors, _, _ = _golden(shared)
    kwargs = {"features": 16, "blocks": 1, "upscale": 4}
    expected = weights.from_torch("basicvsr", tensors, **kwargs)
    mmagic = {f"generator.{k}": v for k, v in tensors.items()} | {"step_counter": np.zeros(1)}
    basicsr = {}
    for key, value in tensors.items():
        for old, new in (
            ("_resblocks.", "_trunk."),
            (".upsample_conv", ""),
            ("upsample", "upconv"),
        ):
            key = key.replace(old, new)
        if key.startswith("spynet.basic"):
            head, _, k, _, leaf = key.rsplit(".", 4)
            key = f"{head}.basic_module.{2 * int(k)}.{leaf}"
        basicsr[key] = value
    assert {"forward_trunk.main.0.weight", "upconv2.bias"} <= set(basicsr)
    for found in ({"state_dict": mmagic}, {"params": basicsr}):
        again = weights.from_torch("basicvsr", found, **kwargs)
        assert jax.tree.all(jax.tree.map(np.array_equal, again, expected))
    back = weights.to_torch("basicvsr", expected, **kwargs)
    assert set(tensors) - set(back) == {"spynet.mean", "spynet.std"}
    assert all(np.array_equal(back[k], tensors[k]) for k in back)


def test_both_ways_of_processing_agree(small):
    network, variables = small
    clip = _clip()
    slow = jax.jit(lambda v, x: network.apply(v, x))(variables, clip)
    fast = jax.jit(lambda v, x: network.apply(v, x, train=True))(variables, clip)
    assert float(jnp.max(jnp.abs(slow - clip))) > 0.05
    np.testing.assert_allclose(slow, fast, rtol=0, atol=2e-5)


def test_sweeps_equal_the_whole_clip(small):
    network, variables = small
    clip = _clip(t=6)
    whole = jax.jit(lambda v, x: network.apply(v, x))(variables, clip)
    swept = np.stack(list(exact(network, variables, None, iter(np.asarray(clip[0])))))
    np.testing.assert_allclose(swept, whole[0], rtol=0, atol=1e-5)


def test_flow_that_is_not_finite_costs_its_own_frame(small):
    """Without a watch both directions carry NaN away from where a motion cannot be known."""
    network, variables = small
    clip, told = np.array(_clip(t=4)[0]), []
    clip[1] = np.nan
    assert np.isnan(list(exact(network, variables, None, iter(clip)))).any((1, 2, 3)).all()
    found = np.stack(list(exact(network, variables, None, iter(clip), passed=told.append)))
    assert told == [1]
    assert np.isfinite(found[[0, 2, 3]]).all()
    # What stands on each side is enhanced as a clip of its own.
    alone = np.stack(list(exact(network, variables, None, iter(clip[2:]))))
    np.testing.assert_array_equal(found[2:], alone)


def test_every_frame_sees_every_other(small):
    network, variables = small
    clip = _clip(t=4)
    run = jax.jit(lambda x: network.apply(variables, x))
    for source in (0, 3):
        moved = jnp.abs(run(clip.at[:, source].add(0.1)) - run(clip)).max((0, 2, 3, 4))
        assert (np.asarray(moved) > 1e-5).all()


def test_flows_of_a_mirrored_clip_are_computed_once(small):
    network, variables = small
    network = network.clone(unroll=1)
    looking = network.clone(mirrored=True)
    half = _clip(t=2)
    mirrored = jnp.concatenate([half, half[:, ::-1]], axis=1)
    run = jax.jit(lambda x: looking.apply(variables, x, train=True))
    plain = jax.jit(lambda x: network.apply(variables, x, train=True))
    for clip in (mirrored, _clip(t=4)):
        np.testing.assert_allclose(run(clip), plain(clip), rtol=0, atol=1e-5)
    # The condition has one branch with the flow network's convolutions and one without any.
    jaxpr = jax.make_jaxpr(lambda x: looking.apply(variables, x, train=True))(mirrored)
    (choice,) = (e for e in jaxpr.eqns if e.primitive.name == "cond")
    convolutions = sorted(str(b).count("conv_general_dilated") for b in choice.params["branches"])
    assert convolutions[0] == 0 < convolutions[1]


def test_one_frame_and_frames_below_64(small):
    network, variables = small
    for train in (False, True):
        run = jax.jit(lambda x, train=train: network.apply(variables, x, train=train))
        out = run(_clip(t=1, h=20, w=33))
        assert out.shape == (1, 1, 20, 33, 3)
        assert np.isfinite(out).all()


def test_luma():
    network = models.build("basicvsr", **SMALL, channels=1)
    shapes = variable_shapes("basicvsr", **SMALL, channels=1)
    assert shapes["params/conv_last/kernel"] == (3, 3, 4, 1)
    assert shapes["params/spynet/level0/conv0/kernel"] == (7, 7, 8, 4)
    assert network.context.recurrence == "both"


def test_gradient_reaches_every_parameter_and_the_trunks_are_recomputed(small):
    network, variables = small
    network, clip = network.clone(unroll=1, remat=True), _clip(t=2)
    loss = jax.jit(jax.grad(lambda v: jnp.mean(network.apply(v, clip, train=True) ** 2)))
    dead = [k for k, g in jax.tree_util.tree_leaves_with_path(loss(variables)) if not g.any()]
    assert not dead
    plain = jax.make_jaxpr(lambda v: network.apply(v, clip, train=True))(variables)
    assert str(plain).count("remat2") >= 2


def test_fields_are_checked():
    for kwargs, message in (
        ({"upscale": 3}, "upscale=3 does not exist; known: 1, 2, 4"),
        ({"channels": 2}, "channels=2 does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            variable_shapes("basicvsr", **kwargs)


def test_bfloat16_trunks_stay_close(small):
    network, variables = small
    clip = _clip(t=3)
    half = network.clone(dtype="bfloat16")
    run = lambda n: jax.jit(lambda x: n.apply(variables, x))(clip)  # noqa: E731
    assert run(half).dtype == jnp.float32
    assert 0 < float(jnp.max(jnp.abs(run(half) - run(network)))) < 0.02
