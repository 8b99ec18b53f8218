import numpy as np
import pytest
from skimage import io

from tests.video.clips import info_of, noise, same, write
from vqe_jax.errors import UserError
from vqe_jax.video import PixelFormat, open_reader, read_frames
from vqe_jax.video.png import read_png


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("subsampling", ["rgb", "gray"])
def test_round_trip_and_what_others_read(tmp_path, bits, subsampling):
    info = info_of(bits, subsampling, 21, 13)
    frames = noise(info, 3)
    folder = write(tmp_path / "frames", info, frames)
    reader = open_reader(folder)
    assert (reader.info.pixel_format, reader.info.frames) == (info.pixel_format, 3)
    assert same(list(reader), frames)
    assert same(read_frames(folder, 1, 1), frames[1:2])
    if (bits, subsampling) != (16, "rgb"):  # Pillow has no 16-bit RGB
        other = io.imread(folder / "00000001.png").astype(np.int64)
        assert np.array_equal(other, np.squeeze(np.stack(frames[1].planes, -1)))


def test_ten_bits_are_stretched_so_that_white_stays_white(tmp_path):
    info = info_of(10, "gray", 4, 4)
    frame = noise(info, 1)[0]
    frame.planes = (np.full((4, 4), 1023, np.uint16),)
    folder = write(tmp_path / "frames", info, [frame])
    found = read_png(folder / "00000000.png")
    assert found.pixel_format == PixelFormat(16, "gray") and found.planes[0][0, 0] == 65535


def test_natural_order(tmp_path):
    info = info_of(8, "gray", 8, 8)
    frames = noise(info, 11)
    folder = write(tmp_path / "x", info, frames)
    for i, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"f{i}.png")
    assert same(list(open_reader(folder)), frames)


def test_palette_and_alpha_are_read(tmp_path):
    rgba = np.random.default_rng(0).integers(0, 256, (8, 9, 4), dtype=np.uint8)
    io.imsave(tmp_path / "a.png", rgba, check_contrast=False)
    assert np.array_equal(np.stack(read_png(tmp_path / "a.png").planes, -1), rgba[..., :3])


def test_bad_folders(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.png files"):
        open_reader(tmp_path)
    small = info_of(8, "gray", 8, 8)
    folder = write(tmp_path / "x", small, noise(small, 2))
    (folder / "00000001.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"00000001\.png"):
        list(open_reader(folder))
    other = info_of(8, "gray", 10, 8)
    (write(tmp_path / "y", other, noise(other, 1)) / "00000000.png").rename(folder / "00000001.png")
    with pytest.raises(UserError, match="10x8 gray among frames of 8x8 gray"):
        list(open_reader(folder))


def test_chroma_has_no_place_in_it(tmp_path):
    with pytest.raises(UserError, match="not yuv420p"):
        write(tmp_path / "frames", info_of(), noise(info_of(), 1))
    assert not list(tmp_path.iterdir())
