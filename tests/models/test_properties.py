"""What holds for every network of windows or frames; a narrow one of each is a row."""

import functools
import re
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import snapshots
from vqe_jax import models
from vqe_jax.inference import enhance_frames
from vqe_jax.models import Side
from vqe_jax.models.shapes import example_inputs, initial_variables, tree_paths
from vqe_jax.models.side import FrameInfo

_EDVR = {"features": 4, "deform_groups": 2, "extraction_blocks": 1, "reconstruction_blocks": 1}
_SMGF = {
    "candidates": "peak",
    "reach": 5,
    "stdf_features": 4,
    "stdf_depth": 1,
    "fused_features": 6,
    "features": 4,
    "expanded": 6,
    "blocks": 1,
    "reduction": 2,
    "gate_features": 4,
    "gate_depth": 2,
    "remat": False,
}
SMALL = {
    "arcnn": {"features": 8},
    "bluedot": {"frames": 3, "lookback": 3, "lookahead": 2, "remat": False, **_EDVR},
    "block2rock": {"past": 1, "future": 1, "patch": 8, "stride": 5, "remat": False, **_EDVR},
    "brnet": {"features": 8, "blocks": 1},
    "cfstif": {
        "radius": 1,
        "features": 4,
        "volume_features": 2,
        "fused": 4,
        "qe_features": 4,
        "remat": False,
    },
    "cvqenet": {"features": 8, "front_blocks": 1, "back_blocks": 2},
    "dcad": {"features": 4, "depth": 2},
    "dncnn": {"features": 4, "depth": 2, "bn": True},
    "duve": {"features": 4, "blocks1": 1, "blocks2": 1, "reduction": 2, "remat": False},
    "edvr": {"frames": 3, **_EDVR},
    "gogoing": {
        **{k: v for k, v in _EDVR.items() if k != "reconstruction_blocks"},
        **{"frames": 3, "levels": 2, "blocks": 1, "reduction": 2, "handed": "picture"},
    },
    "mfqe": {"features": 4, "flow_widths": (4, 4), "reach": 2},
    "mgbp3d": {"frames": 3, "widths": (4, 4, 4), "remat": False},
    "noahtcv": {
        "features": 4,
        "front_blocks": 1,
        "offset_features": 4,
        "deform_groups": 1,
        "levels": 1,
        "unet_blocks": 1,
        "back_blocks": 1,
        "reach": 3,
        "remat": False,
    },
    "pen": {
        "stdf": {"features": 4, "depth": 2, "fused": 6, "qe_features": 4, "qe_depth": 3},
        "edvr": _EDVR,
        "reach": 3,
    },
    "qecnn": {"features": 8},
    "psmgf": {**_SMGF, "rrdb_features": 4, "rrdb_growth": 2, "rrdb_blocks": 1, "gives": "residual"},
    "qenet": {"frames": 3, **_EDVR, "extraction_blocks": 2},
    "smgf": {**_SMGF, "trunk": "whole"},
    "tim": {
        **{"features": 4, "levels": 1, "frames": 3, "edvr_features": 4, "deform_groups": 2},
        **{"extraction_blocks": 1, "reconstruction_blocks": 1, "remat": False},
    },
    "rcan_a": {"features": 4, "groups": 1, "blocks": 2},
    "repnet": {"features": 4, "blocks": 1},
    "rcvn": {"features": 8, "groups": 1, "blocks": 1},
    "stdr": {
        "radius": 1,
        "unet_features": 4,
        "depth": 2,
        "fused": 4,
        "features": 4,
        "growth": 2,
        "layers": 2,
        "blocks": 1,
        "remat": False,
    },
}
# Their deformable convolutions take long to compile, and gray would say nothing more.
_SLOW = ("block2rock", "cfstif", "cvqenet", "duve", "edvr", "gogoing", "noahtcv", "pen", "psmgf")
_SLOW += ("bluedot", "qenet", "smgf", "stdr", "tim")
# What released weights hold although nothing reads it.
UNREAD = {"cvqenet": r"l3_conv\d/|unread_gate\d+/"}
# Of the random weights: attention over pixels from 0 to 255 is all or nothing if they are large.
SCALES = {"rcvn": 0.03}
PEAKS = np.array([[True, False, False, True, False]])
TYPES = np.where(PEAKS, 0, 1)  # intra frames are peaks
SIZE = (5, 13, 18)  # frames, height, width


@functools.cache
def made(name, channels):
    """A network with random variables, large enough that every part matters."""
    network = models.build(name, **SMALL[name], channels=channels)
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))

    def draw(path, x):
        noise = rng.normal(0, SCALES.get(name, 0.15), x.shape).astype(np.float32)
        if path[-2].key == "squeeze":  # a gate's few hidden channels must be alive
            noise = noise / 100 + (path[-1].key == "bias")
        positive = path[-1].key in ("scale", "var")
        return jnp.asarray(1 + np.abs(noise) if positive else noise)

    return network, jax.tree_util.tree_map_with_path(draw, tree)


def side_of():
    """What the networks are told of the clip's frames."""
    return Side(peak=jnp.asarray(PEAKS), frame_type=jnp.asarray(TYPES))


def clip_of(channels, frames=SIZE[0], height=SIZE[1], width=SIZE[2]):
    rng = np.random.default_rng(1)
    return jnp.asarray(rng.random((1, frames, height, width, channels), np.float32))


@pytest.mark.parametrize(
    ("name", "channels"), [(n, c) for n in SMALL for c in (1, 3) if c == 3 or n not in _SLOW]
)
def test_the_gradient_reaches_every_parameter(name, channels):
    network, variables = made(name, channels)
    clip = clip_of(channels)
    rest = {k: v for k, v in variables.items() if k != "params"}

    @jax.jit
    @jax.grad
    def gradient(params):
        out, _ = network.apply(
            {"params": params, **rest},
            clip,
            side=side_of(),
            train=True,
            mutable=["batch_stats"],
        )
        return jnp.mean((out - clip[:, ::-1]) ** 2)

    without = [p for p, g in tree_paths(gradient(variables["params"])).items() if not g.any()]
    unread = re.compile(UNREAD.get(name, "$^"))
    assert not [p for p in without if not unread.match(p)]


@pytest.mark.parametrize("name", SMALL)
def test_streaming_equals_the_whole_clip_and_odd_sizes_are_padded(name):
    network, variables = made(name, 3)
    clip = clip_of(3)
    side = side_of()
    whole = jax.jit(lambda v, x: network.apply(v, x, side=side))(variables, clip)
    assert whole.shape == clip.shape
    assert float(jnp.abs(whole - clip).max()) > 1e-3  # it does something
    # Rounding grows with the values, which random weights do not keep in [0, 1].
    atol = 1e-5 * max(1.0, float(jnp.abs(whole).max()))
    snapshots.check(name, whole, 10 * atol)  # another processor rounds differently
    infos = [FrameInfo(peak=bool(p), type=int(k)) for p, k in zip(PEAKS[0], TYPES[0], strict=True)]
    streamed = enhance_frames((network, variables), np.asarray(clip[0]), infos=infos, chunk=2)
    np.testing.assert_allclose(np.stack(list(streamed)), whole[0], atol=atol)
    m = network.context.multiple
    if m > 1:
        ends = ((0, 0), (0, 0), (0, -SIZE[1] % m), (0, -SIZE[2] % m), (0, 0))
        run = jax.jit(lambda v, x: network.apply(v, x, side=side))
        padded = run(variables, jnp.pad(clip, ends, mode="edge"))
        np.testing.assert_allclose(padded[:, :, : SIZE[1], : SIZE[2]], whole, atol=atol)


def test_what_is_made_of_each_frame_once_is_what_windows_make():
    network, variables = made("rcvn", 3)
    clip = clip_of(3)
    whole = jax.jit(network.apply)(variables, clip)
    alone = network.apply(variables, clip[:, None], method="on_windows")
    np.testing.assert_allclose(alone[:, 0], whole[:, 2], atol=5e-6)


@pytest.mark.parametrize("name", SMALL)
def test_a_pixel_sees_no_farther_than_the_network_says(name):
    network, variables = made(name, 1)
    field = network.context.receptive_field
    if field is None:
        return
    clip = clip_of(1, 1, 2 * field + 8, 2 * field + 8)
    far = clip.at[:, :, field + 1 :].add(1.0)
    near = clip.at[:, :, field:].add(1.0)
    run = jax.jit(lambda x: network.apply(variables, x)[0, 0, 0])
    np.testing.assert_array_equal(run(far), run(clip))
    assert float(jnp.abs(run(near) - run(clip)).max()) > 0


def _choices():
    """Every value of a Literal that neither the network's default nor its row has."""
    for name, fields in SMALL.items():
        hints = typing.get_type_hints(models.model_class(name))
        for field, hint in hints.items():
            if typing.get_origin(hint) is typing.Literal and field in models.fields(name):
                own = {models.fields(name)[field], fields.get(field)}
                for value in sorted(set(typing.get_args(hint)) - own, key=str):
                    yield pytest.param(name, {field: value}, id=f"{name}-{field}={value}")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "choice"), list(_choices()))
def test_every_choice_makes_a_network(name, choice):
    network = models.build(name, **SMALL[name] | choice)
    clip, told = example_inputs(network)
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    picture = jax.eval_shape(lambda v, x: network.apply(v, x, **told), shapes, clip)
    (b, t, h, w, c), scale = clip.shape, network.context.scale
    assert picture.shape == (b, t, h * scale, w * scale, c)
