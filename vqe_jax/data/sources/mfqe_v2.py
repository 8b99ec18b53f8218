"""The source ``mfqe_v2``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.sources.base import CommonOptions, Plan, Source, option, recipes
from vqe_jax.data.sources.folders import drawn, find_clips, find_stream, source_folder
from vqe_jax.errors import UserError
from vqe_jax.sequences import find_sequence

__all__ = ["MfqeV2", "MfqeV2Options"]

_SETS = {"train": ("train_108", 108), "test": ("test_18", 18)}
_STREAMS = "HM16.5_LDP"
_HELP = (
    "download it as https://github.com/ryanxingql/mfqev2.0/wiki/MFQEv2-Dataset says, so that "
    "train_108/raw and test_18/raw are in that folder"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MfqeV2Options(CommonOptions):
    """Options of ``mfqe_v2``."""

    source: str | None = option(None, "folder that holds train_108 and test_18")
    encode: bool = option(False, "encode by our recipe instead of taking HM's streams")
    train_frames: int = option(300, "use only the first so many frames of a training sequence")
    val_clips: int = option(0, "training sequences kept for validation; VIG's 106 leave 2")
    partial: bool = option(False, "go on although sequences are missing")
    seed: int = option(0, "chooses the sequences kept for validation")


class MfqeV2(Source):
    """The 108 training and 18 test sequences of MFQE 2.0 (Guan et al., 2019).

    Expected are the released folders: ``train_108/raw`` and ``test_18/raw`` with
    ``NAME_WxH_N.yuv``, and beside ``raw`` the clips that the reference encoder made,
    ``HM16.5_LDP/QP37`` (22, 27, 32, 42), under the same names, as decoded ``.yuv`` or as bitstreams
    (``.bin``, ``.hevc``, ...). ``--encode`` makes the streams by our own recipe instead. Training
    uses at most the first 300 frames of a sequence, as the literature does, the test set all.
    """

    name = "mfqe_v2"
    Options = MfqeV2Options

    def plan(self, options: MfqeV2Options) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: folders, sequences or streams are missing; says where they come from.
        """
        root = source_folder(options.source, "MFQE 2.0's sequences", _HELP)
        clips = [clip for split in _SETS for clip in _sequences(root, split, options)]
        plans = []
        for config_name, qp, recipe in recipes(options):
            if options.encode:
                name = config_name if options.name else f"x265_{config_name}"
                jobs = [ClipJob(n, split, qp, origin, recipe) for n, split, origin in clips]
                text = f"MFQE 2.0's sequences encoded by {recipe}"
            else:
                name, jobs = config_name, _given(root, clips, qp, options)
                text = f"MFQE 2.0's sequences with the streams of {_STREAMS}/QP{qp}"
            if options.val_clips and not options.name:
                name += f"_val{options.val_clips}"
            plans.append(Plan(name, text, tuple(jobs)))
        return tuple(plans)


def _sequences(
    root: Path, split: str, options: MfqeV2Options
) -> list[tuple[str, str, VideoOrigin]]:
    folder, expected = _SETS[split]
    raw = root / folder / "raw"
    if not raw.is_dir():
        if options.partial:
            return []
        raise UserError(f"{raw}: no such folder; {_HELP}, or go on without it: --partial")
    found = find_clips(raw)
    if len(found) != expected and not options.partial:
        raise UserError(
            f"{raw} holds {len(found)} sequences; expected {expected}; get the others, or go on "
            "with what is there: --partial"
        )
    limit = options.frames
    if split == "train":
        limit = min(options.train_frames, limit or options.train_frames)
    kept = drawn(found, options.val_clips if split == "train" else 0, options.seed)
    return [
        (
            name,
            "val" if name in kept else split,
            VideoOrigin(str(path), limit, _rate(name, options)),
        )
        for name, path in found.items()
    ]


def _rate(name: str, options: MfqeV2Options) -> str | None:
    sequence = find_sequence(name)
    return str(sequence.frame_rate) if sequence else options.frame_rate


def _given(
    root: Path, clips: list[tuple[str, str, VideoOrigin]], qp: int | None, options: MfqeV2Options
) -> list[ClipJob]:
    if options.recipe != "low_delay_p":
        raise UserError("HM's streams have a fixed QP; for another recipe add --encode")
    jobs, missing = [], []
    for name, split, origin in clips:
        folder = root / _SETS["test" if split == "test" else "train"][0] / _STREAMS / f"QP{qp}"
        stream = find_stream(folder, name)
        if stream is None:
            missing.append(str(folder / name))
            continue
        jobs.append(ClipJob(name, split, qp, origin, compressed=str(stream)))
    if missing and (not options.partial or not jobs):
        raise UserError(
            f"{len(missing)} streams are missing, such as {missing[0]}.yuv (or .bin); get them "
            "(see above), leave those sequences out (--partial), or encode them here (--encode)"
        )
    return jobs
