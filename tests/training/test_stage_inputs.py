import jax
import numpy as np
import pytest

from tests.data.conftest import data_dir, videos  # noqa: F401 (fixtures)
from tests.training.synthetic import Tiny
from vqe_jax import models
from vqe_jax.data.pair import open_pairs
from vqe_jax.data.stage_inputs import with_inputs
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training.stage_inputs import main, make_inputs
from vqe_jax.weights import ModelFile, save_model


@pytest.fixture(autouse=True)
def tiny():
    models.register("tiny", Tiny)
    yield
    models.unregister("tiny")


def _file(seed, **kwargs):
    network = Tiny(channels=3)
    variables = jax.tree.map(np.array, initial_variables(network, jax.random.key(seed)))
    kept = {k: variables[k] for k in ("params", "batch_stats")}
    return ModelFile("tiny", {"channels": 3}, kept, **{"color": "rgb", **kwargs})


def test_results_are_the_networks_and_are_kept(data_dir, tmp_path, capsys):  # noqa: F811
    pairs = open_pairs(data_dir, "clips", "val", "qp37")
    files = [_file(0), _file(1)]
    for name, file in zip("ab", files, strict=True):
        save_model(tmp_path / f"{name}.safetensors", file)
    command = [
        str(tmp_path / "a.safetensors"),
        str(tmp_path / "b.safetensors"),
        "--dataset",
        "clips",
        "--data_dir",
        str(data_dir),
        "--config_name",
        "qp37",
        "--split",
        "val",
        "--to",
        str(tmp_path / "out"),
    ]
    main(command)
    assert f"{len(pairs)} of {len(pairs)} clips enhanced" in capsys.readouterr().out
    (pair, *_) = pairs
    clip = pair.read("compressed", "rgb").astype(np.float32)[None] / np.float32(255)
    network = files[0].build()
    run = jax.jit(network.apply)
    mean = sum(np.asarray(run(f.variables, clip)) for f in files) / 2
    expected = np.round(np.clip(mean[0], 0, 1) * 255)
    (swapped, *_) = with_inputs(pairs, tmp_path / "out")
    difference = np.abs(swapped.read("compressed", "rgb") - expected)
    assert difference.max() <= 1 and difference.mean() < 0.01  # halves may round either way
    main(command)
    assert f"0 of {len(pairs)} clips enhanced" in capsys.readouterr().out


def test_luma_models_are_refused(tmp_path):
    with pytest.raises(UserError, match="'tiny' works on luma"):
        make_inputs([_file(0, color="luma")], [], tmp_path)
