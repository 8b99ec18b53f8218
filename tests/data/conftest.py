"""Small videos and a small data set made of them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vqe_jax.data.build import build
from vqe_jax.video import ColorTags, Frame, PixelFormat, VideoInfo, open_writer

WIDTH, HEIGHT = 96, 80


def make_frames(count: int, seed: int, width: int = WIDTH, height: int = HEIGHT) -> list[Frame]:
    """A textured picture that moves by two pixels a frame."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(30, 220, (height // 4, width // 4 + count)).astype(np.uint8)
    texture = np.kron(texture, np.ones((4, 4), np.uint8))
    frames = []
    for t in range(count):
        luma = texture[:height, 2 * t : 2 * t + width]
        half = np.ascontiguousarray(luma[::2, ::2]) // 4 + 96
        frames.append(Frame((np.ascontiguousarray(luma), half, 255 - half)))
    return frames


def write_video(path: Path, frames: list[Frame], rate: int = 25) -> Path:
    height, width = frames[0].planes[0].shape
    info = VideoInfo(width, height, PixelFormat(), ColorTags(matrix=6), Fraction(rate))
    options = {"qp": "0"} if path.suffix == ".mkv" else None
    with open_writer(path, info, codec="libx264", options=options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 14 frames, the last two in a folder of their own."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "trip").mkdir()
    for index, name in enumerate(("park", "street", "trip/boat", "trip/cat")):
        write_video(folder / f"{name}.mkv", make_frames(14, index))
    return folder


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory, videos: Path) -> Path:
    """``clips/qp37``: three training clips with a variant each, and one for validation."""
    folder = tmp_path_factory.mktemp("data")
    build(
        "clips",
        folder,
        source=str(videos),
        augment=1,
        min_side=48,
        min_frames=6,
        qp_jitter=3,
        workers=1,
        quiet=True,
    )
    return folder
