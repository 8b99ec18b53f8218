import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from vqe_jax import programs

# Compiles one program that is worth keeping, and says what that took.
SCRIPT = """
import sys
from vqe_jax import programs
said = programs.keep()
import jax, jax.numpy as jnp
with programs.counted() as count:
    result = jax.jit(lambda x: jnp.sort(x @ x) + jnp.cos(x).sum())(jnp.arange(64.0).reshape(8, 8))
print(float(result.sum()), count.programs, count.kept, said)
"""


def start(folder: Path | str) -> subprocess.Popen:
    # The suite's own flags aside: what compiles in no time is not kept.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
    root = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=kept | {"PYTHONPATH": root, "VQE_PROGRAM_CACHE": str(folder)},
    )


def said(process: subprocess.Popen) -> tuple[float, int, int, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "Traceback" not in err, err
    result, compiled, kept, line = out.strip().split(" ", 3)
    return float(result), int(compiled), int(kept), line


def test_programs_are_kept_by_runs_at_a_time_and_a_torn_one_is_made_again(tmp_path):
    first, second = [said(p) for p in [start(tmp_path) for _ in range(2)]]
    files = list(tmp_path.glob("*/*"))
    assert files and all(f.name.endswith("-cache") for f in files), "nothing is left half-written"
    assert first[:2] == second[:2] and first[3] == f"compiled programs are kept in {tmp_path}"
    again = said(start(tmp_path))
    assert again[:2] == first[:2] and again[2] >= 1
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    torn = said(start(tmp_path))
    assert torn[:2] == first[:2] and torn[2] == 0
    assert said(start(tmp_path))[2] >= 1, "the torn files were replaced"


def test_a_place_that_cannot_be_written_is_said_and_off_is_off(tmp_path):
    (tmp_path / "file").touch()
    result, compiled, kept, line = said(start(tmp_path / "file"))
    assert line.startswith("compiled programs are not kept: ") and "file" in line
    assert said(start("off")) == (result, compiled, kept, "None") and kept == 0


def test_a_folder_that_jax_was_told_of_stays(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("VQE_PROGRAM_CACHE", raising=False)
    assert before and programs.keep() == f"compiled programs are kept in {before}"
    assert jax.config.jax_compilation_cache_dir == before


def test_what_was_not_used_for_long_goes_and_the_oldest_where_there_is_too_much(tmp_path):
    day = 86_400
    for name, days in [("old", 90), ("a", 3), ("b", 2), ("c", 1)]:
        file = tmp_path / f"{name}-cache"
        file.write_bytes(bytes(100))
        os.utime(file, (time.time() - days * day,) * 2)
    (tmp_path / "another.txt").touch()
    programs.prune(tmp_path, most_days=60.0)
    assert not (tmp_path / "old-cache").exists() and (tmp_path / "a-cache").exists()
    programs.prune(tmp_path, most_bytes=250)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["another.txt", "b-cache", "c-cache"]


def test_programs_are_counted_once():
    double = jax.jit(lambda x: 2 * x + 0.125)
    small, large = jnp.ones(3), jnp.ones(5)
    with programs.counted() as count:
        for x in (small, large, small, large):
            double(x)
    assert count.programs == 2 and "2 programs compiled" in str(count)
    with programs.counted() as after:
        double(small)
    assert after.programs == 0 and count.programs == 2


@pytest.mark.parametrize("command", ["training", "inference", "evaluation"])
def test_every_command_has_the_option(command):
    module = importlib.import_module(f"vqe_jax.{command}.cli")
    made = getattr(module, "parser", None) or module._parser
    shown = " ".join(made().format_help().split())
    assert "--program-cache DIR|off where compiled programs are kept" in shown
