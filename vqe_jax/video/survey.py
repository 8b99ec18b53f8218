"""A walk through a file's packets, before any work begins: are there holes, jumps or damage?

Nothing is decoded, so this takes seconds for an hour of video. What is found is said with a count;
a player would pass over it without a word.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from vqe_jax.video.checksums import ends_in_zeros, wrong_checksums
from vqe_jax.video.clock import Clock
from vqe_jax.video.libav import open_input, packets, video_stream
from vqe_jax.video.log import captured
from vqe_jax.video.truncation import has_no_end

__all__ = ["survey"]

# What demuxers say of damage; their other warnings are about habits of encoders.
_COMPLAINTS = re.compile(
    r"corrupt|prematurely|invalid as first byte|size mismatch|partial file|truncat|"
    r"exceeds|[Rr]ead error|EBML|[Ii]nvalid (data|chunk|packet)|[Uu]nexpected|"
    r"checksum|too large|CRC"
)
_REGULAR = 0.8  # of the steps are alike in a video of one frame rate
_FEW = 4  # steps that tell nothing
# Containers whose header says how long all of it is.
_TIMED = ("matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "nut", "flv", "ivf", "avi", "asf")
_NO_ZEROS = ("hevc", "h264", "mpegvideo", "m4v", "obu", "mpegts", "mpeg", "ivf")


@dataclasses.dataclass
class _Found:
    times: list[int] = dataclasses.field(default_factory=list)
    decoding: list[int | None] = dataclasses.field(default_factory=list)
    hidden: list[int] = dataclasses.field(default_factory=list)  # by an edit list
    timeless: bool = False  # a packet has no time of presentation
    corrupt: int = 0
    picture_end: float = 0.0
    sound_end: float = 0.0
    end: float = 0.0  # of all streams
    jumps: int = 0
    promised: int = 0  # frames, of AVI, where a time is a place in the row of frames
    places: int = 0
    length: float = 0.0  # seconds, as the header has it
    first: float = float("inf")
    kind: str = ""
    complaints: list[str] = dataclasses.field(default_factory=list)


def _walk(path: Path, seconds: float | None) -> tuple[_Found, float]:
    found = _Found()
    with (
        captured(av.logging.WARNING) as logs,
        open_input(path, best_effort_times=True) as container,
    ):
        stream = video_stream(container, path)
        clock = Clock(container, stream.index)
        unit = float(stream.time_base or 0)
        known = len(container.streams)
        for packet in packets(container):
            if packet.stream.index >= known or not packet.size:
                continue
            clock.correct(packet)
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or not packet.time_base:
                continue
            if packet.is_discard:
                found.hidden += [stamp] * (packet.stream.index == stream.index)
                continue
            begin = float(stamp * packet.time_base)
            end = begin + float((packet.duration or 0) * packet.time_base)
            found.first, found.end = min(found.first, begin), max(found.end, end)
            if packet.stream.type == "audio":
                found.sound_end = max(found.sound_end, end)
            if packet.stream.index != stream.index:
                continue
            found.times.append(stamp)
            found.decoding.append(packet.dts)
            found.timeless |= packet.pts is None
            found.corrupt += packet.is_corrupt
            found.picture_end = max(found.picture_end, end)
            if seconds is not None and (stamp - found.times[0]) * unit > seconds:
                break
        if found.timeless:
            found.times = [stamp for stamp in found.decoding if stamp is not None]
        found.jumps, found.kind = clock.jumps, container.format.name
        if container.format.name in _TIMED and container.duration:
            found.length = container.duration / av.time_base
        if container.format.name == "avi" and found.times:
            found.promised, found.places = stream.frames, max(found.times) + 1
        found.complaints = [text.strip() for _, _, text in logs if _COMPLAINTS.search(text)]
    return found, unit


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


def _clock(seconds: float) -> str:
    """As 0:01:02.5; damaged files have times beyond all years."""
    try:
        return str(datetime.timedelta(seconds=round(seconds, 2)))
    except OverflowError:
        return f"{seconds:.3g} s"


def _ends(path: Path, found: _Found) -> Iterator[str]:
    """Whether the end is where it should be, and what a walk to it tells of all the file."""
    if has_no_end(path):
        yield f"{path} has no proper end; is it cut short?"
    if found.kind in _NO_ZEROS and ends_in_zeros(path):
        yield f"{path} ends in zeros; is it a download that was not finished?"
    if wrong := wrong_checksums(path):
        yield f"{path} is damaged: {wrong} of its parts do not match their checksums"
    if 0 < found.places < found.promised:
        yield (
            f"{path} should have {found.promised} frames, as its header says, and has "
            f"{found.places}; is it cut short or damaged?"
        )
    elif found.times and not found.jumps:
        lasts = found.end - max(0.0, found.first)
        few = 3 * lasts / max(1, len(found.times))
        if found.length - lasts > max(few, 0.01 * found.length):
            yield (
                f"{path} should last {_clock(found.length)}, as its header says, and lasts "
                f"{_clock(lasts)}; is it cut short or damaged?"
            )


def survey(path: Path, seconds: float | None = None) -> list[str]:
    """What is odd about a file, one line each.

    Args:
      seconds: look at so much of its beginning; None for all.
    """
    found, unit = _walk(path, seconds)
    said = []
    if found.complaints:
        first, count = found.complaints[0], len(found.complaints)
        more = f" (and {count - 1} more)" if count > 1 else ""
        said.append(f"{path} is damaged, FFmpeg says: {first}{more}")
    if found.corrupt and not found.complaints:
        said.append(f"{path}: {found.corrupt} packets of the picture are marked as damaged")
    if found.times and (holes := _holes(found.times, unit)):
        said.append(f"{path}: {holes}; the file may be damaged or cut there")
    late = sum(stamp > max(found.times, default=0) for stamp in found.hidden)
    if late and late >= len(
        found.times
    ):  # a cut in a phone hides some; a damaged number nearly all
        said.append(
            f"{path}: its edit list hides {late} frames at the end and shows {len(found.times)}; "
            "is it damaged?"
        )
    if found.jumps:
        said.append(f"{path}: its clock jumps {found.jumps} times; time goes on there")
    if seconds is None:
        said += _ends(path, found)
    silent = found.sound_end - found.picture_end
    few = 3 * found.picture_end / max(1, len(found.times))
    if seconds is None and found.times and silent > max(few, min(1.0, 0.1 * found.picture_end)):
        said.append(
            f"{path}: the sound goes on for {silent:.1f} s after the last picture; is the video "
            "cut short?"
        )
    return said
