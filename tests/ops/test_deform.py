import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from vqe_jax.errors import UserError
from vqe_jax.ops.deform import deform_conv2d, offsets_from_torch
from vqe_jax.ops.deform_core import default_rows

OPTIONS = ("stride", "padding", "dilation", "groups", "rows")
convolve = jax.jit(deform_conv2d, static_argnames=OPTIONS)


@dataclasses.dataclass(frozen=True)
class Case:
    size: tuple[int, int] = (6, 7)
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    offset_groups: int = 1
    group_channels: int = 2  # channels = this times both numbers of groups
    out: int = 2
    masked: bool = True
    spread: float = 2.0

    @property
    def options(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def arrays(self, seed=0, batch=2):
        rng = np.random.default_rng(seed)
        c = self.group_channels * self.groups * self.offset_groups
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        ho, wo = (
            (n + 2 * p - r - 1) // s + 1
            for n, p, r, s in zip(self.size, self.padding, reach, self.stride, strict=True)
        )
        grid = (batch, ho, wo, self.offset_groups, self.kernel[0] * self.kernel[1])
        x = rng.normal(size=(batch, *self.size, c))
        offset = rng.normal(size=(*grid, 2)) * self.spread
        # Differentiable positions only: whole numbers are the kinks.
        offset = np.where(np.abs(offset - np.round(offset)) < 0.05, offset + 0.1, offset)
        kernel = rng.normal(size=(*self.kernel, c // self.groups, self.out * self.groups))
        mask = rng.uniform(size=grid) if self.masked else None
        return tuple(
            None if a is None else jnp.asarray(a, jnp.float32) for a in (x, offset, kernel, mask)
        )


def pixel(frame, y, x):
    inside = 0 <= y < frame.shape[0] and 0 <= x < frame.shape[1]
    return frame[y, x] if inside else np.zeros(frame.shape[-1])


def bilinear(frame, y, x):
    y0, x0 = int(np.floor(y)), int(np.floor(x))
    fy, fx = y - y0, x - x0
    upper = (1 - fx) * pixel(frame, y0, x0) + fx * pixel(frame, y0, x0 + 1)
    lower = (1 - fx) * pixel(frame, y0 + 1, x0) + fx * pixel(frame, y0 + 1, x0 + 1)
    return (1 - fy) * upper + fy * lower


def brute_force(x, offset, kernel, mask, stride, padding, dilation, groups):
    """Written from the definition, one sample at a time, in float64."""
    x, offset, kernel = (np.asarray(a, np.float64) for a in (x, offset, kernel))
    b, ho, wo, g, taps, _ = offset.shape
    cg, ci, og = x.shape[-1] // g, kernel.shape[2], kernel.shape[3] // groups
    result = np.zeros((b, ho, wo, kernel.shape[3]))
    for n, oy, ox, tap in np.ndindex(b, ho, wo, taps):
        ky, kx = divmod(tap, kernel.shape[1])
        values = np.zeros(x.shape[-1])
        for group in range(g):
            dy, dx = offset[n, oy, ox, group, tap]
            y = oy * stride[0] - padding[0] + ky * dilation[0] + dy
            at = ox * stride[1] - padding[1] + kx * dilation[1] + dx
            part = slice(group * cg, (group + 1) * cg)
            values[part] = bilinear(x[n, ..., part], y, at)
            if mask is not None:
                values[part] *= float(mask[n, oy, ox, group, tap])
        for group in range(groups):
            read, write = slice(group * ci, (group + 1) * ci), slice(group * og, (group + 1) * og)
            result[n, oy, ox, write] += values[read] @ kernel[ky, kx][:, write]
    return result


CASES = [
    Case(),
    Case(masked=False, padding=(0, 0), spread=30.0),
    Case(stride=(2, 1), padding=(2, 0), dilation=(1, 2), offset_groups=2),
    Case(kernel=(1, 1), padding=(0, 0), offset_groups=4, group_channels=1),
    Case(kernel=(3, 1), padding=(1, 0), groups=2, offset_groups=3, group_channels=1),
    Case(kernel=(2, 4), padding=(1, 2), groups=3, dilation=(2, 1)),
]


@pytest.mark.parametrize("case", CASES)
def test_equals_the_definition(case):
    arrays = case.arrays()
    expected = brute_force(*arrays, **case.options)
    np.testing.assert_allclose(convolve(*arrays, **case.options), expected, atol=2e-5)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 99),
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 3)]),
    stride=st.sampled_from([(1, 1), (2, 2)]),
    groups=st.sampled_from([1, 2]),
    offset_groups=st.sampled_from([1, 2]),
    masked=st.booleans(),
    spread=st.sampled_from([0.3, 4.0, 1e6]),
    rows=st.sampled_from([None, 1, 2]),
)
def test_any_settings_equal_the_definition(seed, spread, rows, **settings_):
    case = Case(size=(4, 5), spread=spread, **settings_)
    arrays = case.arrays(seed, batch=1)
    expected = brute_force(*arrays, **case.options)
    got = convolve(*arrays, **case.options, rows=rows)
    np.testing.assert_allclose(got, expected, atol=5e-5)


@pytest.mark.parametrize("padding,stride,dilation", [(1, 1, 1), (2, 2, 2)])
def test_zero_offsets_are_a_convolution(padding, stride, dilation):
    case = Case((9, 8), (3, 3), (stride,) * 2, (padding,) * 2, (dilation,) * 2, 2, 1, masked=False)
    x, offset, kernel, _ = case.arrays()
    expected = lax.conv_general_dilated(
        x,
        kernel,
        case.stride,
        [(padding, padding)] * 2,
        rhs_dilation=case.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=2,
    )
    got = convolve(x, 0 * offset, kernel, **case.options)
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("dy,dx", [(1, 0), (-2, 3), (0, -7)])
def test_whole_offsets_are_a_convolution_of_shifted_frames(dy, dx):
    x, offset, kernel, _ = Case(masked=False).arrays()
    padded = jnp.pad(x, ((0, 0), (9, 9), (9, 9), (0, 0)))
    h, w = x.shape[1:3]
    around = padded[:, 8 + dy : 10 + dy + h, 8 + dx : 10 + dx + w]
    expected = lax.conv_general_dilated(
        around, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    offset = jnp.broadcast_to(jnp.array([dy, dx], jnp.float32), offset.shape)
    np.testing.assert_allclose(convolve(x, offset, kernel, padding=1), expected, atol=2e-5)


@functools.partial(jax.jit, static_argnames="rows")
def squared_gradient(*arrays, rows=None):
    def loss(*a):
        return jnp.sum((1 + deform_conv2d(*a, padding=1, rows=rows)) ** 2)

    return jax.grad(loss, argnums=(0, 1, 2, 3))(*arrays)


@pytest.mark.parametrize("offset", [40.0, -1e9, np.inf, -np.inf])
def test_far_outside_is_zero_with_zero_gradient(offset):
    x, offsets, kernel, mask = Case().arrays()
    offsets = jnp.full_like(offsets, offset)
    assert not np.any(convolve(x, offsets, kernel, mask, padding=1))
    assert all(not np.any(g) for g in squared_gradient(x, offsets, kernel, mask))


@pytest.mark.parametrize(
    "case,rows",
    [(CASES[2], 2), (CASES[4], None), (dataclasses.replace(CASES[3], masked=False), None)],
)
def test_gradients_equal_finite_differences(case, rows):
    with jax.enable_x64(True):
        arrays = [None if a is None else jnp.asarray(a, jnp.float64) for a in case.arrays()]
        key = jax.random.key(1)
        present = [i for i, a in enumerate(arrays) if a is not None]

        @jax.jit
        def value(*chosen):
            full = list(arrays)
            for i, a in zip(present, chosen, strict=True):
                full[i] = a
            return jnp.sum(jnp.sin(deform_conv2d(*full, **case.options, rows=rows)))

        chosen = [arrays[i] for i in present]
        gradients = jax.jit(jax.grad(value, argnums=tuple(range(len(chosen)))))(*chosen)
        for i, gradient in enumerate(gradients):
            direction = jax.random.normal(jax.random.fold_in(key, i), gradient.shape, jnp.float64)
            step = 1e-6 * direction
            above = value(*chosen[:i], chosen[i] + step, *chosen[i + 1 :])
            below = value(*chosen[:i], chosen[i] - step, *chosen[i + 1 :])
            expected = float(above - below) / 2e-6
            np.testing.assert_allclose(jnp.vdot(gradient, direction), expected, rtol=1e-5)


def from_torch_arrays(data, prefix, groups):
    x, offset, mask = (np.moveaxis(data[prefix + n], 1, -1) for n in ("x", "offset", "mask"))
    offset = offsets_from_torch(jnp.asarray(offset), groups)
    return jnp.asarray(x), offset, jnp.asarray(mask).reshape(offset.shape[:-1])


@pytest.mark.parametrize(
    "name,rows", [("dcn_grad_s1", 4), ("dcn_grad_s2d2", None), ("dcn_edge_s1", None)]
)
def test_golden_values_and_gradients(shared, name, rows):
    data = np.load(shared / f"golden/{name}.npz")
    meta = json.loads(str(data["meta"]))
    config, atol = meta["config"], meta["tolerance"]["atol"]
    x, offset, mask = from_torch_arrays(data, "in/", config["deform_groups"])
    kernel = jnp.asarray(data["in/weight"].transpose(2, 3, 1, 0))
    options = {k: config[k] for k in ("stride", "padding", "dilation", "groups")}

    def forward(x, offset, mask, kernel):
        out = deform_conv2d(x, offset, kernel, mask, **options, rows=rows)
        return out + data["in/bias"][None, None, None]

    @jax.jit
    def run(*arrays):
        out, pull = jax.vjp(forward, *arrays)
        return out, pull(jnp.moveaxis(weight, 1, -1))

    weight = jnp.asarray(data["in/R"] if "in/R" in data else data["out/y"])
    out, gradients = run(x, offset, mask, kernel)
    np.testing.assert_allclose(np.moveaxis(out, -1, 1), data["out/y"], atol=atol["y"], rtol=0)
    if "in/R" not in data:
        return
    d_x, d_offset, d_mask, d_kernel = gradients
    b, ho, wo = d_mask.shape[:3]
    for key, got in {
        "d_x": d_x,
        "d_offset": d_offset.reshape(b, ho, wo, -1),
        "d_mask": d_mask.reshape(b, ho, wo, -1),
    }.items():
        np.testing.assert_allclose(
            np.moveaxis(got, -1, 1), data[f"out/{key}"], atol=atol[key], rtol=0
        )
    d_weight = d_kernel.transpose(3, 2, 0, 1)
    np.testing.assert_allclose(d_weight, data["out/d_weight"], atol=atol["d_weight"], rtol=0)


def test_golden_op(shared):
    data = np.load(shared / "golden/dcn_op.npz")
    x, offset, mask = from_torch_arrays(data, "", 4)
    kernel = jnp.asarray(data["weight"].transpose(2, 3, 1, 0))
    got = deform_conv2d(x, offset, kernel, mask, padding=1) + data["bias"][None, None, None]
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), data["out"], atol=2e-5)


@pytest.mark.parametrize("rows", [1, 4])
def test_chunks_change_nothing(rows):
    arrays = Case(offset_groups=2).arrays()
    whole = squared_gradient(*arrays, rows=6)
    for got, expected in zip(squared_gradient(*arrays, rows=rows), whole, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_nan_offset_spoils_its_own_pixel_only():
    x, offset, kernel, mask = Case().arrays()
    clean = convolve(x, offset, kernel, mask, padding=1)
    spoilt = convolve(x, offset.at[1, 2, 3, 0, 4, 1].set(jnp.nan), kernel, mask, padding=1)
    assert np.isnan(spoilt[1, 2, 3]).all()
    np.testing.assert_array_equal(
        np.delete(np.asarray(spoilt).reshape(-1, 2), (1 * 6 + 2) * 7 + 3, 0),
        np.delete(np.asarray(clean).reshape(-1, 2), (1 * 6 + 2) * 7 + 3, 0),
    )


def test_bfloat16_frames_keep_float32_positions():
    # At column 300, bfloat16 resolves two pixels; a quarter of a pixel must still count.
    x = jnp.tile(jnp.arange(304.0)[None, None, :, None] % 2, (1, 1, 1, 1))
    offset = jnp.full((1, 1, 304, 1, 1, 2), 0.25).at[..., 0].set(0.0)
    kernel = jnp.ones((1, 1, 1, 1))
    got = deform_conv2d(x.astype(jnp.bfloat16), offset, kernel.astype(jnp.bfloat16))
    assert got.dtype == jnp.bfloat16
    expected = deform_conv2d(x, offset, kernel)
    np.testing.assert_allclose(got.astype(jnp.float32), expected, atol=4e-3)


def test_vmap_and_jit():
    x, offset, kernel, mask = Case().arrays()
    mapped = jax.jit(jax.vmap(lambda *a: deform_conv2d(*a, padding=1), (0, 0, None, 0)))
    got = mapped(x[:, None], offset[:, None], kernel, mask[:, None])[:, 0]
    np.testing.assert_allclose(got, deform_conv2d(x, offset, kernel, mask, padding=1), atol=1e-5)


def test_no_scatter_where_frames_need_no_gradient():
    arrays = Case().arrays()
    loss = jax.grad(lambda *a: deform_conv2d(*a, padding=1, rows=2).sum(), argnums=(1, 2, 3))
    text = jax.jit(loss).lower(*arrays).compile().as_text()
    assert " gather(" in text
    assert " scatter(" not in text


def test_memory_stays_below_the_columns():
    x, offset, kernel, mask = Case(size=(64, 64), offset_groups=4, out=4).arrays(batch=1)
    columns = 4 * 64 * 64 * 9 * x.shape[-1]
    used = {}
    for rows in (4, 64):
        loss = jax.grad(
            lambda *a, rows=rows: deform_conv2d(*a, padding=1, rows=rows).sum(), argnums=(1, 2, 3)
        )
        compiled = jax.jit(loss).lower(x, offset, kernel, mask).compile()
        used[rows] = compiled.memory_analysis().temp_size_in_bytes
    assert used[4] < columns < used[64]  # all rows at once hold the columns


def test_rows_are_chosen_from_the_size():
    assert default_rows(1000, 8) == (8, 8)
    forward, backward = default_rows(10**9, 1000)
    assert 1 <= backward <= forward < 100


def bad(**changes):
    x, offset, kernel, mask = Case(offset_groups=2).arrays()
    arguments = {"x": x, "offset": offset, "kernel": kernel, "mask": mask, "padding": 1}
    for key, change in changes.items():
        arguments[key] = change(arguments[key]) if callable(change) else change
    return arguments


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"groups": 3}, "groups=3 must divide the 4 channels of x"),
        ({"kernel": lambda k: k[:, :, :3]}, "takes 3 channels a group, but x has 4"),
        ({"offset": lambda o: o[:, 1:]}, r"expected .*\(2, 6, 7, any, 9, 2\)"),
        ({"mask": lambda m: m[..., :1]}, "mask has shape"),
        ({"offset": lambda o: o.astype(jnp.int32)}, "offset is int32; expected a floating point"),
        ({"mask": lambda m: m.astype(jnp.uint8)}, "mask is uint8; expected a floating point"),
        ({"offset": lambda o: o.reshape(2, 6, 7, 36)}, r"\(2, 6, 7, 36\).*offsets_from_torch"),
        ({"x": lambda x: x[..., :3], "kernel": lambda k: k[:, :, :3]}, "2 offset groups"),
        ({"padding": -1}, "padding=.* at least 0"),
        ({"stride": 0}, "stride=.* at least 1"),
        ({"dilation": 9, "padding": 0}, "does not fit into frames of 6x7"),
        ({"rows": 0}, "rows=0"),
    ],
)
def test_errors_name_the_numbers_and_the_rule(changes, message):
    with pytest.raises(UserError, match=message):
        deform_conv2d(**bad(**changes))


def test_offset_channels_that_do_not_divide():
    with pytest.raises(UserError, match="35 offset channels"):
        offsets_from_torch(jnp.zeros((1, 2, 2, 35)), 2)
