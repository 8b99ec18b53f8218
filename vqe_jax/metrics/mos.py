"""Mean opinion scores from a table of ratings, as the NTIRE 2021 report takes them.

Subjects use the scale differently, so the ratings of each are brought to the mean and spread of
all ratings. Some videos are shown twice: the subjects whose two ratings differ most are left out.
What remains is averaged, first over a subject's ratings of one video, then over subjects.

``python -m vqe_jax.metrics.mos ratings.csv --drop 5`` reads columns ``subject``, ``video``,
``method`` and ``rating``; a combination that occurs again is a repetition.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vqe_jax.errors import UserError, near_misses, run_cli
from vqe_jax.flags import Parser

__all__ = ["MOS", "Rating", "main", "mean_opinion_scores", "read_ratings"]

_COLUMNS = ("subject", "video", "method", "rating")
_SCALES = ("spread", "range", "none")


@dataclasses.dataclass(frozen=True)
class Rating:
    """What one subject said of one video by one method."""

    subject: str
    video: str
    method: str
    value: float


@dataclasses.dataclass(frozen=True)
class MOS:
    """Mean opinion scores.

    Attributes:
      scores: of each method, the mean over videos.
      intervals: half of the 95 % confidence interval of each score, over subjects.
      dropped: subjects left out, least consistent first.
      inconsistency: mean difference of a subject's two ratings of one video, normalized.
    """

    scores: dict[str, float]
    intervals: dict[str, float]
    videos: dict[tuple[str, str], float]
    dropped: tuple[str, ...]
    inconsistency: dict[str, float]


def read_ratings(path: str | Path) -> list[Rating]:
    """Reads a CSV with the columns ``subject``, ``video``, ``method`` and ``rating``.

    Raises:
      UserError: no such file, a missing column, or a rating that is not a number.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ratings file {path} does not exist")
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if missing := [c for c in _COLUMNS if c not in (rows.fieldnames or ())]:
            raise UserError(f"{path} has no column {missing[0]!r}; expected {', '.join(_COLUMNS)}")
        return [_rating(row, f"{path}:{rows.line_num}") for row in rows]


def _rating(row: dict[str, str], place: str) -> Rating:
    try:
        value = float(row["rating"])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise UserError(f"{place}: rating {row['rating']!r} is not a number")
    return Rating(row["subject"], row["video"], row["method"], value)


def _origin_and_width(values: Sequence[float], scale: str) -> tuple[float, float]:
    if scale == "spread":
        return float(np.mean(values)), float(np.std(values))
    return float(np.min(values)), float(np.ptp(values))


def _normalized(ratings: Sequence[Rating], scale: str) -> list[Rating]:
    """The ratings of each subject on the scale of all ratings together."""
    if scale == "none":
        return list(ratings)
    own: dict[str, list[float]] = defaultdict(list)
    for r in ratings:
        own[r.subject].append(r.value)
    origin, width = _origin_and_width([r.value for r in ratings], scale)
    origins = {subject: _origin_and_width(values, scale) for subject, values in own.items()}
    if flat := [subject for subject, (_, spread) in origins.items() if spread == 0]:
        raise UserError(f"subject {flat[0]!r} gave every video the same rating; leave them out")

    def rescaled(rating: Rating) -> float:
        start, spread = origins[rating.subject]
        return (rating.value - start) / spread * width + origin

    return [dataclasses.replace(r, value=rescaled(r)) for r in ratings]


def _grouped(ratings: Iterable[Rating]) -> dict[tuple[str, str, str], list[float]]:
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for r in ratings:
        groups[r.subject, r.method, r.video].append(r.value)
    return groups


def _inconsistency(groups: dict[tuple[str, str, str], list[float]]) -> dict[str, float]:
    gaps: dict[str, list[float]] = defaultdict(list)
    for (subject, _, _), values in groups.items():
        if len(values) > 1:
            gaps[subject].append(float(np.abs(np.diff(values)).mean()))
    return {subject: float(np.mean(g)) for subject, g in gaps.items()}


def mean_opinion_scores(ratings: Sequence[Rating], *, drop: int = 0, scale: str = "spread") -> MOS:
    """Averages ratings.

    Args:
      ratings: of all subjects; one that has the same subject, video and method as another is a
        repetition.
      drop: how many of the least consistent subjects to leave out.
      scale: how subjects are brought to one scale: ``"spread"`` (mean and standard deviation),
        ``"range"`` (smallest and largest) or ``"none"``.

    Raises:
      UserError: no ratings, repetitions missing where subjects are to be left out, nobody left,
        or an unknown scale.
    """
    if scale not in _SCALES:
        raise UserError(f"scale {scale!r} is not known{near_misses(scale, _SCALES)}")
    if not ratings:
        raise UserError("there are no ratings")
    groups = _grouped(_normalized(ratings, scale))
    subjects = {subject for subject, _, _ in groups}
    gaps = _inconsistency(groups)
    if drop >= len(subjects):
        raise UserError(f"drop is {drop}, but there are only {len(subjects)} subjects")
    if drop and (silent := subjects - set(gaps)):
        raise UserError(
            f"subject {min(silent)!r} rated nothing twice, so consistency is not known; use drop=0"
        )
    dropped = tuple(sorted(gaps, key=lambda s: (-gaps[s], s))[:drop])
    return _averaged({k: v for k, v in groups.items() if k[0] not in dropped}, dropped, gaps)


def _averaged(
    groups: dict[tuple[str, str, str], list[float]],
    dropped: tuple[str, ...],
    gaps: dict[str, float],
) -> MOS:
    per_video: dict[tuple[str, str], list[float]] = defaultdict(list)
    per_subject: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (subject, method, video), values in groups.items():
        per_video[method, video].append(float(np.mean(values)))
        per_subject[method][subject].append(float(np.mean(values)))
    videos = {key: float(np.mean(values)) for key, values in per_video.items()}
    scores = {
        method: float(np.mean([v for (m, _), v in videos.items() if m == method]))
        for method in per_subject
    }
    intervals = {
        method: _interval([float(np.mean(values)) for values in subjects.values()])
        for method, subjects in per_subject.items()
    }
    return MOS(scores, intervals, videos, dropped, gaps)


def _interval(values: Sequence[float]) -> float:
    if len(values) < 2:
        return float("nan")
    return float(1.96 * np.std(values, ddof=1) / np.sqrt(len(values)))


def main(argv: list[str] | None = None) -> None:
    """Prints the scores of a CSV.

    Args:
      argv: arguments; None takes those of the process.
    """
    parser = Parser(prog="python -m vqe_jax.metrics.mos", description=__doc__)
    parser.add_argument("ratings", help="CSV with subject, video, method, rating")
    parser.add_argument("--drop", type=int, default=0, help="least consistent subjects left out")
    parser.add_argument("--scale", default="spread", help=" | ".join(_SCALES))
    args = parser.parse_args(argv)
    result = mean_opinion_scores(read_ratings(args.ratings), drop=args.drop, scale=args.scale)
    for method in sorted(result.scores, key=lambda m: -result.scores[m]):
        print(f"{method:24} {result.scores[method]:7.2f} +- {result.intervals[method]:.2f}")
    print(f"subjects left out: {', '.join(result.dropped) or 'none'}")


if __name__ == "__main__":
    run_cli(main)
