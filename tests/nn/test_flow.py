import itertools

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import weights
from vqe_jax.errors import UserError
from vqe_jax.nn.flow import SPyNet
from vqe_jax.ops.warp import flow_warp


def _nhwc(x: np.ndarray) -> jnp.ndarray:
    return jnp.asarray(np.moveaxis(x, -3, -1))


def _tensors(z) -> dict:
    return {k.removeprefix("sd/"): z[k] for k in z.files if k.startswith("sd/")}


def test_golden(shared):
    z = np.load(shared / "golden" / "spynet_bigflow_60x84.npz")
    variables = weights.from_torch("spynet", _tensors(z))
    flow = jax.jit(SPyNet().apply)(variables, _nhwc(z["in/ref"]), _nhwc(z["in/supp"]))
    np.testing.assert_allclose(flow, _nhwc(z["out/flow"]), rtol=0, atol=3.3e-4)


def _two_frames(path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in itertools.islice(container.decode(), 2)]
    return np.stack(frames)[:, None, :192, :320].astype(np.float32) / 255


def test_official_weights_explain_the_motion_of_a_real_pair(shared):
    variables = weights.from_torch(
        "spynet", np.load(shared / "weights" / "spynet_sintel_final.npz")
    )
    clip = next((shared / "data" / "train").glob("*bmxtrees*"))
    ref, supp = jnp.asarray(_two_frames(clip))
    flow = jax.jit(SPyNet().apply)(variables, ref, supp)
    error = lambda x: float(jnp.mean((x - ref) ** 2))  # noqa: E731
    warped, backwards = (flow_warp(supp, sign * flow, padding="border") for sign in (1.0, -1.0))
    assert error(warped) < 0.6 * error(supp)
    assert error(backwards) > error(supp)


def test_any_size_and_luma():
    network = SPyNet(levels=3, widths=(4,))
    frame = jnp.zeros((1, 8, 8, 3))
    variables = jax.jit(network.init)(jax.random.key(0), frame, frame)
    run = jax.jit(network.apply)
    for h, w in ((1, 1), (7, 30)):
        gray = jax.random.uniform(jax.random.key(1), (2, h, w, 1))
        flow = run(variables, gray, gray[::-1])
        assert flow.shape == (2, h, w, 2)
        rgb = jnp.repeat(gray, 3, axis=-1)
        np.testing.assert_array_equal(flow, run(variables, rgb, rgb[::-1]))


def test_spellings_of_the_ports(shared):
    tensors = dict(np.load(shared / "weights" / "spynet_sintel_final.npz"))
    expected = weights.from_torch("spynet", tensors)
    for outer, inner in (("basic_module", "basic_module"), ("netBasic", "netBasic")):
        other = {}
        for key, value in tensors.items():
            _, level, _, k, _, leaf = key.split(".")
            other[f"{outer}.{level}.{inner}.{2 * int(k)}.{leaf}"] = value
        again = weights.from_torch("spynet", {"params": other})
        assert jax.tree.all(jax.tree.map(np.array_equal, again, expected))


def test_weights_of_other_widths_are_refused(shared):
    z = np.load(shared / "weights" / "spynet_sintel_final.npz")
    with pytest.raises(UserError, match=r"basic_module.0.basic_module.0.conv.weight.*\(32, 8, 7"):
        weights.from_torch("spynet", z, widths=(16, 64, 32, 16))
    with pytest.raises(UserError, match="tensors that the network does not use"):
        weights.from_torch("spynet", z, levels=5)


def test_what_is_no_picture_gives_no_motion_that_could_be_believed():
    network = SPyNet(levels=2, widths=(4,))
    frame = jax.random.uniform(jax.random.key(2), (1, 16, 16, 3))
    variables = network.init(jax.random.key(0), frame, frame)
    flow = network.apply(variables, frame.at[0, 3, 4, 0].set(jnp.nan), frame)
    spoiled = np.isnan(np.asarray(flow)).any(-1)
    assert spoiled[0, 3, 4]
    warped = np.isnan(np.asarray(flow_warp(frame, flow))).any(-1)
    np.testing.assert_array_equal(warped, spoiled)  # seen in the result, not read from somewhere


def test_frames_that_do_not_match():
    with pytest.raises(UserError, match=r"\(1, 8, 8, 2\).*1 or 3 channels"):
        x = jnp.zeros((1, 8, 8, 2))
        SPyNet(levels=2, widths=(2,)).init(jax.random.key(0), x, x)
