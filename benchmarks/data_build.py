"""Building a data set: how much of the time is the encoders'?

    python benchmarks/data_build.py [--recipe mixed] [--clips 2] [--length 40]

Builds scenes of the ``demo`` in this process alone and prints where the time went: the encoders of
the compressed clips, the lossless one of the raw clips, the decoders, the headers that tell the
QPs, and the rest, which is ours. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from vqe_jax.data import encode_clips
from vqe_jax.data.build import build
from vqe_jax.data.demo_film import _Film
from vqe_jax.data.planes import decoded_frames
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.tfds_builder import write_version
from vqe_jax.video import Writer, open_writer

spent: dict[str, float] = defaultdict(float)


def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a call's time to a part; what it calls of other parts is taken off."""

    def run(*args: Any, **options: Any) -> Any:
        start, before = time.perf_counter(), sum(spent.values())
        result = call(*args, **options)
        spent[name] += time.perf_counter() - start - (sum(spent.values()) - before)
        return result

    return run


def timed_items(name: str, call: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """The same for what yields."""

    def run(*args: Any, **options: Any) -> Iterator[Any]:
        step = timed(name, lambda items: next(items, None))
        items = iter(call(*args, **options))
        while (item := step(items)) is not None:
            yield item

    return run


def lossless_writer(*args: Any, **options: Any) -> Writer:
    """The writer of raw clips, timed."""
    writer = open_writer(*args, **options)
    for name in ("write", "_close"):
        setattr(writer, name, timed("lossless encoder", getattr(writer, name)))
    return writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="mixed")
    parser.add_argument("--clips", type=int, default=2, help="scenes")
    parser.add_argument("--length", type=int, default=40, help="frames of a scene")
    given = parser.parse_args()
    patches = [
        mock.patch.object(Recipe, "encode", timed("encoders", Recipe.encode)),
        mock.patch.object(encode_clips, "decoded_frames", timed_items("decoders", decoded_frames)),
        mock.patch.object(encode_clips, "frame_qps", timed("headers", encode_clips.frame_qps)),
        mock.patch.object(_Film, "__iter__", timed_items("scenes rendered", _Film.__iter__)),
        mock.patch.object(encode_clips, "open_writer", lossless_writer),
        mock.patch("vqe_jax.data.tfds_builder.write_version", timed("index", write_version)),
    ]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        start = time.perf_counter()
        sizes = {"clips": given.clips, "val_clips": 1, "length": given.length}
        (built,) = build("demo", folder, recipe=given.recipe, workers=1, quiet=True, **sizes)
        total = time.perf_counter() - start
    pairs = [pair for split in built.pairs.values() for pair in split]
    print(f"{platform.machine()}, {os.cpu_count()} cores: {len(pairs)} pairs in {total:.1f} s")
    print("| part | seconds | share |\n| --- | --- | --- |")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"| {name} | {seconds:.2f} | {seconds / total:.0%} |")
    rest = total - sum(spent.values())
    print(f"| the rest | {rest:.2f} | {rest / total:.0%} |")


if __name__ == "__main__":
    main()
