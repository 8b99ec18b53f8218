from pathlib import Path

import numpy as np
import pytest

from tests.video.clips import drifting, info_of
from vqe_jax.inference.target import converter, target_info
from vqe_jax.video import PixelFormat, to_rgb


@pytest.mark.parametrize(
    ("name", "codec", "source", "wanted"),
    [
        ("a.mkv", "libx265", (10, "422"), (10, "422")),
        ("a.yuv", "libx265", (8, "420"), (8, "420")),
        ("frames", "libx265", (8, "420"), (8, "rgb")),
        ("frames", "libx265", (10, "444"), (16, "rgb")),
        ("frames", "libx265", (10, "gray"), (16, "gray")),
        ("a.mkv", "ffv1", (16, "rgb"), (16, "rgb")),
        ("a.mp4", "libx265", (8, "rgb"), (8, "rgb")),
        ("a.mp4", "libx264", (8, "rgb"), (8, "444")),
        ("a.mp4", "libsvtav1", (8, "rgb"), (8, "420")),
        ("a.mp4", "libx265", (16, "rgb"), (12, "rgb")),
        ("a.mp4", "libx264", (16, "rgb"), (10, "444")),
        ("a.y4m", "libx265", (16, "rgb"), (16, "444")),
    ],
)
def test_the_sources_format_wherever_the_target_holds_it(name, codec, source, wanted):
    found = target_info(Path(name), info_of(*source), codec=codec)
    assert found.pixel_format == PixelFormat(*wanted)
    if source == wanted:
        assert found.color == info_of(*source).color


def test_a_conversion_keeps_the_picture_and_the_time():
    source = info_of(10, "rgb")
    target = target_info(Path("a.y4m"), source, codec="libx265")
    frame = drifting(source, 1)[0]
    frame.pts = 5
    made = converter(source, target)(frame)
    assert made.pts == 5
    assert np.abs(to_rgb(made, target) - to_rgb(frame, source)).max() < 0.003
