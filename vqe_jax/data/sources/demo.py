"""The source ``demo``."""

from __future__ import annotations

import dataclasses

from vqe_jax.data.demo_film import Scene, SceneOrigin
from vqe_jax.data.sources.base import FilmOptions, Plan, Source, option, plans_of
from vqe_jax.errors import UserError

__all__ = ["TRAIN_PHOTOS", "VAL_PHOTOS", "Demo", "DemoOptions"]

TRAIN_PHOTOS = (
    "astronaut",
    "coffee",
    "rocket",
    "coins",
    "brick",
    "grass",
    "gravel",
    "immunohistochemistry",
    "hubble_deep_field",
    "page",
)
VAL_PHOTOS = ("stereo_motorcycle", "cat", "camera")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoOptions(FilmOptions):
    """Options of ``demo``."""

    clips: int = option(20, "training clips; they go through the photographs in turn")
    val_clips: int = option(3, "validation clips")
    width: int = option(320, "of the picture, in pixels")
    height: int = option(192, "of the picture, in pixels")
    source: str | None = option(None, "not used: the photographs come with scikit-image")


class Demo(Source):
    """Photographs set in motion, no download; a data set to try everything with.

    The photographs are those that scikit-image's wheel carries. A virtual camera pans, zooms, turns
    and shakes over them, patches of other photographs pass in front, the sensor is noisy
    (:mod:`vqe_jax.data.demo_film`). Training and validation share no photograph. The clips are
    encoded by a real HEVC encoder. It takes a minute or two to build.
    """

    name = "demo"
    Options = DemoOptions

    def plan(self, options: DemoOptions) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Raises:
          UserError: sizes that cannot be, or scikit-image is not installed.
        """
        options.check()
        if min(options.clips, options.val_clips) < 1:
            raise UserError("--clips and --val-clips must be at least 1")
        scenes = [
            *_scenes("train", TRAIN_PHOTOS, options.clips, options),
            *_scenes("val", VAL_PHOTOS, options.val_clips, options),
        ]
        return plans_of(options, scenes, f"{len(scenes)} scenes")


def _scenes(
    split: str, photos: tuple[str, ...], count: int, options: DemoOptions
) -> list[tuple[str, str, SceneOrigin]]:
    scenes = []
    for index in range(count):
        photo = photos[index % len(photos)]
        # One or two patches, of the photographs that follow in the list.
        after = [photos[(index + 1 + k) % len(photos)] for k in range(1 + index % 2)]
        scene = Scene(
            photo,
            tuple(p for p in after if p != photo),
            seed=options.seed * 100_000 + (0 if split == "train" else 50_000) + index,
            speed=options.speed,
            noise=options.noise,
            **options.of_scenes,
        )
        scenes.append((f"{split}_{index:02d}_{photo}", split, SceneOrigin(scene)))
    return scenes
