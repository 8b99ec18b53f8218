"""Decoded planes that are not what was written, or go away while they are read."""

import os
import resource
import shutil

import numpy as np
import pytest

from vqe_jax.data.planes import PlaneFile
from vqe_jax.data.stored import StoredFrames, is_whole
from vqe_jax.errors import EnvironmentFailure
from vqe_jax.video import Frame

WIDTH, HEIGHT, COUNT = 32, 16, 6


def planes(folder, name: str, seed: int) -> PlaneFile:
    rng = np.random.default_rng(seed)
    made = PlaneFile(folder / f"{name}.yuv", WIDTH, HEIGHT, COUNT)
    sizes = ((HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2), (HEIGHT // 2, WIDTH // 2))
    made.write(
        Frame(tuple(rng.integers(16, 235, s).astype(np.uint8) for s in sizes)) for _ in range(COUNT)
    )
    return made


def forget(monkeypatch) -> None:
    """As a new process begins."""
    monkeypatch.setattr("vqe_jax.data.stored._verified", {})


@pytest.mark.parametrize("at", [0.0, 0.3, 0.999])
def test_a_changed_byte_anywhere_is_noticed(tmp_path, monkeypatch, capsys, at):
    file = planes(tmp_path, "a", 1)
    assert file.exists
    blob = bytearray(file.path.read_bytes())
    blob[int(at * len(blob))] ^= 1
    file.path.write_bytes(bytes(blob))
    forget(monkeypatch)
    assert not file.exists and file.is_damaged
    assert "a.yuv does not match its checksum" in capsys.readouterr().err


def test_two_files_exchanged_are_noticed_with_and_without_their_seals(tmp_path, monkeypatch):
    a, b = planes(tmp_path, "a", 1), planes(tmp_path, "b", 2)
    for suffixes in (("",), ("", ".sum")):
        for suffix in suffixes:
            left, right = (p.path.with_name(p.path.name + suffix) for p in (a, b))
            left.rename(tmp_path / "third")
            right.rename(left)
            (tmp_path / "third").rename(right)
        forget(monkeypatch)
        assert not a.exists and not b.exists


@pytest.mark.parametrize("seal", [None, "", "{", "[]", '{"name": "a.yuv"}', "null"])
def test_planes_without_a_whole_seal_are_made_anew(tmp_path, monkeypatch, seal):
    file = planes(tmp_path, "a", 1)
    sums = file.path.with_name("a.yuv.sum")
    sums.unlink() if seal is None else sums.write_text(seal)
    forget(monkeypatch)
    assert not file.exists


@pytest.mark.parametrize("harm", ["cut", "emptied", "removed", "folder"])
def test_what_vanishes_under_a_reader_is_a_sentence(tmp_path, harm):
    file = planes(tmp_path, "a", 1)
    luma = file.luma()
    before = luma[4].copy()
    if harm == "cut":
        os.truncate(file.path, file.frame_bytes * 2)
        assert luma[1].shape == before.shape  # what is still there can be read
    elif harm == "emptied":
        os.truncate(file.path, 0)
    else:
        file.path.unlink()
        if harm == "folder":
            file.path.mkdir()
    with pytest.raises(EnvironmentFailure, match=r"a\.yuv") as caught:
        luma[4]
    assert "\n" not in str(caught.value)


def test_a_part_is_read_as_an_array_is_indexed(tmp_path):
    file = planes(tmp_path, "a", 3)
    whole = np.fromfile(file.path, np.uint8).reshape(COUNT, -1)
    expected = whole[:, : WIDTH * HEIGHT].reshape(COUNT, HEIGHT, WIDTH)
    luma = file.luma()
    parts = [
        np.s_[2], np.s_[-1], np.s_[1:4], np.s_[4:1:-1], np.s_[1:5, 3:9, 7:20], np.s_[3, 2:5],
        np.s_[np.array([5, 0, 0])], np.s_[np.array([1, 4]), 0:0, 3:4], np.s_[:, :, ::2], np.s_[6:9],
    ]  # fmt: skip
    for part in parts:
        np.testing.assert_array_equal(luma[part], expected[part])
    np.testing.assert_array_equal(np.asarray(luma), expected)
    np.testing.assert_array_equal(np.stack(list(luma)), expected)
    with pytest.raises(IndexError):
        luma[COUNT]


def test_any_number_of_clips_needs_no_handle(tmp_path):
    first = planes(tmp_path, "a", 1)
    files = []
    for number in range(60):
        shutil.copy(first.path, tmp_path / f"{number}.yuv")
        files.append(StoredFrames(tmp_path / f"{number}.yuv", COUNT, (HEIGHT * WIDTH * 3 // 2,)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = len(os.listdir("/proc/self/fd")) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        held = [file[0] for file in files]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert all(np.array_equal(held[0], other) for other in held)


def test_of_a_huge_file_a_sample_is_read_and_everything_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr("vqe_jax.data.stored._BLOCK", 64)
    monkeypatch.setattr("vqe_jax.data.stored._SAMPLE", 4)
    file = planes(tmp_path, "a", 1)
    size = file.path.stat().st_size
    blob = bytearray(file.path.read_bytes())
    blob[64 * 3 + 1] ^= 255  # the fourth of its 72 blocks is not among the four that are looked at
    file.path.write_bytes(bytes(blob))
    forget(monkeypatch)
    assert is_whole(file.path, size) and not is_whole(file.path, size, everything=True)
