"""The command that measures a card, with a network's work replaced by arithmetic."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vqe_jax.errors import UserError

SPEC = importlib.util.spec_from_file_location(
    "card_command", Path(__file__).parents[2] / "benchmarks" / "card.py"
)
card = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(card)
RAW = np.random.default_rng(0).integers(20, 200, (3, 8, 8), np.uint8)


class Stream:
    """A pair whose compressed clip is the raw one but for an error of two."""

    name = "park@x264_crf_30"
    info = SimpleNamespace(
        recipe="x264_crf crf 30, preset fast",
        quality="crf 30",
        compressed_format="h264",
        raw_format="mkv",
    )

    def __len__(self):
        return len(RAW)

    def clip(self, side, color):
        assert color == "luma"
        return RAW if side == "raw" else RAW + np.uint8(2)

    def encoded(self, side):
        return side.encode()


def test_a_gain_is_that_of_the_file_against_the_raw_clip(monkeypatch):
    given = []

    def file(stream, suffix, model, limit):
        given.append((stream, suffix, model, limit))
        return iter(RAW + np.uint8(1))

    monkeypatch.setattr(card, "enhanced_luma", file)
    row = card.stream_row(Stream(), "mine", None)
    assert given == [(b"compressed", "h264", "mine", None)]
    assert row["before"] == pytest.approx(20 * np.log10(255 / 2), abs=1e-3)
    assert row["gain"] == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert (row["clip"], row["encoder"], row["frames"]) == ("park", "x264_crf", 3)
    row = card.clean_row(Stream(), "mine", None)
    assert row["mean"] == pytest.approx(20 * np.log10(255), abs=1e-2) and row["changed"] == 1


def test_a_file_of_another_length_is_an_error(monkeypatch):
    monkeypatch.setattr(card, "enhanced_luma", lambda *args: iter(RAW[:2]))
    with pytest.raises(UserError, match="2 frames, expected 3"):
        card.stream_row(Stream(), "mine", None)


def test_equal_frames_count_as_a_hundred_decibels():
    assert card.psnr(RAW[0], RAW[0]) == 100.0


def test_a_second_call_goes_on_where_the_first_stopped(tmp_path):
    rows = card.Rows(tmp_path / "rows.jsonl", "abc")
    rows.add("stream one", "streams", {"gain": 1.0})
    with rows.path.open("a") as file:
        file.write('{"key": "stream two", "par')  # the end of the first call
    again = card.Rows(tmp_path / "rows.jsonl", "abc")
    assert again.get("stream one")["gain"] == 1.0 and again.get("stream two") is None
    again.add("stream three", "streams", {"gain": 3.0})
    whole = card.Rows(tmp_path / "rows.jsonl", "abc")
    assert whole.of("streams") == [{"gain": 1.0}, {"gain": 3.0}]
    assert card.Rows(tmp_path / "rows.jsonl", "other").of("streams") == []


def test_what_is_written_by_hand_stays(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"about": {"purpose": "all"}, "measured": {"weights": "a", "x": 1}}))
    card.write_card(path, {"weights": "a", "clean": []})
    kept = json.loads(path.read_text())
    assert kept == {
        "about": {"purpose": "all"},
        "measured": {"weights": "a", "x": 1, "clean": []},
    }
    card.write_card(path, {"weights": "b"})
    assert json.loads(path.read_text())["measured"] == {"weights": "b"}
