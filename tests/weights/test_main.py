import shutil

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from vqe_jax.errors import UserError
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.weights import load_model, packaged_models, to_torch
from vqe_jax.weights.__main__ import main
from vqe_jax.weights.perceptual_parts import PARTS


def test_list_states_address_license_and_checksum(capsys):
    main(["list"])
    printed = capsys.readouterr().out
    for part in PARTS.values():
        assert part.remote.url in printed
        assert part.remote.sha256 in printed and part.remote.license in printed


NARROW = {"features": 4, "blocks": 1, "upscale": 1}


@pytest.fixture
def checkpoint(tmp_path):
    """Official tensors of a narrow BasicVSR, seeded."""
    rng = np.random.default_rng(0)
    shapes = variable_shapes("basicvsr", **NARROW)
    tree = unflatten_dict({p: rng.random(s, np.float32) for p, s in shapes.items()}, sep="/")
    dead = {"spynet.mean": np.zeros((1, 3, 1, 1)), "step_counter": np.zeros(1)}
    np.savez(tmp_path / "official.npz", **to_torch("basicvsr", tree, **NARROW), **dead)
    return tmp_path / "official.npz", tree


def test_convert_writes_a_model_file_and_says_what_it_drops(checkpoint, tmp_path, caplog):
    source, tree = checkpoint
    settings = [f"--set={k}={v}" for k, v in NARROW.items()]
    target = str(tmp_path / "out" / "narrow.safetensors")
    main(["convert", "basicvsr", str(source), target, *settings, "--color", "rgb", "--qp", "37"])
    file = load_model(target)
    assert (file.model, file.kwargs, file.color, file.qp) == ("basicvsr", NARROW, "rgb", (37,))
    assert file.source == "converted from official.npz"
    assert "nothing reads them: spynet.mean, step_counter" in caplog.text
    jax.tree.map(np.testing.assert_array_equal, file.variables, tree)


@pytest.mark.parametrize(
    ("setting", "message"),
    [("featres=4", "did you mean 'features'"), ("features", "expected FIELD=VALUE"),
     ("features=8", "other settings")],
)  # fmt: skip
def test_convert_refuses_wrong_settings(checkpoint, tmp_path, setting, message):
    command = ["convert", "basicvsr", str(checkpoint[0]), str(tmp_path / "x.safetensors")]
    with pytest.raises(UserError, match=message):
        main([*command, "--set=blocks=1", "--set=upscale=1", f"--set={setting}"])
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: x * np.nan, "not finite"),
        (lambda x: (100 * x).astype(np.int32), "is int32; expected float32"),
        (lambda x: x.astype(np.float64), None),
        (lambda x: x.astype(np.float16), None),
    ],
)
def test_what_convert_writes_can_be_read(tmp_path, change, said):
    shapes = variable_shapes("dncnn", depth=2, features=4)
    tree = unflatten_dict({p: np.ones(s, np.float32) for p, s in shapes.items()}, sep="/")
    tensors = {k: change(v) for k, v in to_torch("dncnn", tree, depth=2, features=4).items()}
    source, target = tmp_path / "a.npz", tmp_path / "b.safetensors"
    np.savez(source, **tensors)
    command = ["convert", "dncnn", str(source), str(target), "--set=depth=2", "--set=features=4"]
    if said is None:
        main(command)
        assert load_model(target).color == "rgb"
    else:
        with pytest.raises(UserError, match=said):
            main(command)
        assert not target.exists()


@pytest.mark.parametrize("command", ["convert dncnn", "note", "sign"])
@pytest.mark.parametrize("target", ["b.npz", ".", "a.safetensors", "sub/../a.safetensors", "c"])
def test_no_command_writes_over_its_source_or_what_is_no_model_file(tmp_path, command, target):
    source = tmp_path / "a.safetensors"
    shutil.copy(packaged_models()["vig_qp37"], source)
    (tmp_path / "sub").mkdir()
    before = source.read_bytes()
    more = ["--codecs", "hevc"] if command == "note" else []
    with pytest.raises(UserError, match=r"is the source itself|is no name of a model file"):
        main([*command.split(), str(source), f"{tmp_path}/{target}", *more])
    assert source.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "sub"]


@pytest.mark.parametrize("qp", ["-1", "52", "99"])
def test_qps_that_no_stream_has(tmp_path, qp):
    with pytest.raises(UserError, match=f"--qp {qp}; expected"):
        main(["convert", "vig", "a.npz", str(tmp_path / "b.safetensors"), "--qp", qp])


def test_note_says_what_a_model_was_measured_on(tmp_path):
    target = str(tmp_path / "noted.safetensors")
    says = ["--says", "by hand"]
    main(["note", "vig_qp37", target, "--codecs", "hevc", "av1", "--any-qp", *says])
    noted, before = load_model(target), load_model("vig_qp37")
    assert noted.extra == {**before.extra, "measured": {"codecs": ["hevc", "av1"], "any_qp": True}}
    assert noted.source == "by hand" and noted.kwargs == before.kwargs
    for path, tensor in flatten_dict(before.variables).items():
        np.testing.assert_array_equal(flatten_dict(noted.variables)[path], tensor)


def test_fetch_from_a_file_into_one_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VQE_OFFLINE", "1")
    shapes = PARTS["vgg19"].shapes()
    np.savez(tmp_path / "vgg.npz", **{k: np.full(s, 0.5, np.float32) for k, s in shapes.items()})
    out = tmp_path / "vgg19.safetensors"
    main(["fetch", "vgg19", "--file", str(tmp_path / "vgg.npz"), "--output", str(out)])
    assert out.is_file() and "VGG-19, ImageNet from" in capsys.readouterr().out
    with pytest.raises(UserError, match="--output takes one network, not 2"):
        main(["fetch", "vgg19", "vgg16", "--output", str(out)])
