import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.inference.bidirectional import exact
from vqe_jax.models.basicvsrpp import PASSES
from vqe_jax.models.shapes import initial_variables, variable_shapes
from vqe_jax.nn.grid_propagation import FlowGuidedAlignment
from vqe_jax.ops.warp import flow_warp
from vqe_jax.training.forward import scalar_metrics
from vqe_jax.weights.conversion import table_of

SMALL = {
    "features": 4,
    "blocks": 1,
    "reconstruction_blocks": 1,
    "deform_groups": 4,
    "flow_levels": 2,
    "flow_widths": (4,),
}
GOLDEN = {"features": 16, "blocks": 1, "upscale": 4}
SIZES = {
    "c128n25_hr_ntire_decompress": ({"features": 128, "blocks": 25}, 44_075_631),
    "c64n7_x4": ({"upscale": 4}, 7_322_927),
}


def random_variables(network, seed=0):
    """Random variables, large enough that flow, offsets and propagation matter."""
    rng = np.random.default_rng(seed)
    tree = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.12, x.shape), jnp.float32), tree)


def random_clip(t=4, h=16, w=20, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random((1, t, h, w, 3), np.float32))


def official_shapes(shared, name):
    """Names and shapes of a key list, without constants."""
    lines = (shared / f"reference/keys/{name}.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    shapes = {
        key: tuple(map(int, shape.strip("()").replace(",", " ").split())) for key, shape in pairs
    }
    return {k: v for k, v in shapes.items() if k not in ("spynet.mean", "spynet.std")}


@pytest.fixture(scope="module")
def small():
    network = models.build("basicvsrpp", **SMALL)
    variables = random_variables(network)
    return network, variables, jax.jit(lambda x: network.apply(variables, x))


@pytest.fixture(scope="module")
def official(shared):
    file = golden.load(shared, "basicvsrpp_c16n1_x4_t3")
    return file, file.variables("basicvsrpp", **GOLDEN)


def test_golden(official):
    """In the form of training; frame by frame it is the same, and ProVQE's file is in sweeps."""
    file, variables = official
    network = models.build("basicvsrpp", **GOLDEN, unroll=1)
    clip = jnp.asarray(np.moveaxis(file.data["in/lqs"], 2, -1))
    out = jax.jit(lambda v, x: network.apply(v, x, train=True))(variables, clip)
    assert out.shape == (1, 3, 256, 256, 3)
    file.check(np.moveaxis(out, -1, 2)[..., 1::2, ::2], "y_sub2")


@pytest.mark.parametrize("name", SIZES)
def test_official_names_and_shapes(shared, name):
    fields, count = SIZES[name]
    table = table_of("basicvsrpp", **fields)
    found = {t.names[0]: t.shape for t in table.values()}
    assert found == official_shapes(shared, f"basicvsrpp_{name}")
    assert sum(math.prod(t.ours) for t in table.values()) == count


def test_there_and_back(official):
    file, variables = official
    back = weights.to_torch("basicvsrpp", variables, **GOLDEN)
    assert set(file.state_dict) - set(back) == {"spynet.mean", "spynet.std"}
    assert all(np.array_equal(back[k], file.state_dict[k]) for k in back)
    trainer = {f"generator.{k}": v for k, v in file.state_dict.items()}
    trainer |= {f"generator_ema.{k}": v for k, v in back.items()} | {"step_counter": np.zeros(1)}
    again = weights.from_torch("basicvsrpp", {"state_dict": trainer}, **GOLDEN)
    assert jax.tree.all(jax.tree.map(np.array_equal, again, variables))


def test_both_ways_of_processing_agree(small):
    network, variables, run = small
    clip, network = random_clip(), network.clone(unroll=1)
    train = jax.jit(lambda v, x: network.apply(v, x, train=True, mutable=["metrics"]))
    fast, sown = train(variables, clip)
    assert float(jnp.max(jnp.abs(run(clip) - clip))) > 0.05
    for name in PASSES:  # how far offsets reach, of every frame of every pass
        assert sown["metrics"][name]["align"]["deform"]["offset_max"][0].shape == (4,)
    reach = scalar_metrics(sown["metrics"])
    assert float(reach["offset_max"]) > float(reach["offset_mean"]) > 0
    np.testing.assert_allclose(run(clip), fast, rtol=0, atol=2e-5)


def test_sweeps_equal_the_whole_clip(small):
    network, variables, run = small
    clip = random_clip()
    swept = np.stack(list(exact(network, variables, None, iter(np.asarray(clip[0])))))
    np.testing.assert_allclose(swept, run(clip)[0], rtol=0, atol=1e-5)


def test_every_frame_sees_every_other(small):
    clip, run = random_clip(), small[2]
    for source in (0, 3):
        moved = jnp.abs(run(clip.at[:, source].add(0.1)) - run(clip)).max((0, 2, 3, 4))
        assert (np.asarray(moved) > 1e-5).all()


@pytest.mark.parametrize("upscale", [1, 4])
def test_one_frame_of_an_odd_size_below_the_smallest(upscale):
    network = models.build("basicvsrpp", **SMALL, upscale=upscale)
    assert network.context.min_side == {1: 16, 4: 4}[upscale]
    assert models.build("basicvsrpp", upscale=upscale).context.min_side == {1: 256, 4: 64}[upscale]
    run = jax.jit(lambda v, x: network.apply(v, x))
    out = run(random_variables(network), random_clip(t=1, h=11, w=21))
    assert out.shape == (1, 1, 11 * upscale, 21 * upscale, 3)
    assert np.isfinite(out).all()


def test_gradient_reaches_every_parameter(small):
    network, variables, _ = small
    clip, network = random_clip(t=3), network.clone(unroll=1)
    loss = jax.jit(jax.grad(lambda v: jnp.mean(network.apply(v, clip, train=True) ** 2)))
    dead = [k for k, g in jax.tree_util.tree_leaves_with_path(loss(variables)) if not g.any()]
    assert not dead


def test_frames_are_reduced_as_pytorch_does():
    network = models.build("basicvsrpp", **SMALL)
    row = jnp.asarray([0.0, 1.0, 2.0, 3.0, 9.0, 0.0, 0.0, 0.0])
    frame = jnp.broadcast_to(row[None, None, :, None], (1, 4, 8, 3))
    found = network.apply({}, frame, method="_small")[0, 0, :, 0]
    np.testing.assert_allclose(found, [1.5, -0.84375], rtol=0, atol=1e-6)


def test_untrained_alignment_follows_the_flow():
    """Without a residue, a deformable convolution of one tap is the warp of both frames."""
    align = FlowGuidedAlignment(2, groups=2)
    rng = np.random.default_rng(0)
    first, second, current = jnp.asarray(rng.random((3, 1, 6, 7, 2), np.float32))
    flows = tuple(jnp.asarray(rng.normal(0, 2, (2, 1, 6, 7, 2)), jnp.float32))
    variables = jax.jit(align.init)(jax.random.key(0), first, second, current, flows)
    kernel = np.zeros((3, 3, 4, 2), np.float32)
    kernel[1, 1] = [[2, 0], [0, 2], [2, 0], [0, 2]]  # the mask is a half
    variables["params"]["deform"]["kernel"] = jnp.asarray(kernel)
    warped = flow_warp(first, flows[0]) + flow_warp(second, flows[1])
    run = jax.jit(lambda *args: align.apply(variables, *args, mutable=["metrics"]))
    out, sown = run(first, second, current, flows)
    reach = np.abs(np.stack(flows))
    metrics = scalar_metrics(sown["metrics"])
    assert float(metrics["offset_max"]) == pytest.approx(reach.max())
    assert float(metrics["offset_mean"]) == pytest.approx(reach.mean(), rel=1e-5)
    np.testing.assert_allclose(out, warped, rtol=0, atol=1e-5)


def test_fields_are_checked():
    for kwargs, message in (
        ({"upscale": 2}, "upscale=2 does not exist; known: 1, 4"),
        ({"channels": 2}, "channels=2 does not exist"),
        ({"deform_groups": 3}, "deform_groups=3 must be even and divide"),
        ({"deform_groups": 6}, "deform_groups=6 must be even and divide 2 \\* features=8"),
    ):
        with pytest.raises(UserError, match=message):
            variable_shapes("basicvsrpp", **SMALL | kwargs)


def test_bfloat16_features_stay_close(small):
    network, variables, run = small
    clip, half = random_clip(), network.clone(dtype="bfloat16")
    out = jax.jit(lambda x: half.apply(variables, x))(clip)
    assert out.dtype == jnp.float32
    assert 0 < float(jnp.max(jnp.abs(out - run(clip)))) < 0.05
