"""Model files from anywhere: refused in a line, or what they say they are."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.faults import fuzz_models
from tests.faults.fuzz_models import small
from vqe_jax.errors import UserError
from vqe_jax.weights import load_model, packaged_models, save_model


def _header(path):
    with safe_open(path, framework="np") as file:
        return file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("key", ["kwargs", "qp", "color", "source", "extra", "model"])
def test_no_word_of_the_description_can_change_unseen(tmp_path, key):
    save_model(tmp_path / "m.safetensors", small(extra={"state_limit": 3.5, "step": 7}))
    metadata, tensors = _header(tmp_path / "m.safetensors")
    for change in (metadata[key] + " ", metadata[key].replace("4", "2").replace("7", "8") + "\t"):
        save_file(tensors, tmp_path / "x.safetensors", metadata=metadata | {key: change})
        with pytest.raises(UserError, match="damaged: it does not match its checksum"):
            load_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"lookahead": 10**9}, "'lookahead' is 1000000000, more than"),
        ({"lookahead": 400, "recurrent": 200}, "tensor|frames|fields"),
        ({"width": 10**7}, "'width' is 10000000"),
        ({"width": -1}, "vig.width is -1; expected at least 0"),
        ({"lookahead": -2}, "vig.lookahead is -2; expected at least 0"),
        ({"width": "wide"}, "vig.width is 'wide'; expected int"),
        ({"width": True}, "vig.width is True; expected int"),
        ({"channels": True}, "vig.channels is True; expected int"),
        ({"recurrent": 2.0}, "vig.recurrent is 2.0; expected bool"),
        ({"state_bound": "4"}, "vig.state_bound is '4'; expected float"),
        ({"down_widths": [8, 8, True]}, "vig.down_widths is .8, 8, True.; expected tuple"),
        ({"down_widths": [8] * 2000}, "which no network takes"),
        ({"down_widths": 3}, "vig.down_widths is 3; expected tuple"),
        ({"nonsense": 3}, "no field 'nonsense'"),
        ({"name": "x"}, "fields do not make"),
    ],
)
def test_fields_are_bounded_before_anything_is_built(tmp_path, kwargs, said):
    file = small()
    save_model(tmp_path / "m.safetensors", dataclasses.replace(file, kwargs=file.kwargs | kwargs))
    with pytest.raises(UserError, match=said) as caught:
        load_model(tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def _changed(change):
    flat = dict(flatten_dict(small().variables, sep="/"))
    change(flat, sorted(flat)[3])
    return small(variables=unflatten_dict(flat, sep="/"))


CHANGES = {
    "lost": lambda flat, path: flat.pop(path),
    "extra": lambda flat, path: flat.update({"params/more": flat[path]}),
    "elsewhere": lambda flat, path: flat.update({"../../x": flat[path]}),
    "misshapen": lambda flat, path: flat.update({path: flat[path][..., :1]}),
    "integers": lambda flat, path: flat.update({path: flat[path].astype(np.int32)}),
    "short integers": lambda flat, path: flat.update({path: flat[path].astype(np.int16)}),
    "double": lambda flat, path: flat.update({path: flat[path].astype(np.float64)}),
    "nan": lambda flat, path: flat.update({path: flat[path] * np.nan}),
    "one infinity": lambda flat, path: flat[path].reshape(-1).__setitem__(0, np.inf),
}


@pytest.mark.parametrize("name", CHANGES)
def test_weights_are_those_of_the_network_and_finite(tmp_path, name):
    save_model(tmp_path / "m.safetensors", _changed(CHANGES[name]))
    with pytest.raises(UserError, match=r"tensor|expected float32|not finite") as caught:
        load_model(tmp_path / "m.safetensors")
    assert "\n" not in str(caught.value)


def test_the_color_is_that_of_the_network(tmp_path):
    save_model(tmp_path / "m.safetensors", small(color="rgb"))
    with pytest.raises(UserError, match="color='rgb', but its network has 1 channels"):
        load_model(tmp_path / "m.safetensors")


def test_a_run_folder_is_a_model(tmp_path):
    with pytest.raises(UserError, match="folder without a best"):
        load_model(tmp_path)
    save_model(tmp_path / "last.safetensors", small(source="last"))
    assert load_model(tmp_path).source == "last"
    save_model(tmp_path / "best.safetensors", small(source="best"))
    assert load_model(tmp_path).source == "best"


def test_files_of_an_earlier_version_are_signed_on_request_only(tmp_path, capsys):
    from vqe_jax.weights.__main__ import main
    from vqe_jax.weights.model_file import _checksum, _flatten

    file, old, new = small(), tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    flat = _flatten(file.variables)
    metadata = {
        "format": "vqe_jax model 1",
        "model": file.model,
        "kwargs": json.dumps(file.kwargs),
        "colour": "luma",
        "qp": "[37]",
        "source": "",
        "extra": "{}",
        "sha256": _checksum(flat, {}),
    }
    save_file(flat, old, metadata=metadata)
    with pytest.raises(UserError, match=r"weights sign .*old.safetensors"):
        load_model(old)
    main(["sign", str(old), str(new)])
    assert load_model(new).kwargs == file.kwargs
    for name, path in packaged_models().items():
        shutil.copy(path, tmp_path / f"{name}.safetensors")
        assert load_model(tmp_path / f"{name}.safetensors").model == load_model(name).model


def test_a_short_sweep():
    counts = fuzz_models.run(25, seed=1)
    assert counts.failed == 0, counts.examples
    assert counts.tried == 25 and counts.refused > 15
