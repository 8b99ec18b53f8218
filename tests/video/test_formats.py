import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.video import ColorTags, PixelFormat

LAYOUTS = ["420", "422", "444", "440", "411", "gray", "rgb"]


@given(st.integers(8, 16), st.sampled_from(LAYOUTS))
def test_names_of_formats_go_both_ways(bits, subsampling):
    wanted = PixelFormat(bits, subsampling)
    assert PixelFormat.from_av(wanted.av_name) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("yuvj420p", PixelFormat(8, "420")),
        ("yuva444p12le", PixelFormat(12, "444")),
        ("gray10le", PixelFormat(10, "gray")),
        ("gbrap", PixelFormat(8, "rgb")),
    ],
)
def test_full_range_and_alpha_variants_hold_the_same_planes(name, wanted):
    assert PixelFormat.from_av(name) == wanted


@pytest.mark.parametrize("name", ["nv12", "yuv420p10be", "gbrpf32le", "yuv999p", "vaapi"])
def test_other_formats_are_refused_by_name(name):
    with pytest.raises(UserError, match=name):
        PixelFormat.from_av(name)


def test_out_of_range_bits_and_layout():
    with pytest.raises(UserError, match="7 bits"):
        PixelFormat(7)
    with pytest.raises(UserError, match="'421'"):
        PixelFormat(8, "421")


def test_odd_sizes_round_chroma_up():
    assert PixelFormat(8, "420").plane_shapes(5, 3) == ((3, 5), (2, 3), (2, 3))
    assert PixelFormat(10, "422").frame_bytes(5, 3) == 2 * (15 + 9 + 9)


def test_what_a_file_does_not_state_is_assumed_as_players_do():
    assert ColorTags().resolved(480, "420") == ColorTags(6, 1, 2, 2, "left")
    assert ColorTags().resolved(1080, "420").matrix == 1
    assert ColorTags(matrix=9, siting="topleft").resolved(480, "420").matrix == 9
    assert ColorTags().resolved(480, "rgb").range == 2
