"""CVQENet, DUVE and ShannonNet: what is asked from outside, and which frames are looked at."""

import re

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.inference.windows import surrounded
from vqe_jax.models import Side
from vqe_jax.models.references import NearestMultiples
from vqe_jax.models.shapes import initial_variables, tree_paths


@pytest.mark.parametrize(("name", "frames"), [("cvqenet", 5), ("duve", 5), ("shannonnet", 3)])
def test_a_window_of_another_length_is_refused(name, frames):
    network = models.build(name)
    windows = jnp.zeros((1, frames - 1, 16, 16, 3))
    wanted = rf"got windows of {frames - 1} frames, expected {frames}"
    with pytest.raises(UserError, match=wanted):
        jax.eval_shape(lambda x: network.init(jax.random.key(0), x, method="enhance"), windows)


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("cvqenet", {"back_blocks": 1}, "back_blocks=1 leaves a cell"),
        ("duve", {"features": 8}, "reduction=16 leaves no channel of features=8"),
        ("shannonnet", {"alignment_widths": (8, 8)}, "alignment_widths is .*; expected tuple"),
        ("shannonnet", {"alignment_widths": (8, 8, 8, 8, 4)}, "at least 8 features"),
    ],
)
def test_fields_that_leave_nothing_are_refused(name, fields, words):
    with pytest.raises(UserError, match=words):
        models.build(name, **fields)


def test_the_nearer_of_the_two_multiples_comes_first_as_in_the_released_code():
    rows = NearestMultiples(4, 4).indices(Side(), 24)
    # Counted from one, as there: (t - 1) % 4 == 1 looks at t - 1 and t + 3, 3 at t + 1 and t - 3.
    for t in (9, 13, 17):
        assert rows[t].tolist() == [t - 1, t, t + 3]
        assert rows[t + 2].tolist() == [t + 3, t + 2, t - 1]
    assert rows[8].tolist() == [4, 8, 12]  # a multiple looks at those beside it
    assert rows[23].tolist() == [20, 23, 23]  # there is none after the last


@pytest.mark.parametrize("size", [1, 3, 4, 7])
def test_pieces_of_a_stream_choose_the_frames_of_the_whole(size):
    rule, length = NearestMultiples(4, 4), 19
    whole = rule.indices(Side(), length)
    found, begin = [], 0
    for piece in surrounded(range(length), size, rule.lookback, rule.lookahead):
        rows = rule.starting_at(begin - piece.start).indices(Side(), len(piece.items))
        found += [[piece.items[i] for i in row] for row in rows[piece.start : piece.stop]]
        begin += piece.stop - piece.start
    np.testing.assert_array_equal(found, whole)


class _Weighted(models.WindowNetwork):
    """Tells its three frames apart."""

    @property
    def context(self):
        return models.Context(past=4, future=4, references=NearestMultiples(4, 4))

    def enhance(self, windows, side=Side(), *, train=False):
        return windows[:, 0] + 10 * windows[:, 1] + 100 * windows[:, 2]


@pytest.mark.parametrize("chunk", [2, 3])
def test_streaming_chooses_the_frames_of_the_whole_clip(chunk):
    clip = np.random.default_rng(0).random((14, 4, 4, 1), np.float32)
    whole = _Weighted().apply({}, jnp.asarray(clip[None]))[0]
    streamed = np.stack(list(enhance_frames((_Weighted(), {}), clip, chunk=chunk)))
    np.testing.assert_allclose(streamed, whole, rtol=1e-6)


def test_shannonnet_reads_every_parameter_but_those_that_its_code_leaves_unread():
    fields = {"features": 8, "unet_features": 4, "orsnet_features": 4, "reduction": 2}
    network = models.build(
        "shannonnet", **fields, alignment_widths=(8, 8, 8, 8, 8), groups=1, remat=False
    )
    variables = jax.eval_shape(lambda: initial_variables(network, jax.random.key(0)))
    windows = jax.ShapeDtypeStruct((1, 3, 16, 16, 3), jnp.float32)
    traced = jax.make_jaxpr(
        lambda v, x: network.apply(v, x, method="enhance", train=True, mutable=["batch_stats"])[0]
    )(variables, windows).jaxpr
    needed = set(traced.outvars)
    for equation in reversed(traced.eqns):
        if needed & set(equation.outvars):
            needed |= {x for x in equation.invars if isinstance(x, jax.extend.core.Var)}
    paths = list(tree_paths(variables))
    unread = [
        path
        for path, var in zip(paths, traced.invars, strict=False)
        if var not in needed and path.startswith("params/")
    ]
    assert unread
    assert all(re.match(r"params/(unread/|.*/last/short/)", path) for path in unread)
    assert not [p for p in paths if "/unread/" in p and p not in unread]
