"""Tables 1 to 4 of the NTIRE 2021 report (Yang et al., CVPRW 2021), ours and the published rows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import COMPRESSED
from vqe_jax.evaluation.papers import Evidence, Paper, read_published
from vqe_jax.evaluation.records import NONE, SECONDS, mean_text
from vqe_jax.evaluation.tables import Table

__all__ = ["PAPER", "tables"]

_PSNR, _MS_SSIM = "psnr_rgb_uint8", "ms_ssim_rgb"
_PERCEPTUAL = {"lpips_alex": "{:.4f}", "fid": "{:.2f}", "kid": "{:.4f}", "vmaf": "{:.2f}"}
_NAMES = {"lpips_alex": "LPIPS", "fid": "FID", "kid": "KID", "vmaf": "VMAF"}
# Tracks 1 and 2 have the same ten videos.
_ORIGIN = {
    1: re.compile(r"ldv/track[12](_190_10)?/test$"),
    3: re.compile(r"ldv/track3(_190_10)?/test$"),
}
_VIDEOS = {1: tuple(range(1, 11)), 3: tuple(range(11, 21))}


def tables(evidence: Evidence) -> list[Table]:
    """The four tables; on LDV's test videos measured rows stand above the published ones.

    Returns:
      Tables 1 to 4, and before each the same of other clips where there are any.
    """
    published = read_published("ntire2021")
    others = [c for c in evidence.clips if not any(p.match(c.origin) for p in _ORIGIN.values())]
    found: list[Table] = []
    if others:
        found += [_own_fidelity(evidence, others), _own_perceptual(evidence, others)]
    found.append(_joined(evidence, published["track1"], 1, _fidelity_row))
    found.append(_joined(evidence, published["track2"], 1, _perceptual_row))
    found.append(_joined(evidence, published["track3"], 3, _fidelity_row))
    return [*found, _time(evidence), _named(published["time"], "")]


def _labels(evidence: Evidence) -> list[str]:
    return [COMPRESSED, *(m.label for m in evidence.models)]


def _mean(
    evidence: Evidence, clips: Sequence[ClipFacts], label: str, metric: str, form: str
) -> str:
    if metric in evidence.missing:
        return "missing"
    return mean_text([evidence.values.get((c, label, metric)) for c in clips], form)


def _named(table: Table, note: str) -> Table:
    return dataclasses.replace(
        table, title=f"NTIRE 2021, {table.title}", note=f"{note} {table.note}".strip()
    )


def _number(clip: ClipFacts) -> int:
    """The number of a test video, 1 to 10, as in the name of its file; 0 where there is none."""
    found = re.search(r"(\d+)$", clip.name)
    return int(found[1]) if found else 0


Row = Callable[[Evidence, Sequence[ClipFacts], Sequence[Sequence[ClipFacts]], str], list[str]]


def _fidelity_row(
    evidence: Evidence,
    clips: Sequence[ClipFacts],
    videos: Sequence[Sequence[ClipFacts]],
    label: str,
) -> list[str]:
    cells = [_mean(evidence, video, label, _PSNR, "{:.2f}") for video in videos]
    means = ((_PSNR, "{:.2f}"), (_MS_SSIM, "{:.4f}"))
    return cells + [_mean(evidence, clips, label, metric, form) for metric, form in means]


def _perceptual_row(
    evidence: Evidence,
    clips: Sequence[ClipFacts],
    videos: Sequence[Sequence[ClipFacts]],
    label: str,
) -> list[str]:
    opinions = [NONE] * (len(videos) + 1)
    return opinions + [_mean(evidence, clips, label, m, form) for m, form in _PERCEPTUAL.items()]


def _joined(evidence: Evidence, published: Table, track: int, row: Row) -> Table:
    """The published rows below what was measured on the same videos."""
    clips = [c for c in evidence.clips if _ORIGIN[track].match(c.origin)]
    first = _VIDEOS[track][0]
    videos = [[c for c in clips if _number(c) + first - 1 == n] for n in _VIDEOS[track]]
    rows: list[tuple[str, ...]] = []
    if clips:
        rows = [(f"{x} (here)", *row(evidence, clips, videos, x)) for x in _labels(evidence)]
    table = dataclasses.replace(
        published, rows=(*rows, *published.rows), strong=frozenset(range(len(rows)))
    )
    return _named(table, _what_is_there(evidence, published, track, clips))


def _what_is_there(
    evidence: Evidence, published: Table, track: int, clips: Sequence[ClipFacts]
) -> str:
    if not clips:
        return (
            f"Nothing was measured on these videos: they need LDV's test set "
            f"(python -m vqe_jax.data ldv --track {track} --source FOLDER, then --dataset ldv "
            f"--config-name track{track} --split test)."
        )
    said = f"Measured here on {len(clips)} of the 10 videos, which the averages are over."
    if any(h.startswith("MOS") for h in published.header):
        said += " Opinions were not asked for here."
        gone = [name for name in _PERCEPTUAL if name in evidence.missing]
        said += f" Missing here: {', '.join(gone)}." if gone else ""
    return said


def _own_fidelity(evidence: Evidence, clips: Sequence[ClipFacts]) -> Table:
    rows = [
        (label, *_fidelity_row(evidence, clips, [[c] for c in clips], label))
        for label in _labels(evidence)
    ]
    header = ("model", *(c.title for c in clips), "PSNR", "MS-SSIM")
    note = "PSNR in RGB on 8-bit frames, MS-SSIM its average; not the report's videos."
    return Table("Tables 1 and 3 on these clips", note, header, tuple(rows))


def _own_perceptual(evidence: Evidence, clips: Sequence[ClipFacts]) -> Table:
    rows = [(x, *_perceptual_row(evidence, clips, [], x)[1:]) for x in _labels(evidence)]
    note = f"Means over {len(clips)} clips; not the report's videos, and no opinions."
    for name, why in evidence.missing.items():
        note += f" {_NAMES.get(name, name)} is missing: {why}."
    header = ("model", *(_NAMES[name] for name in _PERCEPTUAL))
    return Table("Table 2 on these clips", note, header, tuple(rows))


def _time(evidence: Evidence) -> Table:
    """Seconds a frame by size, what ran them, what was averaged."""
    sizes = sorted({(c.height, c.width) for c in evidence.clips})
    platform = f"JAX {evidence.environment.get('jax', '')}".strip()
    device = "; ".join(v for k in ("device", "cpu") if (v := evidence.environment.get(k, "")))
    rows = []
    for model in evidence.models:
        times = [
            mean_text(
                [
                    evidence.values.get((c, model.label, SECONDS))
                    for c in evidence.clips
                    if (c.height, c.width) == size
                ],
                "{:.3g}",
            )
            for size in sizes
        ]
        networks = dict.fromkeys(f.model for f in model.choices[0].files)
        rows.append(
            (
                model.label,
                "+".join(networks),
                *times,
                platform,
                device,
                model.ensemble_text or NONE,
                f"{model.parameters:,}",
            )
        )
    header = (
        "model",
        "network",
        *(f"s/frame at {w}x{h}" for h, w in sizes),
        "Platform",
        "Device",
        "Ensemble / fusion",
        "Parameters",
    )
    note = (
        "Time of the enhancement alone, without decoding, metrics and compilation, measured here."
    )
    return Table("Table 4, measured here", note, header, tuple(rows))


_METRICS = (_PSNR, _MS_SSIM, *_PERCEPTUAL)
PAPER = Paper({"rgb": _METRICS, "luma": _METRICS}, tables)
