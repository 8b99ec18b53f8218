"""The source ``ldv``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.sources.base import CommonOptions, Plan, Source, option
from vqe_jax.data.sources.folders import find_clips, find_stream
from vqe_jax.errors import UserError

__all__ = ["Ldv", "LdvOptions"]

_HELP = "download the archives from https://github.com/RenYang-home/NTIRE21_VEnh and unpack them"
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
        root = Path(options.source or "")
        if options.source is None or not root.is_dir():
            raise UserError(
                f"--source {options.source}: no folder with LDV's videos; {_HELP} there"
            )
        if options.name and len(options.track) > 1:
            raise UserError("--name names one configuration; give a single --track with it")
        return tuple(_plan_track(root, track, options) for track in options.track)


def _plan_track(root: Path, track: int, options: LdvOptions) -> Plan:
    if track not in (1, 2, 3):
        raise UserError(f"track {track} is not one of 1, 2, 3")
    recipe = Recipe("two_pass", 200) if track == 3 else Recipe("low_delay_p", 37)
    jobs: list[ClipJob] = []
    for split in _FIXED_QP:
        jobs += _jobs(root, split, track, recipe, options)
    if not jobs:
        raise UserError(f"{root} holds none of LDV's folders; {_HELP} there")
    name = f"track{track}" + ("_190_10" if options.split_190_10 else "")
    name = options.name or ("x265_" + name if options.encode else name)
    return Plan(name, f"LDV, track {track} of NTIRE 2021", tuple(jobs))


def _jobs(root: Path, split: str, track: int, recipe: Recipe, options: LdvOptions) -> list[ClipJob]:
    raw, compressed, expected = (_FIXED_RATE if track == 3 else _FIXED_QP)[split]
    clips = find_clips(root / raw) if (root / raw).is_dir() else {}
    if len(clips) != expected and not options.partial:
        raise UserError(
            f"{root / raw} holds {len(clips)} videos; expected {expected}; {_HELP} there, or go on "
            "with what is there: --partial"
        )
    qp = None if track == 3 else 37
    jobs = []
    for name, path in clips.items():
        origin = VideoOrigin(str(path), options.frames, options.frame_rate)
        # The three sets count their videos from 001 each.
        made = ClipJob(f"{split}_{name}", _split(split, name, options), qp, origin, recipe)
        if not options.encode:
            stream = find_stream(root / compressed, name)
            if stream is None:
                if options.partial:
                    continue
                raise UserError(f"{root / compressed} has no stream of video {name}; {_HELP}")
            made = dataclasses.replace(made, recipe=None, compressed=str(stream))
        jobs.append(made)
    return jobs


def _split(split: str, name: str, options: LdvOptions) -> str:
    if not options.split_190_10 or split == "test":
        return split
    if split == "val":
        return "official_val"
    return "val" if name in _HELD_OUT else "train"
