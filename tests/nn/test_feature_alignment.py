import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.nn.feature_alignment import DeformableAlignment, FlowAlignment


def test_flow_is_scaled_with_the_features():
    reference = jax.random.uniform(jax.random.key(0), (1, 6, 8, 3))
    flow = jnp.zeros((1, 24, 32, 2)).at[..., 0].set(8.0).at[..., 1].set(-4.0)
    out = jax.jit(FlowAlignment().apply)({}, reference, reference, flow)
    # Eight pixels right and four up of the frame are two and one of features a quarter the size.
    np.testing.assert_allclose(out[:, 1:, :-2], reference[:, :-1, 2:], atol=1e-5)


def test_deformable_starts_without_displacement():
    maps = jax.random.normal(jax.random.key(0), (2, 1, 4, 5, 12))
    module = DeformableAlignment()
    out, variables = jax.jit(module.init_with_output)(jax.random.key(1), *maps)
    params = variables["params"]
    assert params["conv_offset_mask"]["kernel"].shape[-1] == 3 * 9 * 4  # gcd(8, 12) groups
    plain = jax.lax.conv_general_dilated(
        maps[1],
        params["deform_conv"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(out, plain / 2, atol=1e-5)  # masks start at one half
