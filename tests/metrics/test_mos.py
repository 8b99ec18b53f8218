import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.metrics.mos import Rating, main, mean_opinion_scores, read_ratings

# Three videos by two methods; "b" is better by 20 points everywhere.
TRUTH = {
    ("a", "v1"): 30,
    ("a", "v2"): 40,
    ("a", "v3"): 50,
    ("b", "v1"): 50,
    ("b", "v2"): 60,
    ("b", "v3"): 70,
}


def ratings(subject, gain=1.0, shift=0.0, slip=0.0):
    """One subject's use of the scale; v1 by a is shown twice, the second time rated off."""
    own = [Rating(subject, v, m, gain * value + shift) for (m, v), value in TRUTH.items()]
    return [*own, Rating(subject, "v1", "a", gain * (TRUTH["a", "v1"] + slip) + shift)]


def test_subjects_who_use_the_scale_differently_agree_after_normalisation():
    table = ratings("full") + ratings("timid", 0.25, 40) + ratings("harsh", 0.5, -10)
    found = mean_opinion_scores(table)
    assert found.intervals["a"] == pytest.approx(0, abs=1e-9)
    plain = mean_opinion_scores(table, scale="none")
    assert plain.intervals["a"] > 1
    assert plain.scores["b"] - plain.scores["a"] == pytest.approx(20 * (1 + 0.25 + 0.5) / 3)
    by_range = mean_opinion_scores(table, scale="range")
    assert by_range.scores["b"] > by_range.scores["a"]
    # The normalised ratings have the mean and the spread of all ratings together.
    values = np.array([r.value for r in table])
    shape = np.array([TRUTH[k] for k in TRUTH] + [30.0])
    scaled = (30 - shape.mean()) / shape.std() * values.std() + values.mean()
    assert found.videos["a", "v1"] == pytest.approx(scaled)


def test_the_least_consistent_subjects_are_left_out():
    table = ratings("good") + ratings("careless", slip=35) + ratings("fair", 0.5, 0, slip=4)
    found = mean_opinion_scores(table, drop=1)
    assert found.dropped == ("careless",)
    assert found.inconsistency["good"] == 0 < found.inconsistency["fair"]
    assert mean_opinion_scores(table, drop=2).dropped == ("careless", "fair")
    # Half the scale and half the slip is as inconsistent: it is the normalised difference.
    twin = mean_opinion_scores(ratings("x", slip=8) + ratings("y", 0.5, 3, slip=8))
    assert twin.inconsistency["x"] == pytest.approx(twin.inconsistency["y"])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ([], {}, "no ratings"),
        (ratings("x"), {"drop": 1}, "only 1 subjects"),
        (ratings("x")[:-1] + ratings("y"), {"drop": 1}, "'x' rated nothing twice"),
        (ratings("x"), {"scale": "sprad"}, "did you mean 'spread'"),
        ([Rating("x", "v1", "a", 3.0)] * 3 + ratings("y"), {}, "'x' gave every video the same"),
    ],
)
def test_refusals(table, options, message):
    with pytest.raises(UserError, match=message):
        mean_opinion_scores(table, **options)


def test_table_on_the_command_line(tmp_path, capsys):
    path = tmp_path / "ratings.csv"
    rows = [f"{r.subject},{r.method},{r.video},{r.value}" for r in ratings("x") + ratings("y")]
    path.write_text("\n".join(["subject,method,video,rating", *rows]))
    assert read_ratings(path) == ratings("x") + ratings("y")
    main([str(path), "--drop", "1"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:2] == ["b", "60.00"] and printed[1].split()[:2] == ["a", "40.00"]
    assert printed[2] == "subjects left out: x"


@pytest.mark.parametrize(
    ("text", "message"),
    [("subject,video,rating\nx,v,3", "no column 'method'"),
     ("subject,video,method,rating\nx,v,m,good", "csv:2: rating 'good' is not a number")],
)  # fmt: skip
def test_bad_tables(tmp_path, text, message):
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        read_ratings(path)
    with pytest.raises(UserError, match="does not exist"):
        read_ratings(tmp_path / "nothing.csv")
