"""A walk through a file's packets, before any work begins: are there holes, jumps or damage?

Nothing is decoded, so this takes seconds for an hour of video. What is found is said with a count;
a player would pass over it without a word.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vqe_jax.video.asf import asf_faults
from vqe_jax.video.checksums import ends_in_zeros
from vqe_jax.video.matroska import matroska_faults
from vqe_jax.video.mp4 import mp4_faults
from vqe_jax.video.nut import nut_faults
from vqe_jax.video.ogg import ogg_faults
from vqe_jax.video.tags import broken_tags
from vqe_jax.video.tail import no_whole_picture_at_the_end
from vqe_jax.video.transport import stream_faults
from vqe_jax.video.truncation import has_no_end
from vqe_jax.video.walk import ENDLESS, Found

__all__ = ["BREAKS_OFF", "survey"]

BREAKS_OFF = "does not end with a whole picture"

_REGULAR = 0.8  # of the steps are alike in a video of one frame rate
_FEW = 4  # steps that tell nothing
_APART = 0.25  # of a step: what is not shown has no time to itself
_FROM_ZERO = ("matroska,webm", "nut")  # as FFmpeg writes their length, whenever they begin
_NO_ZEROS = ("hevc", "h264", "mpegvideo", "m4v", "obu", "mpegts", "mpeg", "ivf")


def _holes(times: list[int], unit: float) -> str:
    """The sentence about frames that are missing from a regular video; empty if there are none."""
    ticks = np.unique(np.asarray(times, np.int64))
    steps = np.diff((ticks - ticks[0]).astype(np.float64))
    if len(steps) < _FEW:
        return ""
    usual = float(np.median(steps)) or 1.0
    tolerance = max(1.5, 0.1 * usual)
    if np.mean(np.abs(steps - usual) <= tolerance) < _REGULAR:
        return ""
    wide = np.flatnonzero(steps > 1.5 * usual + 1)
    if not len(wide):
        return ""
    missing = int(sum(round(steps[i] / usual) - 1 for i in wide))
    first = _clock(float(np.sum(steps[: wide[0] + 1])) * unit)
    return f"{missing} frames seem to be missing at {len(wide)} places, the first at {first}"


def _hidden(times: list[int], unseen: list[int]) -> int:
    """How many pictures are not to be shown, though no other one has their time."""
    shown = np.unique(np.asarray(times, np.int64)).astype(np.float64)
    if len(shown) < 2:
        return 0
    far = _APART * float(np.median(np.diff(shown)))
    apart = [float(np.min(np.abs(shown - stamp))) for stamp in unseen]
    return sum(distance > far for distance in apart)


def _clock(seconds: float) -> str:
    """As 0:01:02.5; damaged files have times beyond all years."""
    try:
        return str(datetime.timedelta(seconds=round(seconds, 2)))
    except OverflowError:
        return f"{seconds:.3g} s"


def _ends(path: Path, found: Found) -> Iterator[str]:
    """Whether the end is where it should be, and what a walk to it tells of all the file."""
    if has_no_end(path):
        yield f"{path} has no proper end; is it cut short?"
    for faults in (stream_faults, matroska_faults, mp4_faults, nut_faults, ogg_faults):
        yield from faults(path)
    yield from asf_faults(path, found.stream, found.packets)
    if broken := broken_tags(path):
        yield f"{path} is damaged: its tags do not follow one another at {broken} places"
    if found.kind in ENDLESS and no_whole_picture_at_the_end(
        found.codec, found.height, list(found.tail)
    ):
        yield f"{path} {BREAKS_OFF}; is it cut short?"
    if missing := found.places.missing():
        yield f"{path}: {missing} frames are missing, as the others are counted"
    for kind, words in (("audio", "sounds"), ("video", "videos")):
        if count := found.silent.count(kind):
            yield (
                f"{path}: {count} of its {words} hold nothing, though its header names them; "
                "is it cut short or damaged?"
            )
    if found.kind in _NO_ZEROS and ends_in_zeros(path):
        yield f"{path} ends in zeros; is it a download that was not finished?"
    if 0 < found.present < found.promised:
        yield (
            f"{path} should have {found.promised} frames, as its header says, and has "
            f"{found.present}; is it cut short or damaged?"
        )
    elif found.times and not found.jumps:
        late = found.kind in _FROM_ZERO and found.first > 0
        lasts = found.end - (0.0 if late else max(0.0, found.first))
        one = lasts / max(1, len(found.times))
        some = 3 * one
        if found.longest:  # where few frames are left, their places say little of how long one is
            some = min(some, 6 * found.longest)
        few = 0.6 * one if found.kind == "ivf" else max(some, 0.01 * found.length)
        if found.length - lasts > few:
            yield (
                f"{path} should last {_clock(found.length)}, as its header says, and lasts "
                f"{_clock(lasts)}; is it cut short or damaged?"
            )


def survey(path: Path, found: Found, *, whole: bool) -> list[str]:
    """What is odd about a file, one line each.

    Args:
      found: on a walk through it.
      whole: whether that went to the end.
    """
    said = []
    if found.complaints:
        first, count = found.complaints[0], len(found.complaints)
        more = f" (and {count - 1} more)" if count > 1 else ""
        said.append(f"{path} is damaged, FFmpeg says: {first}{more}")
    if found.corrupt and not found.complaints:
        said.append(f"{path}: {found.corrupt} packets of the picture are marked as damaged")
    if found.times and (holes := _holes(found.times, float(found.base))):
        said.append(f"{path}: {holes}; the file may be damaged or cut there")
    if found.unseen and (count := _hidden(found.times, found.unseen)):
        said.append(f"{path}: {count} frames say that they are not to be shown; is it damaged?")
    if found.late:
        said.append(
            f"{path}: {len(found.late)} more streams ({', '.join(found.late)}) begin in its midst; "
            "they are left out, or the file is damaged there"
        )
    late = sum(stamp > max(found.times, default=0) for stamp in found.hidden)
    if late and late >= len(
        found.times
    ):  # a cut in a phone hides some; a damaged number nearly all
        said.append(
            f"{path}: its edit list hides {late} frames at the end and shows {len(found.times)}; "
            "is it damaged?"
        )
    if found.keyless and found.kind not in ENDLESS:  # what decoders say of those is counted
        said.append(
            f"{path}: {found.keyless} frames come before the first key frame; they refer to "
            "what is not there"
        )
    if found.jumps:
        said.append(f"{path}: its clock jumps {found.jumps} times; time goes on there")
    if whole:
        said += _ends(path, found)
    silent = found.sound_end - found.picture_end
    few = 3 * found.picture_end / max(1, len(found.times))
    if whole and found.times and silent > max(few, min(1.0, 0.1 * found.picture_end)):
        said.append(
            f"{path}: the sound goes on for {silent:.1f} s after the last picture; is the video "
            "cut short?"
        )
    return said
