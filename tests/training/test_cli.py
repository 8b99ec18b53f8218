import subprocess
import sys
from pathlib import Path

import pytest

from vqe_jax.errors import UserError
from vqe_jax.training import cli, loop

# ml_collections loads files in a way that Python 3.11 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIG = """
from ml_collections import ConfigDict
def get_config(variant="default"):
    steps = {"default": 3, "long": 30}[variant]
    return ConfigDict({"lr": 1e-3, "stages": (ConfigDict({"name": "a", "steps": steps}),)})
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def test_overrides_reach_into_stages(config):
    argv = ["train.py", f"--config={config}:long", "--config.lr=0.5", "--workdir=w"]
    parsed, flags = cli.read_config([*argv, "--config.stages[0].name=b"])
    assert (parsed.lr, parsed.stages[0].steps, parsed.stages[0].name) == (0.5, 30, "b")
    assert flags.workdir == "w"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.lrr=1"], "config has no key 'lrr'; did you mean 'lr'"),
        (["--config.stages[0].stesp=1"], r"config.stages\[0\] has no key 'stesp'.*'steps'"),
        (["--config.stages[1].steps=1"], r"config.stages has no item \[1\]"),
        (["--config.lr=fast"], "lr='fast'; expected float"),
        (["--config.lr", "3"], "--config.lr needs a value"),
        (["--confg=3"], "Did you mean: config"),
        (["stray"], "argument 'stray' is not understood"),
    ],
)
def test_mistakes_are_one_line(config, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        cli.main(["train.py", f"--config={config}", "--workdir=w", *arguments])
    assert "\n" not in str(caught.value)


def test_files_and_variants_that_do_not_exist(config, tmp_path):
    with pytest.raises(UserError, match=r"config 'nowhere.py' does not exist"):
        cli.main(["train.py", "--config=nowhere.py", "--workdir=w"])
    with pytest.raises(UserError, match="no variant or key 'shrot'"):
        cli.main(["train.py", f"--config={config}:shrot", "--workdir=w"])
    with pytest.raises(UserError, match="--config is missing"):
        cli.main(["train.py"])
    with pytest.raises(UserError, match="--config is missing"):
        cli.main(["train.py", f"--workdir={tmp_path}"])


def test_a_work_directory_knows_its_config(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"model": "vig"}')
    seen = []

    def run(config, workdir):
        seen.append((config, workdir))
        return loop.Outcome(True, 1, None)

    monkeypatch.setattr(loop, "run", run)
    assert cli.main(["train.py", "--workdir", str(tmp_path)]) == 0
    assert seen == [({"model": "vig"}, str(tmp_path))]


@pytest.mark.parametrize(
    ("flags", "folder"),
    [(["--config=configs/vig.py:demo"], "runs/vig_demo"), (["--config", "a/b.py"], "runs/b")],
)
def test_a_run_without_a_work_directory_is_named_after_its_config(flags, folder):
    assert cli._default_workdir(["train.py", *flags]) == folder


def test_the_command_itself(config):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "train.py", f"--config={config}", "--workdir=w", "--config.lrr=1"],
        cwd=root, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "error: config has no key 'lrr'; did you mean 'lr'?\n"
