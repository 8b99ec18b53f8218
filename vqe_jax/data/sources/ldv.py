"""The sources ``ldv`` and ``ldv_v2``: the videos of the NTIRE challenges of 2021 and 2022."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.sources.base import CommonOptions, Plan, Source, option
from vqe_jax.data.sources.folders import find_clips, find_stream, source_folder
from vqe_jax.errors import UserError

__all__ = ["Ldv", "LdvOptions", "LdvV2", "LdvV2Options"]

_HELP = (
    "download the archives from https://github.com/RenYang-home/NTIRE21_VEnh and unpack them there"
)
_HELP_V2 = (
    "download track 1's archives from https://github.com/RenYang-home/LDV_dataset, unpack each "
    "there"
)
# (raw, compressed, videos) by split; the number in the test set's name is the track's.
_FIXED_QP = {
    "train": ("training_raw", "training_fixed-QP", 200),
    "val": ("validation_raw", "validation_fixed-QP", 20),
    "test": ("test_raw_1", "test_fixed-QP_release", 10),
}
_FIXED_RATE = {
    "train": ("training_raw", "training_fixed-rate", 200),
    "val": ("validation_raw", "validation_fixed-rate", 20),
    "test": ("test_raw_2", "test_fixed-rate_release", 10),
}
# The same of LDV 2.0: the names of the archives.
_ARCHIVES = {
    "train": ("train_gt", "train_QP37", 240),
    "val": ("track1_val_gt", "validation_track1", 15),
    "test": ("track1_test_gt", "test_track1", 15),
}
_QP = 37
_RECIPE = Recipe("low_delay_p", _QP)
_HELD_OUT = frozenset(f"{number:03d}" for number in range(1, 200, 20))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LdvOptions(CommonOptions):
    """Options of ``ldv``."""

    source: str | None = option(None, "folder that holds training_raw and the others")
    track: tuple[int, ...] = option((1,), "tracks of the challenge, 1 to 3; a configuration each")
    split_190_10: bool = option(False, "validate on ten of the training videos, as ASTF does")
    encode: bool = option(False, "encode by our recipes instead of taking the given streams")
    partial: bool = option(False, "go on although videos are missing")


class Ldv(Source):
    """The LDV videos of the NTIRE 2021 challenge (Yang and Timofte, 2021), tracks 1 to 3.

    Tracks 1 and 2 pair the raw videos with HM 16.20's low-delay P streams at QP 37, track 3 with
    x265's two-pass streams at 200 kbit/s. Expected are the unpacked archives of the challenge side
    by side in one folder: ``training_raw``, ``training_fixed-QP``, ``training_fixed-rate``, the
    same with ``validation``, and the test sets ``test_raw_1``, ``test_fixed-QP_release``,
    ``test_raw_2``, ``test_fixed-rate_release``. 200 videos train, 20 validate; each track has a
    test set of 10. With ``--split-190-10`` the 10 training videos 001, 021, ..., 181 validate
    instead, as ASTF has it, and the 20 are the split ``official_val``. ``--encode`` makes the
    streams by our own recipes.
    """

    name = "ldv"
    Options = LdvOptions
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        f"track{track}{suffix}": {"track": (track,), "split_190_10": bool(suffix)}
        for track in (1, 2, 3)
        for suffix in ("", "_190_10")
    }

    def plan(self, options: LdvOptions) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: folders, videos or streams are missing, or there is no such track.
        """
        root = source_folder(options.source, "LDV's videos", _HELP)
        if options.name and len(options.track) > 1:
            raise UserError("--name names one configuration; give a single --track with it")
        return tuple(_plan_track(root, track, options) for track in options.track)


def _plan_track(root: Path, track: int, options: LdvOptions) -> Plan:
    if track not in (1, 2, 3):
        raise UserError(f"track {track} is not one of 1, 2, 3")
    recipe = Recipe("two_pass", 200) if track == 3 else _RECIPE
    jobs: list[ClipJob] = []
    for split in _FIXED_QP:
        jobs += _jobs(root, split, track, recipe, options)
    if not jobs:
        raise UserError(f"{root} holds none of LDV's folders; {_HELP}")
    name = f"track{track}" + ("_190_10" if options.split_190_10 else "")
    name = options.name or ("x265_" + name if options.encode else name)
    return Plan(name, f"LDV, track {track} of NTIRE 2021", tuple(jobs))


@dataclasses.dataclass(frozen=True)
class _Folders:
    """Where the videos of one split lie."""

    raw: Path
    compressed: Path
    videos: int
    help: str

    def pairs(
        self,
        clips: Mapping[str, Path],
        stream_of: Callable[[str], Path | None],
        recipe: Recipe,
        options: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Names and fields of :class:`ClipJob`: the given streams, or with ``--encode`` the recipe.

        Raises:
          UserError: without ``--partial``, where videos or streams are missing.
        """
        if len(clips) != self.videos and not options.partial:
            raise UserError(
                f"{self.raw} holds {len(clips)} videos; expected {self.videos}; {self.help}, or go "
                "on with what is there: --partial"
            )
        for name, path in clips.items():
            origin = VideoOrigin(str(path), options.frames, options.frame_rate)
            if options.encode:
                yield name, {"origin": origin, "recipe": recipe}
            elif stream := stream_of(name):
                yield name, {"origin": origin, "compressed": str(stream)}
            elif not options.partial:
                raise UserError(f"{self.compressed} has no stream of video {name}; {self.help}")


def _jobs(root: Path, split: str, track: int, recipe: Recipe, options: LdvOptions) -> list[ClipJob]:
    raw, compressed, videos = (_FIXED_RATE if track == 3 else _FIXED_QP)[split]
    folders = _Folders(root / raw, root / compressed, videos, _HELP)
    clips = find_clips(folders.raw) if folders.raw.is_dir() else {}
    stream_of = functools.partial(find_stream, folders.compressed)
    qp = None if track == 3 else _QP
    return [
        # The three sets count their videos from 001 each.
        ClipJob(f"{split}_{name}", _split(split, name, options), qp, **made)
        for name, made in folders.pairs(clips, stream_of, recipe, options)
    ]


def _split(split: str, name: str, options: LdvOptions) -> str:
    if not options.split_190_10 or split == "test":
        return split
    if split == "val":
        return "official_val"
    return "val" if name in _HELD_OUT else "train"


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
        root = source_folder(options.source, "LDV 2.0's videos", _HELP_V2)
        jobs = [job for split in _ARCHIVES for job in _jobs_v2(root, split, options)]
        if not jobs:
            raise UserError(f"{root} holds none of LDV 2.0's folders; {_HELP_V2}")
        name = options.name or f"{'x265_' if options.encode else ''}qp{_QP}"
        return (Plan(name, "LDV 2.0, track 1 of NTIRE 2022", tuple(jobs)),)


def _jobs_v2(root: Path, split: str, options: LdvV2Options) -> list[ClipJob]:
    raw, compressed, videos = _ARCHIVES[split]
    folders = _Folders(root / raw, root / compressed, videos, _HELP_V2)
    streams = _by_number(folders.compressed)
    pairs = folders.pairs(_by_number(folders.raw), streams.get, _RECIPE, options)
    return [ClipJob(f"{split}_{name}", split, _QP, **made) for name, made in pairs]


def _by_number(folder: Path) -> dict[str, Path]:
    """The videos in a folder, however deep an archive has put them."""
    found = find_clips(folder).values() if folder.is_dir() else ()
    return {path.stem: path for path in found}
