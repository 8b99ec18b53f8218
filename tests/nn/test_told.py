"""What the stream says of each frame, on its way into the features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.inference import enhance, enhance_frames
from vqe_jax.inference.side_info import known_frames
from vqe_jax.models import Side
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn.told import Told
from vqe_jax.video import CODECS

NARROW = {"width": 4, "down_widths": (8, 12, 12), "told": True}
QPS = [22, 37, 30, None, 41]


def _network():
    """With parameters that make a difference of what is told."""
    network = models.build("vig", **NARROW)
    variables = initial_variables(network, jax.random.key(0))
    kernel = variables["params"]["modulation"]["modulation"]["kernel"]
    kernel = 0.3 * jax.random.normal(jax.random.key(1), kernel.shape)
    variables["params"]["modulation"]["modulation"]["kernel"] = kernel
    return network, variables


def test_it_begins_by_changing_nothing():
    told, _ = Told(5).init_with_output(
        jax.random.key(0), jnp.array([[22.0, -1.0]]), jnp.array([[1, 0]])
    )
    np.testing.assert_array_equal(told.scale, np.ones((1, 2, 5)))
    np.testing.assert_array_equal(told.shift, np.zeros((1, 2, 5)))
    np.testing.assert_array_equal(told.gain, np.ones((1, 2, 1)))


@pytest.mark.parametrize("codec", ["hevc", "mpeg2video", ""])
def test_a_stream_is_told_what_the_whole_clip_is_told(codec):
    model = _network()
    clip = np.random.default_rng(0).random((5, 12, 16, 1), np.float32)
    infos = known_frames(model[0], QPS, "IPPPP", codec=codec)
    assert infos is not None and [i.qp for i in infos] == [22, 37, 30, -1, 41]
    streamed = np.clip(list(enhance_frames(model, clip, infos=infos)), 0, 1)
    side = Side.of_frames(infos, (), optional={"frame_qp", "codec"})
    np.testing.assert_allclose(enhance(clip, model=model, side=side), streamed, atol=1e-6)
    blind = np.clip(list(enhance_frames(model, clip)), 0, 1)
    assert np.abs(blind - streamed).max() > 1e-3


def test_hardly_any_quantization_is_told_as_clean():
    network, _ = _network()
    infos = known_frames(network, [0, 4, 30, None], "IPPP", codec="h264")
    assert infos is not None
    assert [i.codec for i in infos] == [CODECS["none"]] * 2 + [CODECS["h264"]] * 2


def test_what_is_told_to_be_clean_comes_out_as_it_went_in():
    network, variables = _network()
    clip = jax.random.uniform(jax.random.key(3), (1, 2, 12, 16, 1))
    codec = jnp.array([[CODECS["none"], CODECS["vp9"]]])
    result = jax.jit(network.apply)(variables, clip, side=Side(codec=codec))
    np.testing.assert_array_equal(result[:, 0], clip[:, 0])
    assert np.abs(result[:, 1] - clip[:, 1]).max() > 1e-3
    assert CODECS["none"] == max(CODECS.values()) == 6  # as nn/told.py counts


def test_beyond_what_was_learned_the_nearest_is_told():
    network, variables = _network()
    clip = jax.random.uniform(jax.random.key(3), (1, 2, 12, 16, 1))
    run = jax.jit(lambda qp: network.apply(variables, clip, side=Side(frame_qp=qp)))
    results = {qp: run(jnp.full((1, 2), qp)) for qp in (9.0, 14.0, 15.0)}
    np.testing.assert_array_equal(results[9.0], results[14.0])
    assert np.abs(results[14.0] - results[15.0]).max() > 1e-4


def test_nothing_known_and_nothing_given_are_the_same():
    model = _network()
    clip = np.random.default_rng(0).random((3, 12, 16, 1), np.float32)
    infos = known_frames(model[0], [None] * 3, "???")
    told = np.clip(list(enhance_frames(model, clip, infos=infos)), 0, 1)
    np.testing.assert_array_equal(np.clip(list(enhance_frames(model, clip)), 0, 1), told)
    np.testing.assert_allclose(enhance(clip, model=model), told, atol=1e-6)


def test_a_gradient_reaches_what_is_told():
    network, variables = _network()
    clip = jax.random.uniform(jax.random.key(2), (2, 4, 12, 16, 1))
    side = Side(frame_qp=jnp.array([[22, 30, -1, 40]] * 2), codec=jnp.array([[1] * 4, [0] * 4]))

    def loss(params):
        return jnp.mean(jnp.square(network.apply({"params": params}, clip, side=side) - 0.5))

    gradient = jax.jit(jax.grad(loss))(variables["params"])["modulation"]
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient))
