"""Finding clips in folders, and the streams that belong to them."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vqe_jax.errors import UserError, near_misses

__all__ = [
    "VIDEO_SUFFIXES",
    "by_name",
    "drawn",
    "find_clips",
    "find_stream",
    "keep",
    "kept_for_validation",
    "source_folder",
]

_CONTAINERS = ".mkv .mp4 .mov .m4v .avi .webm .mpg .mpeg .ts .m2ts .mts .wmv .flv .ogv .3gp .mxf"
_RAW = ".yuv .y4m"
_BITSTREAMS = ".hevc .h265 .265 .h264 .264 .bin .ivf .obu"
VIDEO_SUFFIXES = frozenset(f"{_CONTAINERS} {_RAW} {_BITSTREAMS}".split())


def source_folder(source: str | None, what: str, help: str) -> Path:
    """The folder that ``--source`` names.

    Args:
      what: is expected in it.
      help: where that comes from.

    Raises:
      UserError: none was named, or it does not exist.
    """
    if source is None or not Path(source).is_dir():
        raise UserError(f"--source {source}: no folder with {what}; {help}")
    return Path(source)


def find_clips(folder: str | Path) -> dict[str, Path]:
    """All clips in a folder and the folders in it: video files, and folders of PNG frames.

    Args:
      folder: to look in; or a single video.

    Returns:
      Paths by name (the path within the folder without its suffix, ``/`` as ``_``), sorted.

    Raises:
      UserError: there is no such folder, no clip in it, or two of the same name.
    """
    root = Path(folder)
    if not root.exists():
        raise UserError(f"{root}: no such folder; expected videos in it (--source)")
    if root.is_file():
        return {root.stem: root}
    found = by_name(root, lambda p: _is_video(p) or (p.is_dir() and any(p.glob("*.png"))))
    if not found:
        raise UserError(f"{root} holds no videos; expected files such as .mp4, .mkv, .yuv or .y4m")
    return found


def _is_video(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES


def by_name(root: Path, wanted: Callable[[Path], bool]) -> dict[str, Path]:
    """What is wanted of a folder and the folders in it; what is hidden (``.NAME``) is left out.

    Returns:
      Paths by name, as of :func:`find_clips`.

    Raises:
      UserError: two have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if any(part.startswith(".") for part in name.parts) or not wanted(path):
            continue
        key = "_".join(name.parts if path.is_dir() else name.with_suffix("").parts)
        if key in found:
            raise UserError(f"{found[key]} and {path} have the same name; rename one of them")
        found[key] = path
    return found


def keep(
    clips: dict[str, Path], include: Sequence[str], exclude: Sequence[str], what: str = "clip"
) -> dict[str, Path]:
    """Chooses clips by name.

    Args:
      include: patterns such as ``bear*``; none: everything.
      exclude: patterns of what is left out all the same.

    Raises:
      UserError: a pattern fits no clip, or nothing is left.
    """
    for pattern in (*include, *exclude):
        if not fnmatch.filter(clips, pattern):
            raise UserError(f"no {what} is named {pattern!r}{near_misses(pattern, clips)}")
    kept = {
        name: path
        for name, path in clips.items()
        if (not include or _fits(name, include)) and not _fits(name, exclude)
    }
    if not kept:
        raise UserError(f"no {what} is left by --include and --exclude")
    return kept


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def kept_for_validation(names: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """Chooses a share of clips, at least one of several; depends on names and seed alone.

    Args:
      share: in [0, 1).

    Raises:
      UserError: no such share.
    """
    names = list(names)
    if not 0 <= share < 1:
        raise UserError(f"--val-fraction {share} is not a share between 0 and 1")
    wanted = round(len(names) * share)
    if share > 0 and len(names) > 1:
        wanted = max(1, wanted)
    return drawn(names, wanted, seed)


def drawn(names: Iterable[str], count: int, seed: int) -> frozenset[str]:
    """So many of the names; depends on names and seed alone."""

    def order(name: str) -> bytes:
        return hashlib.sha256(f"{seed} {name}".encode()).digest()

    return frozenset(sorted(names, key=order)[:count])


def find_stream(folder: Path, name: str, stem: str | None = None) -> Path | None:
    """The compressed stream of a clip: ``NAME.hevc`` (any suffix), or ``NAME/STEM.hevc``.

    Args:
      stem: of the file in the clip's own folder; None: the only file there.

    Raises:
      UserError: several fit.
    """
    if stem is None and any((folder / name).glob("*.png")):
        return folder / name
    inside = [p for p in sorted((folder / name).glob("*")) if stem is None or p.stem == stem]
    beside = [p for p in sorted(folder.glob("*")) if p.stem == name and p.is_file()]
    found = [p for p in (*beside, *inside) if p.suffix.lower() in VIDEO_SUFFIXES]
    if len(found) > 1:
        listed = ", ".join(str(p.relative_to(folder)) for p in found)
        raise UserError(f"{folder} has several streams of {name}: {listed}; say which with --stem")
    return found[0] if found else None
