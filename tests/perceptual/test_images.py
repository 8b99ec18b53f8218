import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.perceptual.images import check_images, check_pair, three_channels

PICTURE = np.full((8, 9, 3), 0.5, np.float32)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((PICTURE * 255).astype(np.uint8), r"uint8, .*x.astype\('float32'\) / 255"),
        ((PICTURE * 255).astype(np.uint16), r"uint16, .*2 \*\* bits - 1"),
        ((PICTURE * 255).astype(np.int32), "int32, expected floats"),
        (PICTURE * 255, r"from 127.5 to 127.5, .*x / 255"),
        (PICTURE * 3 - 2, r"clip|\(x \+ 1\) / 2"),
        (PICTURE - 1.4, r"\[-1, 1\]\? convert with \(x \+ 1\) / 2"),
        (PICTURE + 0.6, r"clip first with x.clip\(0, 1\)"),
        (PICTURE * np.nan, "not finite"),
        (PICTURE[..., :2], "3 channels"),
        (PICTURE[..., 0], "expected"),
    ],
)
def test_refusals_say_which_conversion(bad, message):
    with pytest.raises(UserError, match=message):
        check_images(bad, "x")


def test_too_small_names_size_and_reader():
    with pytest.raises(UserError, match="x is 9x8, but LPIPS needs 16 pixels"):
        check_images(PICTURE, "x", min_side=16, reader="LPIPS")


def test_shapes_must_agree():
    with pytest.raises(UserError, match="result has shape"):
        check_pair(PICTURE, PICTURE[None], names=("result", "reference"))


def test_traced_values_pass_but_traced_integers_do_not():
    def checked(x):
        check_images(x, "x")
        return x

    jax.jit(checked)(jnp.asarray(PICTURE * 255))
    with pytest.raises(UserError, match="uint8"):
        jax.jit(checked)(jnp.asarray(PICTURE).astype(jnp.uint8))


def test_three_channels_copies_luma_only():
    luma = jnp.asarray(PICTURE[..., :1])
    assert three_channels(luma).shape == (8, 9, 3)
    assert three_channels(jnp.asarray(PICTURE)).shape == (8, 9, 3)
