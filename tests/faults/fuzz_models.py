"""Model files made wrong: bytes flipped, cut short, fields and tensors changed and signed anew."""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save

from tests.faults.counts import Counts
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.weights import ModelFile, load_model, packaged_models, save_model
from vqe_jax.weights.model_file import read_model

__all__ = ["run"]

_SLOW = 20.0  # seconds of work; a file may not keep the machine busy

_VALUES: tuple[Any, ...] = (
    -1, 0, 1, 10**9, 10**30, 2.5, -0.0, True, None, "", "a", "high_pass", [], [1], [[[]]], {},
    {"a": 1}, [10**9] * 3, [0, 0, 0], "x" * 5000, 1e300,
)  # fmt: skip


def small(**changes: Any) -> ModelFile:
    """A small VIG with made-up weights."""
    kwargs = {"width": 4, "down_widths": (8, 8, 8), "state_bound": 4.0}
    shapes = variable_shapes("vig", **kwargs)
    flat = {p: np.full(s, 0.01 * (i + 1), np.float32) for i, (p, s) in enumerate(shapes.items())}
    file = ModelFile("vig", kwargs, unflatten_dict(flat, sep="/"), qp=(37,), source="made up")
    return dataclasses.replace(file, **changes)


def _flip(rng: random.Random, blob: bytes) -> bytes:
    changed = bytearray(blob)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        # The header is small and holds most of what can go wrong.
        end = len(blob) if rng.random() < 0.3 else 8 + int.from_bytes(blob[:8], "little")
        changed[rng.randrange(min(end, len(blob)))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _digit(rng: random.Random, blob: bytes) -> bytes:
    """Another digit in the header, as in a width or a bound."""
    end = 8 + int.from_bytes(blob[:8], "little")
    places = [i for i in range(8, end) if chr(blob[i]).isdigit()]
    changed = bytearray(blob)
    changed[rng.choice(places)] = ord(rng.choice("0123456789"))
    return bytes(changed)


def _cut(rng: random.Random, blob: bytes) -> bytes:
    if rng.random() < 0.3:
        return blob + rng.randbytes(rng.choice((1, 8, 1000)))
    return blob[: rng.randrange(len(blob))]


def _words(rng: random.Random, blob: bytes) -> bytes:
    """A word of the header exchanged or made longer, with the length of the header put right."""
    end = 8 + int.from_bytes(blob[:8], "little")
    header = blob[8:end]
    words = [b"vig", b"luma", b"kwargs", b"sha256", b"F32", b"model 2", b"params/", b"format"]
    word = rng.choice(words)
    other = rng.choice([*words, b"", b"rgb", b"F64", b"I32", b"../../x", b"[" * 3000])
    header = header.replace(word, other, 1)
    return len(header).to_bytes(8, "little") + header + blob[end:]


def _signed_field(rng: random.Random, file: ModelFile) -> ModelFile:
    fields = [
        *file.kwargs,
        "lookahead",
        "name",
        "parent",
        "channels",
        "skip",
        "recurrent",
        "nonsense",
    ]
    kwargs = {**file.kwargs, rng.choice(fields): rng.choice(_VALUES)}
    if rng.random() < 0.2:
        return dataclasses.replace(file, model=rng.choice(("stdf", "", "vgi", "os:system", "a:b")))
    if rng.random() < 0.1:
        return dataclasses.replace(file, color=rng.choice(("rgb", "", "grey")))
    return dataclasses.replace(file, kwargs=kwargs)


def _signed_tensor(rng: random.Random, file: ModelFile) -> ModelFile:
    flat = dict(flatten_dict(file.variables, sep="/"))
    path = rng.choice(sorted(flat))
    array = np.array(flat[path])
    change = rng.randrange(7)
    if change == 0:
        del flat[path]
    elif change == 1:
        flat[rng.choice(("params/extra", "../../x", f"{path}x", "params"))] = array
    elif change == 2:
        flat[path] = array.astype(rng.choice((np.float64, np.int32, np.int16, np.uint8, bool)))
    elif change == 3:
        array.flat[rng.randrange(array.size)] = rng.choice((np.nan, np.inf, -np.inf))
        flat[path] = array
    elif change == 4:
        flat[path] = array[..., :-1]
    elif change == 5:
        flat[path] = array.reshape(-1, 1)
    else:
        flat[path] = np.zeros((0, *array.shape[1:]), np.float32)
    return dataclasses.replace(file, variables=_nested(flat))


def _nested(flat: dict[str, np.ndarray]) -> dict[str, Any]:
    # One level is enough: the path of a tensor is what counts in a file.
    return dict(flat)


def _unsigned_json(rng: random.Random, file: ModelFile) -> dict[str, str]:
    """Metadata of another kind, signed as if it were right."""
    from vqe_jax.weights.model_file import _FORMAT

    metadata = {
        "format": _FORMAT,
        "model": file.model,
        "kwargs": json.dumps(file.kwargs),
        "color": file.color,
        "qp": "[37]",
        "source": "",
        "extra": "{}",
    }
    key = rng.choice(sorted(metadata))
    if rng.random() < 0.3:
        del metadata[key]
    else:
        metadata[key] = rng.choice(
            ("", "[", "null", "3", '"x"', "[1, 2]", '["a"]', "[" * 20_000, '{"a": NaN}', "{}")
        )
    return metadata


def _made_wrong(rng: random.Random, file: ModelFile, path: Path) -> tuple[str, bool]:
    """Writes a wrong file; what was done, and whether its checksum was made to fit."""
    from vqe_jax.weights.model_file import _checksum, _flatten

    blob = path.read_bytes()
    plain = (_flip, _digit, _cut, _words)
    choice = rng.randrange(len(plain) + 3)
    if choice < len(plain):
        path.write_bytes(plain[choice](rng, blob))
        return plain[choice].__name__, False
    if choice == len(plain):
        flat, metadata = _flatten(file.variables), _unsigned_json(rng, file)
        metadata["sha256"] = _checksum(flat, metadata)
        path.write_bytes(save(flat, metadata=metadata))
        return f"metadata {metadata}"[:300], True
    changed = (_signed_field, _signed_tensor)[choice - len(plain) - 1](rng, file)
    save_model(path, changed)
    return f"{changed.model} {changed.kwargs}"[:300], True


def _same(a: ModelFile, b: ModelFile) -> bool:
    if (a.model, a.kwargs, a.color, a.qp, a.extra) != (b.model, b.kwargs, b.color, b.qp, b.extra):
        return False
    left, right = flatten_dict(a.variables, sep="/"), flatten_dict(b.variables, sep="/")
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


def _usable(file: ModelFile) -> bool:
    """Whether a file that was signed anew runs on a frame."""
    try:
        network = file.build()
        clip = np.full((1, 2, 16, 16, network.channels), 0.5, np.float32)
        result = jax.eval_shape(lambda c: network.apply(file.variables, c), clip)
    except Exception:  # it should have been refused when it was loaded
        return False
    return result.shape == clip.shape


def run(count: int, seed: int) -> Counts:
    """Loads wrong model files.

    Args:
      count: how many.
      seed: of what is wrong with them.
    """
    rng, counts = random.Random(seed), Counts()
    sources = [small(), *(read_model(p) for p in packaged_models().values())]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        for number in range(count):
            file = rng.choice(sources)
            save_model(path, file)
            what, signed = _made_wrong(rng, file, path)
            what = f"model {number} of seed {seed}: {what}"
            began = time.process_time()
            try:
                found = load_model(path)
            except BaseException as err:
                counts.refuse(what, err)
            else:
                counts.accept(what, rightly=_usable(found) if signed else _same(found, file))
            if time.process_time() - began > _SLOW:
                counts.failed += 1
                counts.examples.append(f"{what}: took {time.process_time() - began:.0f} s")
    return counts
