"""Model files: complete, checked, replaced whole, and honest about what they hold."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax.traverse_util import unflatten_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.weights import ModelFile, load_model, packaged_models, save_model
from vqe_jax.weights.model_file import read_model

KWARGS = {"width": 4, "down_widths": (8, 8, 8), "order": "conv_first"}
SHAPES = variable_shapes("vig", **KWARGS)
FILE = ModelFile(
    model="vig",
    kwargs=KWARGS,
    variables=unflatten_dict(
        {p: np.full(s, i + 1, np.float32) for i, (p, s) in enumerate(SHAPES.items())}, sep="/"
    ),
    qp=(22, 37),
    source="a test",
    extra={"state_limit": 3.5},
)


def test_a_file_comes_back_as_it_was(tmp_path):
    save_model(tmp_path / "deep" / "m.safetensors", FILE)
    back = load_model(tmp_path / "deep" / "m.safetensors")
    for field in ("model", "kwargs", "color", "qp", "source", "extra"):
        assert getattr(back, field) == getattr(FILE, field)
    jax.tree.map(np.testing.assert_array_equal, back.variables, FILE.variables)
    assert back.build().width == 4  # lists of JSON are tuples again, or linen could not hash them


@settings(max_examples=30, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_never_goes_unseen(tmp_path_factory, place, bit):
    path = tmp_path_factory.mktemp("flip") / "m.safetensors"
    save_model(path, FILE)
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    at = header + int(place * (len(content) - header))
    content[at] ^= 1 << bit
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged"):
        load_model(path)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_file_cut_short_is_one_line(tmp_path, kept):
    path = tmp_path / "m.safetensors"
    save_model(path, FILE)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match="cannot be read") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_model(path, FILE)
    before = path.read_bytes()

    def full_disk(part, blob):
        with open(part, "wb") as file:
            file.write(blob[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_model(path, dataclasses.replace(FILE, source="newer"))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_a_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither a file nor a packaged model"):
        load_model("no_such_model")
    save_model(tmp_path / "m.safetensors", FILE)
    with pytest.raises(UserError, match="holds 'vig', expected 'stdf'"):
        load_model(tmp_path / "m.safetensors", expect="stdf")
    safetensors.numpy.save_file({"x": np.zeros(1, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="not a vqe_jax model file"):
        load_model(tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", packaged_models())
def test_packaged_models_load_and_are_small(name):
    file = load_model(name)
    assert packaged_models()[name].stat().st_size < 2e6
    measured = file.extra.get("measured") or {}
    assert file.source and (file.qp or measured.get("any_qp"))
    assert file.build().context is not None


def test_a_scalar_stays_a_scalar(tmp_path):
    variables = {"params": {"prelu": {"negative_slope": np.float32(0.25)}}}
    save_model(tmp_path / "m.safetensors", ModelFile("vig", {}, variables))
    back = read_model(tmp_path / "m.safetensors")
    slope = back.variables["params"]["prelu"]["negative_slope"]
    assert slope.shape == () and slope == 0.25
