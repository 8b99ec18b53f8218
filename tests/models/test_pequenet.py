import ast
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.models.pequenet import DecoderBlock, QPHead
from vqe_jax.models.shapes import parameter_count, variable_shapes
from vqe_jax.nn.qp_conditioning import QPS
from vqe_jax.weights.conversion import table_of

TINY = {"divisor": 32, "head_features": 8}


def _nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def _conv(golden, name):
    kernel = golden[f"sd/{name}.weight"].transpose(2, 3, 1, 0)
    return {"kernel": kernel, "bias": golden[f"sd/{name}.bias"]}


@pytest.fixture(scope="module")
def golden(shared):
    return dict(np.load(shared / "golden" / "pequenet_generator_div8.npz"))


@pytest.fixture(scope="module")
def converted(golden):
    tensors = {k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")}
    return weights.from_torch("pequenet", tensors, divisor=8), tensors


@pytest.fixture(scope="module")
def clip():
    return jax.random.uniform(jax.random.key(1), (2, 3, 16, 24, 1))


def _made(**kwargs):
    """A tiny network with random variables that keep the signal's size; nothing is compiled."""
    kwargs = TINY | kwargs
    rng, flat = np.random.default_rng(0), {}
    for path, shape in variable_shapes("pequenet", **kwargs).items():
        scale = math.sqrt(2 / math.prod(shape[:-1])) if path.endswith("kernel") else 0.1
        flat[path] = (scale * rng.standard_normal(shape)).astype(np.float32)
    return models.build("pequenet", **kwargs), unflatten_dict(flat, sep="/")


def _run(network, variables, clip, qp):
    qp = None if qp is None else jnp.asarray(qp)
    return jax.jit(network.apply)(variables, clip, qp=qp)


@pytest.fixture(scope="module")
def tiny():
    return _made()


def test_parameters():
    assert parameter_count("pequenet") == 26_329_281
    assert parameter_count("pequenet", backbone="vgg16") == 26_329_281
    shapes = variable_shapes("pequenet")
    frozen = sum(math.prod(s) for p, s in shapes.items() if p.startswith("frozen/"))
    assert frozen == 20_024_384


@pytest.mark.parametrize(
    ("name", "features", "tolerance"), [("16_8", 8, 1.9e-5), ("24_16_fused", 16, 3.7e-5)]
)
def test_golden_decoder(shared, name, features, tolerance):
    golden = np.load(shared / "golden" / f"peq_decoder_{name}.npz")
    params = {f"conv{i}": _conv(golden, f"conv{i}") for i in (1, 2)}
    x = _nhwc(golden["in/src"])
    if "in/fused" in golden:
        x = x + _nhwc(golden["in/fused"])
    out = DecoderBlock(features).apply({"params": params}, x, _nhwc(golden["in/skip"]))
    np.testing.assert_allclose(out, _nhwc(golden["out/y"]), atol=tolerance, rtol=0)


def test_golden_head_at_every_qp(shared):
    golden = np.load(shared / "golden" / "peq_qenet_in128.npz")
    params = {
        "conv_in": _conv(golden, "in_conv"),
        "conv_hidden1": _conv(golden, "hid_conv1"),
        "conv_hidden2": _conv(golden, "hid_conv2"),
        "conv_out": _conv(golden, "out_conv"),
        "conditioning": {
            "dense": {"kernel": golden["sd/fc.0.weight"].T, "bias": golden["sd/fc.0.bias"]}
        },
    }
    qp = jnp.array(QPS)[golden["in/qp"][:, 0]]
    out = QPHead().apply({"params": params}, _nhwc(golden["in/x"]), qp)
    np.testing.assert_allclose(out, _nhwc(golden["out/y"]), atol=1.9e-5, rtol=0)


@pytest.mark.parametrize("options", [{}, {"attention_method": "blockwise", "attention_block": 40}])
def test_golden_generator(golden, converted, options):
    network = models.build("pequenet", divisor=8, **options)
    clip = jnp.asarray(golden["in/x"])[..., None]
    qp = jnp.array(QPS)[golden["in/qp"][:, 0]]
    center = network.apply(converted[0], clip, qp=qp, method="inner")
    np.testing.assert_allclose(center[:, 0], _nhwc(golden["out/y"]), atol=1.5e-5, rtol=0)
    if not options:
        whole = network.apply(converted[0], clip, qp=qp)
        np.testing.assert_allclose(whole[:, 1], center[:, 0], atol=2e-6)


def test_conversion_returns_the_official_tensors(converted):
    variables, tensors = converted
    back = weights.to_torch("pequenet", variables, divisor=8)
    assert set(back) == set(tensors)
    for name, value in back.items():
        np.testing.assert_array_equal(value, tensors[name])


def test_official_names_and_shapes(shared):
    lines = (shared / "reference/keys/pequenet_generator_incl_vgg19.txt").read_text().splitlines()
    official = dict(line.split("\t") for line in lines[1:])
    ours = {t.names[0]: t.shape for t in table_of("pequenet").values()}
    assert ours == {name: ast.literal_eval(shape) for name, shape in official.items()}


@pytest.mark.parametrize("alignment", ["deformable", "flow"])
def test_other_alignments_see_the_neighbours(clip, alignment):
    network, variables = _made(alignment=alignment)
    moved = clip.at[:, 0].set(clip[:, 0, ::-1])
    out, other = (_run(network, variables, c, [22, 37]) for c in (clip, moved))
    assert out.shape == clip.shape
    change = jnp.abs(other - out).max((0, 2, 3, 4))
    assert change[1] > 1e-5 and change[2] == 0
    with pytest.raises(UserError, match="no official weights"):
        weights.to_torch("pequenet", variables, alignment=alignment)


@pytest.mark.parametrize(
    "options",
    [
        {"attention_depths": ()},
        {"attention_depths": (4,), "conditioning": None},
        {"backbone": "vgg16", "attention_downsample": 2},
    ],
)
def test_variants_run_and_convert(clip, options):
    network, variables = _made(**options)
    qp = None if "conditioning" in options else jnp.array([22, 37])
    out = jax.eval_shape(lambda v: network.apply(v, clip, qp=qp), variables)
    assert out.shape == clip.shape
    official = weights.to_torch("pequenet", variables, **TINY, **options)
    back = weights.from_torch("pequenet", official, **TINY, **options)
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_columns_are_enhanced_on_their_own():
    clip = jax.random.uniform(jax.random.key(1), (1, 2, 16, 40, 1))
    network, variables = _made(column_width=16, backbone="vgg16", attention_depths=(5,))
    out = _run(network, variables, clip, [32])
    # Eight columns of pixels are too few for the VGG: the last tile is 24 wide.
    whole = network.clone(column_width=None)
    for tile in (slice(0, 16), slice(16, 40)):
        alone = _run(whole, variables, clip[..., tile, :], [32])
        np.testing.assert_allclose(out[..., tile, :], alone, atol=1e-5)


def test_an_interpolated_qp_lies_between_its_neighbours(clip):
    network, variables = _made(conditioning={"interpolate": True})
    low, middle, high = (_run(network, variables, clip, [qp, qp]) for qp in (32, 34, 37))

    def apart(a, b):
        return float(jnp.abs(a - b).mean())

    assert 0 < max(apart(low, middle), apart(middle, high)) < apart(low, high)


def test_frames_under_sixteen_pixels(clip, tiny):
    small = clip[:, :, :9, :5]
    out = _run(*tiny, small, [22, 37])
    assert out.shape == small.shape and bool(jnp.isfinite(out).all())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"backbone": "vgg18"}, "vgg19"),
        ({"alignment": "atention"}, "attention"),
        ({"attention_depths": (2,)}, "3, 4, 5"),
        ({"column_width": 8}, "16 pixels"),
    ],
)
def test_fields_that_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        _made(**options)


def test_a_qp_that_was_not_trained(clip, tiny):
    network, variables = tiny
    qp = jnp.array([24, 37])
    with pytest.raises(UserError, match="qp is 24"):
        jax.eval_shape(lambda v: network.apply(v, clip, qp=qp), variables)
    with pytest.raises(UserError, match="qp is missing"):
        _run(network, variables, clip, None)
    with pytest.raises(UserError, match="qp is 24"):
        network.check_qp(24)
    network.clone(conditioning=None).check_qp(24)


def test_missing_vgg_is_said(clip, tiny):
    network, variables = tiny
    with pytest.raises(UserError, match="frozen vgg19 is missing"):
        _run(network, {"params": variables["params"]}, clip, [22, 37])


def test_streams_refuse_a_qp_before_they_compile(clip, tiny):
    frames = np.asarray(clip[0])
    for qp, said in ((24, "qp is 24"), (None, "qp is missing")):
        with pytest.raises(UserError, match=said):
            next(iter(enhance_frames(tiny, frames, qp=qp)))
