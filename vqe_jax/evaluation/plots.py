"""The pictures of a report: curves over frames, rate-distortion, before and after."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.metrics import Protocol

__all__ = ["available", "draw", "strip"]

Save = Callable[[str, Callable[[Path], None]], None]

# Shown for the clips that stand first in the tables; a data set of hundreds needs no more.
_MOST = 24


def available() -> bool:
    """Whether matplotlib is installed (``pip install vqe-jax[plots]``)."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def draw(
    results: Sequence[ClipResult],
    models: Sequence[EvalModel],
    protocols: Sequence[Protocol],
    save: Save,
) -> list[tuple[str, str]]:
    """Draws everything; nothing without matplotlib.

    Args:
      protocols: the first one measured in dB is drawn.
      save: takes a file's name and a function that writes it.

    Returns:
      Name and title of each picture.
    """
    if not available():
        return []
    made: list[tuple[str, str]] = []

    def keep(name: str, title: str, figure: Any) -> None:
        save(name, lambda part: figure.savefig(part, format="png", dpi=100))
        made.append((name, title))

    protocol = next((p for p in protocols if p.quantity == "psnr"), protocols[0])
    labels = [s.label for s in models]
    results = sorted(results, key=lambda r: r.clip.facts.order)
    results = [r for r in results if protocol.name in r.values]
    for r in results[:_MOST]:
        known = "" if r.clip.qp is None else f"_qp{r.clip.qp}"
        stem = re.sub(r"[^\w.-]+", "_", r.clip.name + known)
        keep(
            f"{stem}_frames.png", f"{protocol.name} over frames", _over_frames(r, protocol, labels)
        )
        keep(f"{stem}_crops.png", "before and after", _crops(r, labels))
    for name, curves in _by_name(results).items():
        if len(curves) > 1:
            stem = re.sub(r"[^\w.-]+", "_", name)
            figure = _rate_distortion(name, curves, protocol, labels)
            keep(f"{stem}_rate.png", "rate-distortion", figure)
    return made


def _figure(width: float, height: float) -> Any:
    # Figure itself, not pyplot: no global state, no display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _over_frames(result: ClipResult, protocol: Protocol, labels: Sequence[str]) -> Any:
    """A metric over time, as in RFDA's Fig. 5."""
    figure = _figure(8.0, 3.5)
    axes = figure.subplots()
    for column in (COMPRESSED, *labels):
        style = {"color": "0.6"} if column == COMPRESSED else {}
        axes.plot(result.values[protocol.name][column], label=column, linewidth=1.2, **style)
    axes.set(title=_title(result), xlabel="frame", ylabel=_axis(protocol))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


def _rate_distortion(
    name: str, results: Sequence[ClipResult], protocol: Protocol, labels: Sequence[str]
) -> Any:
    figure = _figure(5.0, 4.0)
    axes = figure.subplots()
    ordered = sorted(results, key=lambda r: r.clip.kbps)
    for column in (COMPRESSED, *labels):
        means = [r.values[protocol.name][column].mean() for r in ordered]
        style = {"color": "0.6"} if column == COMPRESSED else {}
        axes.plot([r.clip.kbps for r in ordered], means, marker="o", label=column, **style)
    axes.set(title=name, xlabel="kbit/s", ylabel=_axis(protocol))
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


def _crops(result: ClipResult, labels: Sequence[str]) -> Any:
    shown = {column: result.crops[column] for column in (COMPRESSED, *labels, "raw")}
    return strip(shown, f"{_title(result)}, frame {result.clip.count // 2}", (2.6, 3.0))


def strip(pictures: Mapping[str, np.ndarray], title: str, size: tuple[float, float]) -> Any:
    """A figure of pictures side by side.

    Args:
      pictures: name -> ``[h, w, 1]`` or ``[h, w, 3]`` in [0, 1].
      size: width and height for each of them, in inches.
    """
    width, height = size
    figure = _figure(width * len(pictures), height)
    row = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axes, (name, picture) in zip(row, pictures.items(), strict=True):
        axes.imshow(_shown(picture), cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize="small")
        axes.axis("off")
    figure.suptitle(title, fontsize="small")
    return figure


def _shown(picture: np.ndarray) -> np.ndarray:
    clipped = np.clip(picture, 0, 1)
    return clipped.squeeze(-1) if clipped.shape[-1] == 1 else clipped


def _by_name(results: Sequence[ClipResult]) -> dict[str, list[ClipResult]]:
    groups: dict[str, list[ClipResult]] = {}
    for r in results:
        if r.clip.kbps > 0:
            groups.setdefault(r.clip.name, []).append(r)
    return groups


def _title(result: ClipResult) -> str:
    clip = result.clip
    return clip.name if clip.qp is None else f"{clip.name}, QP {clip.qp}"


def _axis(protocol: Protocol) -> str:
    return f"{protocol.name} (dB)" if protocol.quantity == "psnr" else protocol.name
