"""The source ``scenes``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from vqe_jax.data.demo_film import Scene, SceneOrigin
from vqe_jax.data.sources.base import FilmOptions, Plan, Source, option, plans_of
from vqe_jax.data.sources.folders import by_name, keep, kept_for_validation, source_folder
from vqe_jax.errors import UserError

__all__ = ["Scenes", "ScenesOptions"]

_PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScenesOptions(FilmOptions):
    """Options of ``scenes``."""

    source: str | None = option(None, "folder of photographs and panoramas")
    val_fraction: float = option(0.1, "share of the photographs kept for validation")
    include: tuple[str, ...] = option((), "only photographs whose name fits one of these patterns")
    exclude: tuple[str, ...] = option((), "not those whose name fits one of these")
    per_photo: int = option(1, "scenes over each photograph, each with another camera")
    noise: float = option(1.0, "of the sensor at mid-gray, in code values: at most twice that")


class Scenes(Source):
    """A folder of photographs and panoramas, set in motion by a virtual camera.

    It pans, zooms, turns and shakes over each photograph while patches of others pass in front, and
    its sensor is noisy (:mod:`vqe_jax.data.demo_film`); how fast and how noisy, the seed draws for
    each scene. Panoramas give long pans. Training and validation share no photograph. Photographs
    should be good and at least half as wide and high again as the picture: they are scaled down to
    that, which hides what their own compression did.
    """

    name = "scenes"
    Options = ScenesOptions

    def plan(self, options: ScenesOptions) -> tuple[Plan, ...]:
        """As of :class:`Source`."""
        options.check()
        if options.per_photo < 1:
            raise UserError("--per-photo must be at least 1")
        photos = keep(_photographs(options.source), options.include, options.exclude, "photograph")
        kept = kept_for_validation(photos, options.val_fraction, options.seed)
        scenes = []
        for split in ("train", "val"):
            names = [name for name in photos if (name in kept) == (split == "val")]
            for name in names:
                for number in range(options.per_photo):
                    label = f"{name}_{number}" if options.per_photo > 1 else name
                    origin = SceneOrigin(_scene(label, name, names, photos, options))
                    scenes.append((label, split, origin))
        return plans_of(options, scenes, f"{len(scenes)} scenes of {options.source}")


def _photographs(folder: str | None) -> dict[str, Path]:
    """Picture files by name, in all folders below."""
    root = source_folder(folder, "photographs", "name one that holds .jpg, .png, ...")
    found = by_name(root, lambda p: p.is_file() and p.suffix.lower() in _PICTURES)
    if not found:
        raise UserError(f"{root} holds no photographs; expected .jpg, .png, .webp, ...")
    return found


def _scene(
    label: str, name: str, names: list[str], photos: dict[str, Path], options: ScenesOptions
) -> Scene:
    """A scene over one photograph, with patches of up to two others of its split."""
    rng = np.random.default_rng([options.seed, *label.encode()])
    others = [n for n in names if n != name]
    count = min(int(rng.integers(0, 3)), len(others))
    chosen = [others[i] for i in rng.choice(len(others), count, replace=False)] if count else []
    return Scene(
        str(photos[name]),
        tuple(str(photos[n]) for n in chosen),
        seed=int(rng.integers(1 << 31)),
        speed=options.speed * float(rng.uniform(0.3, 1.5)),
        noise=options.noise * float(rng.uniform(0.0, 2.0)),
        **options.of_scenes,
    )
