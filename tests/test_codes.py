import numpy as np

from vqe_jax.codes import from_codes, to_codes


def test_every_code_survives_the_way_to_values_and_back():
    codes = np.arange(256, dtype=np.uint8)
    values = from_codes(codes)
    assert values.dtype == np.float32 and values.min() == 0 and values.max() == 1
    np.testing.assert_array_equal(to_codes(values), codes)


def test_values_outside_are_clipped_and_halves_round_to_even():
    values = np.array([-0.5, 2.0, 0.5 / 255, 1.5 / 255])
    assert to_codes(values).tolist() == [0, 255, 0, 2]
