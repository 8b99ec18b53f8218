import hashlib
import json
from pathlib import Path

import pytest

from vqe_jax.errors import UserError
from vqe_jax.inference.cli import main as enhance
from vqe_jax.weights import cards, packaged_models
from vqe_jax.weights.__main__ import main
from vqe_jax.weights.cards import ABOUT, Card, cards_page, read_card, stream_group

ROOT = Path(__file__).parents[2]


def row(encoder, quality, gain):
    return {"clip": "park", "encoder": encoder, "quality": quality, "gain": gain}


MEASURED = {
    "command": "python benchmarks/card.py x",
    "date": "2026-11",
    "streams": [
        row("x264_crf", "crf 30", 0.5),
        row("low_delay_p", "qp 37", 0.25),
        row("x264_crf", "crf 40", -0.25),
        row("mpeg2", "q 9", 1.0),
    ],
    "clean": [{"clip": "park", "frames": 3, "mean": 51.26, "lowest": 50.0, "changed": 0.125}],
    "long": [{"clip": "p", "frames": 2000, "first": 0.1, "last": 0.2, "drift": 0.1, "flat": False}],
    "speed": {"machine": "2 CPU cores", "rows": [{"size": "64x64", "engine": 9.0, "file": 8.5}]},
}
CARD = Card("mine", {"purpose": "nothing", "command": "python train.py"}, MEASURED, "vig, 7")


def test_rows_are_gathered_by_codec_and_quality_with_mean_and_worst():
    title, rows = CARD.tables()[0]
    assert "8-bit" in title
    assert rows[1:] == [
        ["x265 low-delay P, as HM", "QP 33 up", "1", "+0.250", "+0.250"],
        ["x264", "28 up", "2", "+0.125", "-0.250"],
        ["MPEG-2", "all", "1", "+1.000", "+1.000"],
        ["all", "", "4", "+0.375", "-0.250"],
    ]


@pytest.mark.parametrize(
    ("encoder", "quality", "said"),
    [
        ("low_delay_p", "qp 32", "QP to 32"),
        ("kvazaar", "qp 33", "QP 33 up"),
        ("x265_crf", "crf 27", "CRF or QP to 27"),
        ("x265_bits", "bpkp 20", "bit rate, two passes"),
        ("x264_qp", "qp 28", "28 up"),
        ("vp9", "crf 30", "all"),
        ("theora", "q 3", "all"),
    ],
)
def test_what_quality_a_stream_counts_as(encoder, quality, said):
    assert stream_group(row(encoder, quality, 0.0))[2] == said


def test_both_faces_of_a_card_say_all_of_it():
    for text in (CARD.text(), CARD.markdown()):
        for part in ("nothing", "+0.375", "51.3", "12.5%", "DRIFTS", "64x64", "8.50", "vig, 7"):
            assert part in text
    assert "`python train.py`" in CARD.markdown()


def test_a_card_without_measurements_has_no_tables():
    assert Card("mine", {}, {}, "vig").tables() == []


@pytest.mark.parametrize("name", packaged_models())
def test_every_packaged_model_has_a_card_of_its_own_weights(name):
    card = read_card(name)
    assert all(card.about[key] for key in ABOUT)
    weights = hashlib.sha256(packaged_models()[name].read_bytes()).hexdigest()
    assert card.measured.get("weights", weights) == weights, "measured of other weights"


def test_the_page_is_what_the_cards_say():
    assert (ROOT / "docs" / "models.md").read_text() == cards_page()


def test_the_command_writes_the_page(tmp_path, capsys):
    main(["cards"])
    assert capsys.readouterr().out == cards_page()
    main(["cards", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == cards_page()


def test_the_enhancing_command_prints_the_cards(capsys):
    enhance(["models"])
    printed = capsys.readouterr().out
    for name in packaged_models():
        assert read_card(name).text() in printed


def test_a_card_that_cannot_be_read_is_a_sentence(tmp_path, monkeypatch):
    broken = tmp_path / "vig_qp37.json"
    monkeypatch.setattr(cards, "card_path", lambda name: broken)
    assert read_card("vig_qp37").about["data"].startswith("trained by")
    for text in ("{", json.dumps({"about": {}}), "[]"):
        broken.write_text(text)
        with pytest.raises(UserError, match="cannot be read"):
            read_card("vig_qp37")


def test_only_packaged_models_have_cards():
    with pytest.raises(UserError, match="not packaged"):
        cards.card_path("nobody")
