"""The sweep itself, a little of it; the whole is ``python -m tests.faults.fuzz --files 2000``."""

import pytest

from tests.faults import fuzz, fuzz_files


def test_a_few_files(capsys):
    assert fuzz.main(["--files", "12", "--seed", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["tried", "refused", "passed", "failed", "seconds"]
    assert said[1].split()[:2] == ["files", "12"] and said[1].split()[4] == "0"


def test_what_goes_wrong_is_counted(monkeypatch):
    def broken(rng, source, target):
        raise RuntimeError("no sentence")

    monkeypatch.setattr(fuzz_files, "_attempt", broken)
    counts = fuzz_files.run(3, 0)
    assert (counts.tried, counts.failed) == (3, 3) and "no sentence" in counts.examples[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_many_files(seed):
    counts = fuzz_files.run(700, seed)
    assert counts.failed == 0, counts.examples
