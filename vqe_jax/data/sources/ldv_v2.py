"""The source ``ldv_v2``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.sources.base import CommonOptions, Plan, Source, option
from vqe_jax.data.sources.folders import find_clips
from vqe_jax.errors import UserError

__all__ = ["LdvV2", "LdvV2Options"]

_HELP = "download track 1's archives from https://github.com/RenYang-home/LDV_dataset, unpack each"
# (raw, compressed, videos) by split: the names of the archives.
_ARCHIVES = {
    "train": ("train_gt", "train_QP37", 240),
    "val": ("track1_val_gt", "validation_track1", 15),
    "test": ("track1_test_gt", "test_track1", 15),
}
_QP = 37


@dataclasses.dataclass(frozen=True, kw_only=True)
class LdvV2Options(CommonOptions):
    """Options of ``ldv_v2``."""

    source: str | None = option(None, "folder that holds train_gt, train_QP37 and the others")
    encode: bool = option(False, "encode by our recipe instead of taking the given streams")
    partial: bool = option(False, "go on although videos are missing")


class LdvV2(Source):
    """LDV 2.0, the videos of NTIRE 2022 (Yang, Timofte et al., 2022), track 1.

    The raw videos are paired with HM 16.20's low-delay P streams at QP 37: 240 train (all of the
    first LDV), 15 validate and 15 test, which is where PowerVQE publishes its results in RGB.
    Expected are the unpacked archives side by side in one folder, each in a folder of its name:
    ``train_gt``, ``train_QP37``, ``track1_val_gt``, ``validation_track1``, ``track1_test_gt`` and
    ``test_track1``; videos are paired by their names, ``001`` and so on. ``--partial`` takes what
    is there, the test set alone for example. ``--encode`` makes the streams by our own recipe.
    """

    name = "ldv_v2"
    Options = LdvV2Options
    presets: ClassVar[dict[str, dict[str, Any]]] = {f"qp{_QP}": {}}

    def plan(self, options: LdvV2Options) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: folders, videos or streams are missing.
        """
        root = Path(options.source or "")
        if options.source is None or not root.is_dir():
            raise UserError(
                f"--source {options.source}: no folder with LDV 2.0's videos; {_HELP} there"
            )
        jobs = [job for split in _ARCHIVES for job in _jobs(root, split, options)]
        if not jobs:
            raise UserError(f"{root} holds none of LDV 2.0's folders; {_HELP} there")
        name = options.name or f"{'x265_' if options.encode else ''}qp{_QP}"
        return (Plan(name, "LDV 2.0, track 1 of NTIRE 2022", tuple(jobs)),)


def _jobs(root: Path, split: str, options: LdvV2Options) -> list[ClipJob]:
    raw, compressed, expected = _ARCHIVES[split]
    clips = _by_number(root / raw)
    if len(clips) != expected and not options.partial:
        raise UserError(
            f"{root / raw} holds {len(clips)} videos; expected {expected}; {_HELP} there, or go on "
            "with what is there: --partial"
        )
    streams = {} if options.encode else _by_number(root / compressed)
    jobs = []
    for number, path in clips.items():
        origin = VideoOrigin(str(path), options.frames, options.frame_rate)
        made = ClipJob(f"{split}_{number}", split, _QP, origin, Recipe("low_delay_p", _QP))
        if number in streams:
            made = dataclasses.replace(made, recipe=None, compressed=str(streams[number]))
        elif not options.encode:
            if options.partial:
                continue
            raise UserError(f"{root / compressed} has no stream of video {number}; {_HELP} there")
        jobs.append(made)
    return jobs


def _by_number(folder: Path) -> dict[str, Path]:
    """The videos in a folder, however deep an archive has put them."""
    found = find_clips(folder).values() if folder.is_dir() else ()
    return {path.stem: path for path in found}
