import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from vqe_jax.errors import UserError
from vqe_jax.weights.tensor_files import have_torch, read_state_dict, read_tensors

ARRAYS = {"a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}, "b": np.ones(2)}


class Harmful:
    """Unpickling it would create a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_dictionaries_of_arrays_in_every_format(tmp_path):
    flat = {"a/kernel": ARRAYS["a"]["kernel"], "b": ARRAYS["b"]}
    np.savez(tmp_path / "w.npz", **flat)
    save_file(flat, tmp_path / "w.safetensors")
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(ARRAYS, protocol=4))
    names = ["w.npz", "w.safetensors", "w.ckpt"]
    if have_torch():
        import torch

        state = {"a": {"kernel": torch.from_numpy(flat["a/kernel"])}, "b": torch.ones(2).double()}
        torch.save(state, tmp_path / "w.pth")
        names.append("w.pth")
    for name in names:
        found = read_tensors(tmp_path / name)
        assert sorted(found) == ["a/kernel", "b"]
        np.testing.assert_array_equal(found["a/kernel"], flat["a/kernel"])


def test_a_pickle_that_is_no_dictionary_is_refused(tmp_path):
    (tmp_path / "w.ckpt").write_bytes(pickle.dumps(ARRAYS["b"], protocol=4))
    with pytest.raises(UserError, match=r"w.ckpt cannot be read .*does not hold tensors by name"):
        read_tensors(tmp_path / "w.ckpt")


@pytest.mark.parametrize("suffix", ["ckpt", "pth"])
def test_nothing_in_a_pickle_is_executed(tmp_path, suffix):
    if suffix == "pth":
        pytest.importorskip("torch")
    trace = tmp_path / "trace"
    path = tmp_path / f"evil.{suffix}"
    path.write_bytes(pickle.dumps({"w": Harmful(trace)}, protocol=2))
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(path)
    assert not trace.exists()


def test_objects_in_an_npz_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", w=np.array([Harmful(tmp_path / "trace")], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(tmp_path / "w.npz")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.ckpt"])
def test_a_file_that_is_cut_short(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04" if name == "w.npz" else b"\x80\x04")
    with pytest.raises(UserError, match=f"{name} cannot be read"):
        read_tensors(tmp_path / name)


def test_no_file_another_format_and_no_torch(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "w.npz")
    (tmp_path / "w.onnx").touch()
    with pytest.raises(UserError, match=r"w.onnx: expected one of .safetensors"):
        read_tensors(tmp_path / "w.onnx")
    monkeypatch.setattr("vqe_jax.weights.tensor_files.have_torch", lambda: False)
    (tmp_path / "w.pth").touch()
    with pytest.raises(UserError, match=r"pip install 'vqe-jax\[convert\]'"):
        read_state_dict(tmp_path / "w.pth")
