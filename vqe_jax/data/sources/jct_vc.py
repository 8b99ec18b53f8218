"""The source ``jct_vc``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.sources.base import CommonOptions, Plan, Source, option, recipes
from vqe_jax.data.sources.folders import find_clips, find_stream, source_folder
from vqe_jax.errors import UserError
from vqe_jax.sequences import SEQUENCES, find_sequence

__all__ = ["JctVc", "JctVcOptions"]

_HELP = (
    "JCT-VC keeps the sequences at ftp.tnt.uni-hannover.de/testsequences; they are also test_18 of "
    "MFQE 2.0 (https://github.com/ryanxingql/mfqev2.0/wiki/MFQEv2-Dataset)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JctVcOptions(CommonOptions):
    """Options of ``jct_vc``."""

    source: str | None = option(None, "folder of the .yuv files")
    compressed_source: str | None = option(None, "folder of existing streams, by QP or not")
    partial: bool = option(False, "go on although sequences are missing")


class JctVc(Source):
    """The 18 common test sequences of JCT-VC, classes A to E.

    Expected is a folder with the ``.yuv`` files under the names of JCT-VC
    (``Kimono1_1920x1080_24``) or of MFQE 2.0 (``Kimono_1920x1080_240``), in any folders below. They
    are encoded at the QPs asked for, or paired with existing streams (``--compressed-source``, with
    ``QP37`` and so on in it where there are several QPs). The class of a pair follows from its name
    (:func:`vqe_jax.sequences.find_sequence`).
    """

    name = "jct_vc"
    Options = JctVcOptions

    def plan(self, options: JctVcOptions) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: sequences or streams are missing; says where they come from.
        """
        root = source_folder(options.source, "JCT-VC's sequences", _HELP)
        found = {s: p for p in find_clips(root).values() if (s := find_sequence(p.name))}
        missing = [s.title for s in SEQUENCES if s not in found]
        if missing and (not options.partial or not found):
            raise UserError(
                f"{options.source} lacks {len(missing)} of 18 sequences ({', '.join(missing[:4])}, "
                f"...); {_HELP}; or go on with what is there: --partial"
            )
        origins = {
            s.title: (p, VideoOrigin(str(p), options.frames, str(s.frame_rate)))
            for s in SEQUENCES
            if (p := found.get(s))
        }
        plans = []
        for config_name, qp, recipe in recipes(options):
            if options.compressed_source:
                jobs = _given(Path(options.compressed_source), origins, qp)
                text = f"JCT-VC's sequences with the streams of {options.compressed_source}"
            else:
                jobs = [
                    ClipJob(n, "test", qp, origin, recipe) for n, (_, origin) in origins.items()
                ]
                text = f"JCT-VC's sequences encoded by {recipe}"
                config_name = config_name if options.name else f"x265_{config_name}"
            plans.append(Plan(config_name, text, tuple(jobs)))
        return tuple(plans)


def _given(
    folder: Path, origins: dict[str, tuple[Path, VideoOrigin]], qp: int | None
) -> list[ClipJob]:
    by_qp = folder / f"QP{qp}"
    folder = by_qp if by_qp.is_dir() else folder
    jobs = []
    for name, (path, origin) in origins.items():
        stream = find_stream(folder, path.stem) or find_stream(folder, name)
        if stream is None:
            raise UserError(f"{folder} has no stream named {path.stem} or {name}")
        jobs.append(ClipJob(name, "test", qp, origin, compressed=str(stream)))
    return jobs
