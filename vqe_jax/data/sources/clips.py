"""The source ``clips``."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.sources.base import AugmentedOptions, Plan, Source, option, plans_of
from vqe_jax.data.sources.folders import find_clips, find_stream, keep, kept_for_validation
from vqe_jax.errors import UserError

__all__ = ["Clips", "ClipsOptions"]

_SPLITS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipsOptions(AugmentedOptions):
    """Options of ``clips``."""

    source: str | None = option(None, "folder of videos, taken as raw")
    val_source: str | None = option(None, "folder of videos for validation")
    val_fraction: float = option(0.1, "share of the clips kept for validation without one")
    split: str | None = option(None, "put every clip into this one split")
    include: tuple[str, ...] = option(
        (), "only clips of --source whose name fits one of these patterns"
    )
    exclude: tuple[str, ...] = option((), "not the clips of --source whose name fits one of these")
    compressed_source: str | None = option(
        None, "folder of existing streams: NAME.hevc, or NAME/STEM.hevc"
    )
    stem: str | None = option(None, "of the existing streams in folders of their own")
    skip_missing: bool = option(False, "leave out clips without an existing stream")


class Clips(Source):
    """Any folder of videos, taken as raw and encoded at the QPs asked for.

    ``python -m vqe_jax.data clips --source my_videos --qp 37`` is all it takes. The videos should
    be as good as they come: what the encoder of the camera did to them, a network cannot learn to
    undo. The folder may hold ``train`` and ``val`` (and ``test``) folders; else one clip in ten,
    chosen by name and seed, is kept for validation. ``--augment 3`` adds three variants of every
    training clip, changed before they are encoded. ``--compressed-source`` takes streams that exist
    already instead of encoding.
    """

    name = "clips"
    Options = ClipsOptions

    def plan(self, options: ClipsOptions) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: no videos, streams that are missing, options that contradict each other.
        """
        if options.source is None:
            raise UserError("where are the videos? give their folder: --source my_videos")
        clips = _split(options)
        if options.compressed_source:
            return (_given(options, clips),)
        return plans_of(options, clips, str(options.source))


def _split(options: ClipsOptions) -> list[tuple[str, str, VideoOrigin]]:
    """Name, split and origin of each clip."""
    root = Path(str(options.source))
    folders = {split: root / split for split in _SPLITS if (root / split).is_dir()}

    def chosen(clips: dict[str, Path]) -> dict[str, Path]:
        return keep(clips, options.include, options.exclude)

    if options.split:
        by_split = {options.split: chosen(find_clips(root))}
    elif options.val_source:
        # Validation clips that were named on purpose are all taken.
        by_split = {"train": chosen(find_clips(root)), "val": find_clips(options.val_source)}
    elif len(folders) > 1:
        found = {split: find_clips(folder) for split, folder in folders.items()}
        kept = chosen({name: path for clips in found.values() for name, path in clips.items()})
        by_split = {s: {n: p for n, p in c.items() if n in kept} for s, c in found.items()}
    else:
        # Chosen before they are split, so that a share of what is left goes to validation.
        clips = chosen(find_clips(root))
        val = kept_for_validation(clips, options.val_fraction, options.seed)
        by_split = {
            split: {n: p for n, p in clips.items() if (n in val) == (split == "val")}
            for split in ("train", "val")
        }
    counts = collections.Counter(name for clips in by_split.values() for name in clips)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise UserError(f"{twice[0]!r} is the name of clips in two splits; rename one of the files")
    return [
        (name, split, VideoOrigin(str(path), options.frames, options.frame_rate))
        for split, clips in by_split.items()
        for name, path in clips.items()
    ]


def _given(options: ClipsOptions, clips: list[tuple[str, str, VideoOrigin]]) -> Plan:
    """Pairs of the clips and of streams that exist."""
    if options.augment:
        raise UserError("--augment changes clips before they are encoded; not with given streams")
    if len(options.qp) != 1:
        raise UserError("--compressed-source takes one --qp, that of the streams")
    folder = Path(str(options.compressed_source))
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected streams in it (--compressed-source)")
    jobs, missing = [], []
    for name, split, origin in clips:
        stream = find_stream(folder, name, options.stem)
        if stream is None:
            missing.append(name)
            continue
        jobs.append(ClipJob(name, split, options.qp[0], origin, compressed=str(stream)))
    if missing and (not options.skip_missing or not jobs):
        listed = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise UserError(
            f"{folder} has no stream of {len(missing)} clips ({listed}); add them, or leave the "
            "clips out with --skip-missing"
        )
    config_name = options.name or options.stem or folder.name
    return Plan(config_name, f"{options.source} with the streams of {folder}", tuple(jobs))
