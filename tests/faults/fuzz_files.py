"""Media files of random kinds, whole and damaged, through probing, planning and enhancing."""

from __future__ import annotations

import functools
import random
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.counts import Counts
from tests.faults.media import make, model, streams
from vqe_jax.errors import UserError
from vqe_jax.inference.file import Request, prepare
from vqe_jax.inference.file import run as enhance
from vqe_jax.video import open_reader

__all__ = ["run"]

_FRAMES = 12
_SLOW, _STUCK = 30, 600  # seconds of work and of waiting for one file
_KINDS: tuple[tuple[str, tuple[str, ...], tuple[str | None, ...], tuple[str | None, ...]], ...] = (
    # suffix, video, sound, text
    (
        ".mkv",
        ("libx264", "libx265", "ffv1", "mpeg4", "libvpx-vp9", "mpeg2video"),
        (None, "aac", "flac", "pcm_s16le", "mp2", "libopus"),
        (None, "srt", "ass"),
    ),
    (".mp4", ("libx264", "libx265", "mpeg4"), (None, "aac", "flac", "alac"), (None, "mov_text")),
    (
        ".mov",
        ("libx264", "mpeg4", "mjpeg"),
        (None, "aac", "pcm_s16le", "pcm_mulaw", "alac"),
        (None,),
    ),
    (
        ".avi",
        ("mpeg4", "mjpeg", "ffv1", "libx264"),
        (None, "pcm_s16le", "adpcm_ms", "pcm_u8", "adpcm_yamaha", "pcm_alaw"),
        (None,),
    ),
    (".webm", ("libvpx-vp9", "libvpx"), (None, "libopus"), (None, "webvtt")),
    (".ts", ("libx264", "mpeg2video", "libx265"), (None, "mp2", "aac"), (None,)),
    (".flv", ("flv", "libx264"), (None, "aac"), (None,)),
    (".nut", ("ffv1", "mpeg4"), (None, "pcm_s16le", "flac"), (None,)),
    (".264", ("libx264",), (None,), (None,)),
    (".hevc", ("libx265",), (None,), (None,)),
)
_TARGETS = (
    ".mkv",
    ".mkv",
    ".mp4",
    ".mp4",
    ".mov",
    ".webm",
    ".avi",
    ".ts",
    ".flv",
    ".nut",
    ".y4m",
    "",
)
_LAYOUTS = {"ffv1": ("yuv420p", "yuv444p", "gbrp16le", "yuva420p", "gray"), "mjpeg": ("yuvj420p",)}
_BARE = (".264", ".hevc")
_ENDLESS = (*_BARE, ".ts")  # nothing says how many pictures there should be


class _TooSlow(Exception):
    """One file kept the machine busy."""


@contextmanager
def _limited() -> Iterator[None]:
    """Ends what works for too long or waits for ever; other programs may slow the machine down."""

    def stop(number: int, frame: object) -> None:
        kind = "work" if number == signal.SIGPROF else "waiting"
        raise _TooSlow(f"too many seconds of {kind}")

    limits = ((signal.SIGPROF, signal.ITIMER_PROF, _SLOW),
              (signal.SIGALRM, signal.ITIMER_REAL, _STUCK))  # fmt: skip
    before = [signal.signal(number, stop) for number, _, _ in limits]
    for _, timer, seconds in limits:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(limits, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _recipe(rng: random.Random) -> tuple[str, dict[str, Any]]:
    """A container and what to put into it."""
    suffix, videos, sounds, texts = rng.choice(_KINDS)
    codec, sound = rng.choice(videos), rng.choice(sounds)
    made: dict[str, Any] = {"codec": codec, "sound": sound, "subtitles": rng.choice(texts)}
    made["layout"] = rng.choice(_LAYOUTS.get(codec, ("yuv420p",)))
    if sound in ("libopus", "mp2"):
        made["sound_rate"] = 48000
    if sound in ("pcm_s16le", "aac", "flac") and rng.random() < 0.4:
        made["channels"] = 2
    if suffix in (".mkv", ".mp4") and rng.random() < 0.3:
        made["cover"] = rng.choice(("mjpeg", "png"))
    if suffix == ".mkv" and rng.random() < 0.3:
        made["attachment"] = True
    if suffix in (".mkv", ".mp4", ".mov") and rng.random() < 0.4:
        made["tags"] = {"title": "A film", "com.apple.quicktime.make": "Maker"}
    if codec != "mpeg2video" and rng.random() < 0.3:
        made["rate"] = rng.choice((24, 30, Fraction(30000, 1001), 12, 50))
    if suffix in (".ts", ".mkv") and rng.random() < 0.3:
        made["container"] = {"output_ts_offset": str(rng.choice((30, 5_000, 95_000)))}
    return suffix, made


def _flips(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(rng.choice((1, 3, 10, 40))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _cut(rng: random.Random, data: bytearray) -> bytes:
    return bytes(data[: rng.randrange(1, len(data))])


def _zeros(rng: random.Random, data: bytearray) -> bytes:
    at = rng.randrange(len(data))
    size = len(data[at : at + rng.choice((20, 200, 1000))])
    data[at : at + size] = bytes(size)
    return bytes(data)


def _dropped(rng: random.Random, data: bytearray) -> bytes:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 50, 400))]
    return bytes(data)


def _noise(rng: random.Random, data: bytearray) -> bytes:
    at = rng.randrange(len(data))
    size = len(data[at : at + 300])
    data[at : at + size] = rng.randbytes(size)
    return bytes(data)


def _head(rng: random.Random, data: bytearray) -> bytes:
    for _ in range(3):
        data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
    return bytes(data)


_DAMAGE: tuple[Callable[[random.Random, bytearray], bytes], ...] = (
    _flips,
    _cut,
    _zeros,
    _dropped,
    _noise,
    _head,
)


class _Library:
    """Whole files, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @functools.cached_property
    def _known(self) -> dict[str, tuple[Path, int]]:
        return {}

    def get(self, suffix: str, made: dict[str, Any]) -> tuple[Path, int]:
        """A file of this recipe, and how many frames it has."""
        key = repr((suffix, sorted(made.items(), key=str)))
        if key not in self._known:
            path = make(self._folder / f"{len(self._known)}{suffix}", frames=_FRAMES, **made)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._known[key] = (path, len(list(open_reader(path))))
        return self._known[key]


def _begins(whole: Path, source: Path) -> bool:
    """Whether a file's pictures are the first ones of another, bit for bit: it is whole, too."""
    return all(
        np.array_equal(a, b)
        for ours, theirs in zip(open_reader(source), open_reader(whole), strict=False)
        for a, b in zip(ours.planes, theirs.planes, strict=True)
    )


def _unnamed(source: Path, target: Path, said: list[str]) -> list[str]:
    """Streams of the source that neither came out nor were spoken of."""
    if not target.suffix or target.suffix in (".y4m", *_BARE):
        return [] if len(streams(source)) == 1 or any("left out" in s for s in said) else ["sound"]
    kinds = [kind for kind, _ in streams(target)]
    lost = []
    for kind, name in streams(source):
        if kind in kinds:
            kinds.remove(kind)
        elif not any(name in s or "left out" in s for s in said):
            lost.append(f"{kind} {name}")
    return lost


def _attempt(rng: random.Random, source: Path, target: Path) -> tuple[int | None, list[str]]:
    """Probes, plans or enhances; frames written (None where nothing was), and what was said."""
    deep = rng.random()
    keep = rng.random() < 0.3
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        reader = open_reader(source, keep_damaged=keep)
        if deep < 0.1:
            reader.concerns()
            frames = None
        else:
            job = prepare(reader, target, Request(model=model()))
            frames = None if deep < 0.2 else enhance(job).frames
    return frames, [str(w.message) for w in said]


def run(count: int, seed: int) -> Counts:
    """Tries files of random kinds, two thirds of them damaged.

    Args:
      count: how many.
      seed: of the choice.
    """
    counts = Counts()
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="vqe_fuzz_") as name:
        folder = Path(name)
        (folder / "whole").mkdir()
        library = _Library(folder / "whole")
        for number in range(count):
            _one(rng, number, folder, library, counts)
    return counts


def _one(rng: random.Random, number: int, folder: Path, library: _Library, counts: Counts) -> None:
    suffix, made = _recipe(rng)
    whole, expected = library.get(suffix, made)
    damage = rng.choice(_DAMAGE) if rng.random() < 2 / 3 else None
    source = folder / f"in{suffix}"
    data = whole.read_bytes()
    source.write_bytes(damage(rng, bytearray(data)) if damage else data)
    target = folder / f"out{rng.choice(_TARGETS)}"
    what = f"#{number} {suffix} {made} {damage.__name__ if damage else 'whole'} -> {target.name}"
    try:
        with _limited():
            frames, said = _attempt(rng, source, target)
    except UserError as err:
        if damage is None:
            counts.accept(f"{what}: a whole file is refused: {err}", rightly=False)
        elif target.exists() and f"{target} holds the" not in str(err):
            counts.accept(f"{what}: refused, but the output is there", rightly=False)
        else:
            counts.refuse(what, err)
    except Exception as err:  # whatever it is, it is not a sentence
        counts.refuse(what, err)
    else:
        if frames is None:
            wrong = target.exists()
        elif damage is None:
            lost = _unnamed(source, target, said)
            wrong = frames != expected or bool(lost)
            what += f": {frames} of {expected} frames, lost {lost}"
        else:
            wrong = frames < expected and not said
            if wrong and suffix in _ENDLESS and _begins(whole, source):
                counts.shorter += 1
                wrong = False
            what += f": {frames} of {expected} frames without a word"
        counts.accept(what, rightly=not wrong)
    finally:
        shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(
            missing_ok=True
        )
