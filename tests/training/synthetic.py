"""A data set made of numbers, in place of encoded clips, and a network small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from vqe_jax import models
from vqe_jax.data import datasets
from vqe_jax.data.pair import Pair
from vqe_jax.models import Context, Network
from vqe_jax.nn.layers import Conv


class Tiny(Network):
    """Compiles in a moment, and has all that a step must carry: statistics and a sown metric."""

    features: int = 4

    @property
    def context(self) -> Context:
        return Context(receptive_field=2)

    @nn.compact
    def forward(self, clip: Any, *, side: Any, train: bool) -> Any:
        hidden = Conv(self.features, use_bias=False, name="first")(clip)  # its bias has no effect
        hidden = nn.BatchNorm(use_running_average=not train, momentum=0.9)(hidden)
        self.sow("metrics", "state_norm", jnp.sqrt(jnp.mean(jnp.square(hidden))))
        return clip + 0.1 * Conv(self.channels, name="last")(nn.relu(hidden))


def picture(rng: np.random.Generator, frames: int, side: int, channels: int) -> np.ndarray:
    """Smooth random waves in [0, 1], ``[t, h, w, c]``."""
    y, x = np.mgrid[:side, :side] / side
    clip = np.zeros((frames, side, side, channels))
    for _ in range(4):
        fy, fx, phase, speed = rng.uniform(0.5, 4, 4)
        for t in range(frames):
            wave = np.sin(2 * np.pi * (fy * y + fx * x) + phase + 0.2 * speed * t)
            clip[t] += wave[..., None] / 8
    return np.clip(clip + 0.5, 0, 1).astype(np.float32)


def degrade(clip: np.ndarray) -> np.ndarray:
    """Coarse quantisation in [0, 1]."""
    return np.round(clip * 12).astype(np.float32) / 12


class Batches:
    """Stands in for the pipeline: batch n is a function of (seed, n, host)."""

    poison: ClassVar[set[int]] = set()  # batches that hold NaN

    def __init__(
        self, config: Any, *, seed: int, host: int = 0, hosts: int = 1, start: int = 0, **_: Any
    ) -> None:
        self.config, self.seed, self.host, self.hosts = config, seed, host, hosts
        self.next = start

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        c = self.config
        channels = 3 if c.color == "rgb" else 1
        n, self.next = self.next, self.next + 1
        rows = range(c.batch)[self.host :: self.hosts] if self.hosts > 1 else None
        rng = np.random.default_rng([self.seed, n])
        raw = np.stack([picture(rng, c.frames, c.crop, channels) for _ in range(c.batch)])
        if rows is not None:
            per_host = c.batch // self.hosts
            raw = raw[self.host * per_host : (self.host + 1) * per_host]
        compressed = degrade(raw)
        if n in self.poison:
            compressed = np.full_like(compressed, np.nan)
        names = np.array([f"clip{n % 3}"] * len(raw))
        qp = np.full(len(raw), 37, np.int32)
        return {"compressed": compressed, "raw": raw, "qp": qp, "name": names}

    def get_state(self) -> dict[str, int]:
        return {"next_index": self.next}

    def set_state(self, state: dict[str, int]) -> None:
        self.next = state["next_index"]


class SyntheticPair(Pair):
    """Stands in for a validation clip."""

    qp = 37
    frame_qps: tuple[int, ...] = ()
    frame_types = ""
    info = SimpleNamespace(codec="hevc")

    def __init__(self, name: str, seed: int, frames: int = 5) -> None:
        clip = picture(np.random.default_rng(seed), frames, 20, 1)[..., 0]
        self._name = name
        self._raw = np.round(clip * 255).astype(np.uint8)
        self._compressed = np.round(degrade(clip) * 255).astype(np.uint8)

    @property
    def name(self) -> str:
        return self._name

    def __len__(self) -> int:
        return len(self._raw)

    def clip(self, side: str, color: str) -> np.ndarray:
        assert color == "luma"
        return self._raw if side == "raw" else self._compressed


class Waves:
    """The data set: opens itself."""

    batches = Batches

    @staticmethod
    def pairs(split: str) -> list[SyntheticPair]:
        return [SyntheticPair("waves", 1), SyntheticPair("ripples", 2)]


def config(*stages: dict[str, Any], **keys: Any) -> ConfigDict:
    """A run of a few tiny steps."""
    stages = stages or ({"name": "main", "steps": 6, "learning_rate": 1e-3},)
    return ConfigDict(
        {
            "model": "tiny",
            "data": {
                "dataset": "waves", "data_dir": "/nowhere", "frames": 3, "crop": 16,
                "batch": 2,
            },
            "stages": tuple(stages),
            "eval": {"every": 3},
            "checkpoint": {"every": 2, "keep": 2},
            "devices": 1,
            "log_every": 1,
        }
        | keys
    )  # fmt: skip


def install() -> None:
    """Registers the network and the data set."""
    models.register("tiny", Tiny)
    datasets.register("waves", Waves)
