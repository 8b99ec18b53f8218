"""What a model's card says: its files by codec and quality, clean input, long runs, speed.

    python benchmarks/card.py fast --data-dir data --write
    python benchmarks/card.py runs/fast --data-dir data --parts streams clean

Streams are those of a data set's validation split (``vqe-data clips --recipe mixed``). Each is
enhanced as a file, by what ``enhance.py IN OUT --codec ffv1`` runs, and what that wrote is compared
with the raw clip at 8 bits. Rows are appended to a file as they come; a second call goes on where
the first stopped. ``--write`` puts the result into the card beside a packaged model's weights.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import json
import os
import shlex
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.data import Pair
from vqe_jax.data.pair import open_pairs
from vqe_jax.errors import UserError, run_cli
from vqe_jax.files import replacing
from vqe_jax.flags import Parser
from vqe_jax.weights import packaged_models
from vqe_jax.weights.cards import ABOUT, Card, card_path
from vqe_jax.weights.model_file import load_model

PARTS = ("streams", "clean", "eyes", "long", "speed")
# Name in a row -> metric; flicker is less steady than the truth, times 10,000 (docs/results.md).
EYES = {"lpips": "lpips_alex", "flicker": "flicker_smooth", "psnr": "psnr_rgb_uint8"}
SIZES = ("416x240", "1920x1080")
LONG = 2000

Row = dict[str, Any]
_CEILING = 100.0  # dB of frames that are equal


def parser() -> Parser:
    made = Parser(prog="card.py", description=__doc__)
    made.add_argument("model", help="packaged name, model file, or a run's folder")
    made.add_argument("--data-dir", default="data", help="folder of all data sets")
    made.add_argument("--dataset", default="clips")
    made.add_argument("--config-name", nargs="+", default=["mixed"])
    made.add_argument("--split", default="val")
    made.add_argument("--clips", nargs="+", default=[], help="only streams whose names hold one")
    made.add_argument("--frames", type=int, help="at most so many of each stream")
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--long-clips", type=int, default=2, help="the smallest so many, for 'long'")
    made.add_argument("--sizes", nargs="+", default=SIZES, metavar="WxH", help="for 'speed'")
    made.add_argument("--out", type=Path, help="folder of the rows (default: reports/card_MODEL)")
    made.add_argument("--write", action="store_true", help="into the packaged model's card")
    return made


class Rows:
    """Measured rows in a file, one a line, each written when it is there."""

    def __init__(self, path: Path, weights: str) -> None:
        self.path, self.weights = path, weights
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text() if path.is_file() else ""
        lines = text.splitlines()
        self._start = "" if text.endswith("\n") or not text else "\n"
        known = [row for row in map(_parsed, lines) if row.get("weights") == weights]
        self._known: dict[str, Row] = {row["key"]: row for row in known}

    def get(self, key: str) -> Row | None:
        """The row of an earlier call, or of this one."""
        return self._known.get(key)

    def add(self, key: str, part: str, values: Row) -> Row:
        """Keeps a row."""
        row = {"key": key, "weights": self.weights, "part": part, **values}
        with self.path.open("a") as file:
            file.write(self._start + json.dumps(row) + "\n")
        self._start = ""
        self._known[key] = row
        return row

    def of(self, part: str) -> list[Row]:
        """What the rows of a part say."""
        found = [row for row in self._known.values() if row["part"] == part]
        bare = ("key", "weights", "part")
        return [{k: v for k, v in row.items() if k not in bare} for row in found]


def _parsed(line: str) -> Row:
    try:
        return dict(json.loads(line))
    except ValueError:  # a line cut short by the end of an earlier call
        return {}


def encoder_of(pair: Pair) -> str:
    """``"x265_crf"``: how the stream was made."""
    return pair.info.recipe.split(" ")[0]


def enhanced_luma(
    stream: bytes, suffix: str, model: str, limit: int | None
) -> Iterator[np.ndarray]:
    """Luma, uint8, of the file that ``enhance.py IN OUT --codec ffv1`` writes."""
    from vqe_jax import enhance_video
    from vqe_jax.video import open_reader

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source, target = Path(folder, f"source.{suffix}"), Path(folder, "target.mkv")
        source.write_bytes(stream)
        enhance_video(source, target, model=model, codec="ffv1", **_preview(source, limit))
        with open_reader(target) as reader:
            for frame in reader:
                yield frame.planes[0]


def _preview(source: Path, limit: int | None) -> Row:
    """So many frames as seconds, which is what a file is cut by."""
    from vqe_jax.video import open_reader

    if limit is None:
        return {}
    with open_reader(source) as reader:
        rate = float(reader.info.frame_rate or 25)
    return {"preview": (limit - 0.5) / rate}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.square(a.astype(np.float64) - b).mean())
    return _CEILING if error == 0 else min(_CEILING, 10 * float(np.log10(255**2 / error)))


def stream_row(pair: Pair, model: str, limit: int | None) -> Row:
    """What a model gains on one stream, as a file."""
    raw, compressed = pair.clip("raw", "luma"), pair.clip("compressed", "luma")
    stream, suffix = pair.encoded("compressed"), pair.info.compressed_format
    pairs = [
        (psnr(compressed[i], raw[i]), psnr(frame, raw[i]))
        for i, frame in enumerate(enhanced_luma(stream, suffix, model, limit))
    ]
    _check_count(pair, len(pairs), limit)
    before, after = np.mean(pairs, axis=0)
    return {
        "clip": pair.name.split("@")[0],
        "encoder": encoder_of(pair),
        "quality": pair.info.quality,
        "frames": len(pairs),
        "before": round(float(before), 3),
        "gain": round(float(after - before), 4),
    }


def clean_row(pair: Pair, model: str, limit: int | None) -> Row:
    """What a model does to a raw clip."""
    raw = pair.clip("raw", "luma")
    found = [
        (psnr(frame, raw[i]), float(np.mean(frame != raw[i])))
        for i, frame in enumerate(
            enhanced_luma(pair.encoded("raw"), pair.info.raw_format, model, limit)
        )
    ]
    _check_count(pair, len(found), limit)
    values, changed = np.array(found).T
    return {
        "clip": pair.name.split("@")[0],
        "frames": len(found),
        "mean": round(float(values.mean()), 2),
        "lowest": round(float(values.min()), 2),
        "changed": round(float(changed.mean()), 4),
    }


def _check_count(pair: Pair, count: int, limit: int | None) -> None:
    expected = min(len(pair), limit or len(pair))
    if count != expected:
        raise UserError(f"{pair.name}: the file has {count} frames, expected {expected}")


def long_row(pair: Pair, model: str) -> Row:
    """Whether a model's gain lasts on a clip played back and forth."""
    from vqe_jax.evaluation.clips import clips_from_pairs
    from vqe_jax.evaluation.long_run import long_run
    from vqe_jax.evaluation.models import open_models
    from vqe_jax.metrics import protocol

    clip = clips_from_pairs([pair])[0]
    opened = open_models([model])[0]
    metric = protocol("psnr_y" if opened.color == "luma" else "psnr_rgb_uint8")
    run = long_run(clip, opened, metric, length=LONG)
    return {
        "clip": pair.name,
        "frames": LONG,
        "first": round(run.first, 4),
        "last": round(run.last, 4),
        "drift": round(run.drift, 5),
        "flat": run.is_flat,
    }


def speed_row(model: str, size: str) -> Row:
    """Frames per second of the network alone, and of a file read, enhanced and written."""
    import enhance as timing  # benchmarks/enhance.py

    width, height = map(int, size.split("x"))
    found = timing.medians(model, width, height, timing.FRAMES.get(width, 16), True, 3)
    return {
        "size": size,
        "engine": round(found["engine_fps"], 2),
        "file": round(found["file_fps"], 2),
    }


def machine() -> str:
    """A word on what runs here, and on what ran beside it."""
    busy = ", beside other work" if os.getloadavg()[0] > 1.0 else ""
    return f"{os.cpu_count()} CPU cores{busy}"


def measure_streams(pairs: Sequence[Pair], given: argparse.Namespace, rows: Rows) -> None:
    for pair in pairs:
        key = f"stream {pair.name} {given.frames}"
        if pair.info.codec == "none":
            continue
        row = rows.get(key) or rows.add(key, "streams", stream_row(pair, given.model, given.frames))
        print(f"{pair.name:44} {row['before']:7.3f} dB {row['gain']:+.4f}", flush=True)


def measure_clean(pairs: Sequence[Pair], given: argparse.Namespace, rows: Rows) -> None:
    for pair in {pair.info.raw_sha256: pair for pair in pairs}.values():
        key = f"clean {pair.info.raw_sha256} {given.frames}"
        row = rows.get(key) or rows.add(key, "clean", clean_row(pair, given.model, given.frames))
        print(
            f"{row['clip']:44} clean: {row['mean']:.2f} dB, lowest {row['lowest']:.2f}", flush=True
        )


def measure_eyes(pairs: Sequence[Pair], given: argparse.Namespace, rows: Rows) -> None:
    """Of models on RGB, by ``evaluate.py``: LPIPS and flicker, and what they cost in PSNR."""
    del pairs
    if load_model(given.model).color == "rgb" and not rows.of("eyes"):
        for row in eyes_rows(given):
            rows.add(f"eyes {row['clip']} {given.frames}", "eyes", row)
    for row in rows.of("eyes"):
        change = row["lpips_change"] / row["lpips"]
        print(
            f"{row['clip']:44} LPIPS {change:+.1%}, PSNR {row['psnr_change']:+.3f} dB", flush=True
        )


def eyes_rows(given: argparse.Namespace) -> Iterator[Row]:
    """A row a clip: each metric of the stream, and how it changes."""
    from vqe_jax.evaluation.cli import main as evaluate

    place = ["--data-dir", given.data_dir, "--dataset", given.dataset, "--split", given.split]
    frames = 20 if given.frames is None else given.frames
    with tempfile.TemporaryDirectory() as folder:
        asked = [given.model, *place, "--config-name", *given.config_name, "--quiet"]
        evaluate([*asked, "--frames", str(frames), "--metrics", *EYES.values(), "--out", folder])
        with Path(folder, "records.csv").open(newline="") as file:
            records = list(csv.DictReader(file))
    values: dict[tuple[str, str, bool], float] = {}
    for r in records:
        values[r["clip"], r["metric"], r["label"] == "compressed"] = float(r["value"])
    for clip in dict.fromkeys(r["clip"] for r in records):
        row: Row = {"clip": clip, "frames": frames}
        for name, metric in EYES.items():
            after, before = (values[clip, metric, which] for which in (False, True))
            row |= {name: round(before, 4), f"{name}_change": round(after - before, 4)}
        yield row


def measure_long(pairs: Sequence[Pair], given: argparse.Namespace, rows: Rows) -> None:
    lossy = [pair for pair in pairs if pair.info.codec != "none"]
    clips = {p.info.raw_sha256: p for p in reversed(lossy)}.values()  # the first stream of each
    small = sorted(clips, key=lambda p: p.info.width * p.info.height)
    for pair in small[: given.long_clips]:
        key = f"long {pair.name}"
        row = rows.get(key) or rows.add(key, "long", long_row(pair, given.model))
        print(f"{pair.name:44} {LONG} frames: drift {row['drift']:+.4f}", flush=True)


def measure_speed(pairs: Sequence[Pair], given: argparse.Namespace, rows: Rows) -> None:
    del pairs
    for size in given.sizes:
        key = f"speed {size}"
        row = rows.get(key) or rows.add(
            key, "speed", {**speed_row(given.model, size), "machine": machine()}
        )
        print(f"{size:44} {row['engine']:.2f} fps, a file {row['file']:.2f}", flush=True)


def measured(rows: Rows, command: str) -> Row:
    """The card's measured part."""
    speed = rows.of("speed")
    found: Row = {
        "command": command,
        "date": f"{datetime.date.today():%Y-%m}",
        "weights": rows.weights,
        **{part: rows.of(part) for part in PARTS[:-1] if rows.of(part)},
    }
    if speed:
        bare = [{k: v for k, v in row.items() if k != "machine"} for row in speed]
        found["speed"] = {"machine": speed[-1]["machine"], "rows": bare}
    return found


def command_of(given: argparse.Namespace) -> str:
    """The call as another machine would make it: without folders of this one."""
    made = parser()
    asked = ["python", "benchmarks/card.py", Path(given.model).stem]
    for name in ("dataset", "config_name", "split", "clips", "frames"):
        value = getattr(given, name)
        if value != made.get_default(name):
            asked += [f"--{name.replace('_', '-')}"]
            asked += value if isinstance(value, list) else [str(value)]
    return shlex.join(asked)


def write_card(path: Path, result: Row) -> None:
    """Puts what was measured beside what is written by hand."""
    kept = json.loads(path.read_text()) if path.is_file() else {}
    about = kept.get("about") or dict.fromkeys(ABOUT, "")
    old = kept.get("measured", {})
    fresh = old if old.get("weights") == result["weights"] else {}
    with replacing(path) as part:
        text = json.dumps({"about": about, "measured": {**fresh, **result}}, indent=1)
        part.write_text(text + "\n")


def main() -> None:
    given = parser().parse_args()
    path = packaged_models().get(given.model, Path(given.model))
    if given.write:
        card_path(given.model)  # before hours of work
    load_model(given.model)
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    weights = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
    out = given.out or Path("reports") / f"card_{Path(given.model).stem}"
    rows = Rows(out / "rows.jsonl", weights)
    found = open_pairs(given.data_dir, given.dataset, given.split, given.config_name)
    pairs = [p for p in found if not given.clips or any(c in p.name for c in given.clips)]
    steps = {
        "streams": measure_streams,
        "clean": measure_clean,
        "eyes": measure_eyes,
        "long": measure_long,
        "speed": measure_speed,
    }
    for part in given.parts:
        steps[part](pairs, given, rows)
    result = measured(rows, command_of(given))
    print(Card(given.model, {}, result, "").text())
    write_card(out / "card.json", result)
    if given.write:
        write_card(card_path(given.model), result)
        print("now: python -m vqe_jax.weights cards docs/models.md")


if __name__ == "__main__":
    run_cli(main)
