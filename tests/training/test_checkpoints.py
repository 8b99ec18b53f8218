import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.training.checkpoints import Checkpoints, Progress


def tree(value: float = 0.0):
    kernel = jnp.arange(6.0).reshape(2, 3) + value
    return {
        "params": {"kernel": kernel},
        "step": jnp.int32(value),
        "half": kernel.astype("bfloat16"),
    }


def fill(folder: Path, *steps: int, keep: int = 3) -> list[str]:
    said: list[str] = []
    checkpoints = Checkpoints(folder, keep=keep, say=said.append)
    for step in steps:
        checkpoints.save(tree(step), Progress(step=step, stage=0, data='{"next_index": 1}'))
    checkpoints.close()
    return said


def reopen(folder: Path):
    said: list[str] = []
    checkpoints = Checkpoints(folder, say=said.append)
    found = checkpoints.newest()
    checkpoints.close()
    return found, said


def data_files(folder: Path) -> list[Path]:
    return [p for p in (folder / "2").rglob("*") if p.is_file() and p.parent.name == "d"]


def test_what_is_saved_comes_back_to_the_bit(tmp_path):
    fill(tmp_path, 3)
    (progress, arrays), _ = reopen(tmp_path)
    assert progress.step == 3 and progress.data == '{"next_index": 1}'
    checkpoints = Checkpoints(tmp_path)
    restored = checkpoints.fill(tree(), arrays)
    jax.tree.map(np.testing.assert_array_equal, restored, tree(3))
    assert restored["half"].dtype == jnp.bfloat16
    checkpoints.close()


def test_only_the_last_few_stay(tmp_path):
    fill(tmp_path, 1, 2, 3, 4, keep=2)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["3", "3.manifest.json", "4", "4.manifest.json"]


def flip_a_byte(folder: Path) -> None:
    for path in data_files(folder):
        blob = bytearray(path.read_bytes())
        blob[len(blob) // 2] ^= 0x10
        path.write_bytes(bytes(blob))


def cut_short(folder: Path) -> None:
    for path in data_files(folder):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lose_the_manifest(folder: Path) -> None:
    (folder / "2.manifest.json").unlink()


def tear_the_manifest(folder: Path) -> None:
    path = folder / "2.manifest.json"
    path.write_text(path.read_text()[:40])


def lose_the_arrays(folder: Path) -> None:
    shutil.rmtree(folder / "2")


def change_a_value(folder: Path) -> None:
    """What Orbax alone does not notice: the data is well-formed but another."""
    path = folder / "2.manifest.json"
    manifest = json.loads(path.read_text())
    manifest["arrays"]["params.kernel"][2] ^= 1
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "harm",
    [flip_a_byte, cut_short, lose_the_manifest, tear_the_manifest, lose_the_arrays, change_a_value],
)
def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path, harm):
    fill(tmp_path, 1, 2)
    harm(tmp_path)
    found, said = reopen(tmp_path)
    assert found is not None and found[0].step == 1
    np.testing.assert_array_equal(found[1]["params.kernel"], tree(1)["params"]["kernel"])
    (line,) = said
    assert line.startswith("checkpoint 2 cannot be read (") and "kept as 2.damaged" in line
    fill(tmp_path, 2)  # the same step can be saved again, and what was there is kept
    assert any(p.name.startswith("2.damaged") for p in tmp_path.iterdir())
    assert reopen(tmp_path)[0][0].step == 2


def test_nothing_whole_is_nothing(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "8.orbax-checkpoint-tmp-1").mkdir()
    assert reopen(tmp_path) == (None, [])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["7", "8.orbax-checkpoint-tmp-1"]
    fill(tmp_path, 9)
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"7", "9", "9.manifest.json"}  # another's folder stays


def test_another_config_is_named(tmp_path):
    fill(tmp_path, 1)
    (_, arrays), _ = reopen(tmp_path)
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(UserError, match=r"lacks array 'params.bias'"):
        checkpoints.fill(tree() | {"params": {"kernel": jnp.ones(1), "bias": jnp.ones(1)}}, arrays)
    with pytest.raises(UserError, match=r"params.kernel is \[\[2, 3\]"):
        checkpoints.fill(tree() | {"params": {"kernel": jnp.ones((2, 4))}}, arrays)
    checkpoints.close()


def test_a_save_outlives_the_buffers_it_was_given(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    state = tree(5)
    checkpoints.save(state, Progress(step=5, stage=0, data=""))
    jax.tree.map(lambda x: x.delete(), state)  # as donation does
    checkpoints.close()
    assert reopen(tmp_path)[0][1]["params.kernel"][0, 0] == 5
