import subprocess
import sys
from pathlib import Path

import pytest

from vqe_jax.errors import UserError
from vqe_jax.training import cli, loop
from vqe_jax.training.stages import Run

CONFIG = """
def get_config(variant="short"):
    steps = {"short": 3, "long": 30}[variant]
    stage = {"name": "a", "steps": steps}
    return {"model": "vig", "data": {}, "stages": (stage,)}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(CONFIG)
    return path


def test_overrides_reach_into_stages(config):
    run, workdir, _ = cli.read_command(
        [f"--config={config}:long", "--config.seed=5", "--workdir=w", "--config.stages[0].name=b"]
    )
    assert (run.seed, run.stages[0].steps, run.stages[0].name) == (5, 30, "b")
    assert workdir == Path("w")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.sede=1"], "config has no key 'sede'; did you mean 'seed'"),
        (["--config.stages[0].stesp=1"], r"config.stages\[0\] has no key 'stesp'.*'steps'"),
        (["--config.stages[1].steps=1"], r"config.stages has no item \[1\]"),
        (["--config.seed=fast"], "seed='fast'; expected int"),
        (["--config.seed", "3"], "--config.seed needs a value"),
        (["--confg=3"], "--confg is no option; did you mean '--config'"),
        (["--processes=many"], "--processes: invalid int value: 'many'"),
        (["stray"], "argument 'stray' is not understood"),
    ],
)
def test_mistakes_are_one_line(config, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        cli.main([f"--config={config}", "--workdir=w", *arguments])
    assert "\n" not in str(caught.value)


def test_no_config_at_all(tmp_path):
    for arguments in ([], [f"--workdir={tmp_path}"]):
        with pytest.raises(UserError, match="--config is missing"):
            cli.main(arguments)
    with pytest.raises(UserError, match=r"--config.seed needs --config"):
        cli.main([f"--workdir={tmp_path}", "--config.seed=3"])


def test_a_work_directory_knows_its_config(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(
        '{"model": "vig", "data": {}, "stages": [{"name": "a", "steps": 3}]}'
    )
    seen = []

    def run(plan, workdir, *, quiet):
        assert not quiet
        seen.append((plan, workdir))
        return loop.Outcome(True, 1, None)

    monkeypatch.setattr(loop, "run", run)
    before = list(sys.argv)
    assert cli.main(["--workdir", str(tmp_path)]) == 0
    [(plan, workdir)] = seen
    assert isinstance(plan, Run) and plan.stages[0].steps == 3 and workdir == tmp_path
    assert sys.argv == before


@pytest.mark.parametrize(
    ("recipe", "folder"),
    [
        ("configs/vig.py:demo", "runs/vig_demo"),
        ("vig", "runs/vig"),
        ("stdf:qp32,width=narrow", "runs/stdf_qp32_width_narrow"),
    ],
)
def test_a_run_without_a_work_directory_is_named_after_its_recipe(recipe, folder):
    assert cli.read_command([f"--config={recipe}"])[1] == Path(folder)


def test_help_is_of_the_command_or_of_a_recipe(capsys):
    assert cli.main(["--help"]) == 0
    assert "--workdir" in capsys.readouterr().out
    assert cli.main(["--config=stdf:qp32", "--help"]) == 0
    assert "narrow       the recipe of the packaged model" in capsys.readouterr().out


def test_the_command_itself(config):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "train.py", f"--config={config}", "--workdir=w", "--config.sede=1"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr == "error: config has no key 'sede'; did you mean 'seed'?\n"
