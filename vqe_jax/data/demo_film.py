"""Moving scenes made of still photographs.

A virtual camera pans, zooms, turns and shakes over a photograph while patches cut from other
photographs move across it and hide what is behind them; the sensor adds noise that grows with the
light. Texture is real, motion is known to be smooth, and occlusion uncovers true background: what a
video network has to learn is all there, though no substitute for video. Everything follows from the
scene's seed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.codes import from_codes, to_codes
from vqe_jax.data.jobs import VideoOrigin
from vqe_jax.data.variants import resize_plane
from vqe_jax.data.yuv420 import YUV420P8
from vqe_jax.errors import UserError
from vqe_jax.video import (
    ColorTags,
    Frame,
    VideoInfo,
    from_rgb,
    open_reader,
    read_frames,
    to_rgb,
)

__all__ = ["Scene", "SceneOrigin", "photograph", "render"]

# Raised when the same scene would give other pictures.
_FORM = 1
_BT709 = ColorTags(matrix=1, range=1, primaries=1, transfer=1, siting="left")


@dataclasses.dataclass(frozen=True)
class Scene:
    """A scene to be filmed.

    Attributes:
      photo: the background: a picture file, or a name in ``skimage.data`` (of those in its wheel).
      foregrounds: photographs the moving patches are cut from.
      width: of the picture, in pixels.
      height: of the picture, in pixels.
      speed: 1: a few pixels a frame at most; scales all motion.
      noise: standard deviation of the sensor's noise at mid-gray, in code values of 8 bits.
    """

    photo: str
    foregrounds: tuple[str, ...]
    seed: int
    frames: int = 48
    width: int = 320
    height: int = 192
    frame_rate: int = 25
    speed: float = 1.0
    noise: float = 1.0


@functools.lru_cache(maxsize=4)
def photograph(name: str, width: int, height: int) -> np.ndarray:
    """A photograph, just large enough for a camera to move over.

    Args:
      name: as :attr:`Scene.photo`.
      width: of the camera's picture, in pixels.
      height: of the camera's picture, in pixels.

    Returns:
      float32 ``[h, w, 3]`` in [0, 1]; gray photographs have three equal channels.

    Raises:
      UserError: it cannot be read, or scikit-image is not installed.
    """
    picture = _picture_file(Path(name)) if Path(name).suffix else _picture_of_skimage(name)
    channels = [picture] * 3 if picture.ndim == 2 else [picture[..., c] for c in range(3)]
    # A camera's picture is sharp to the pixel; half as much again leaves it room to move.
    share = max(1.5 * width / picture.shape[1], 1.5 * height / picture.shape[0])
    size = (round(picture.shape[0] * share), round(picture.shape[1] * share))
    if share < 1:
        channels = [resize_plane(np.ascontiguousarray(c), *size) for c in channels]
    return from_codes(np.stack(channels, axis=-1))


def _picture_file(path: Path) -> np.ndarray:
    (frame,) = read_frames(path, 0, 1)
    return to_codes(to_rgb(frame, open_reader(path).info))


def _picture_of_skimage(name: str) -> np.ndarray:
    try:
        import skimage.data
    except ModuleNotFoundError as err:
        raise UserError(
            "the demo's photographs come with scikit-image; pip install 'vqe-jax[demo]'"
        ) from err
    picture = getattr(skimage.data, name)()
    return np.asarray(picture[0] if isinstance(picture, tuple) else picture)


@functools.lru_cache(maxsize=4)
def _spline(name: str, width: int, height: int) -> tuple[np.ndarray, ...]:
    """Cubic spline coefficients of each channel, so that sampling between pixels stays sharp."""
    from scipy.ndimage import spline_filter

    picture = photograph(name, width, height)
    channels = picture[..., :1] if np.ptp(picture, axis=-1).max() == 0 else picture
    return tuple(
        spline_filter(channels[..., c], order=3, output=np.float32, mode="mirror")
        for c in range(channels.shape[-1])
    )


def _sample(spline: tuple[np.ndarray, ...], y: np.ndarray, x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    places = np.stack([y, x])
    sampled = [map_coordinates(c, places, order=3, prefilter=False, mode="mirror") for c in spline]
    return np.stack(np.broadcast_arrays(*sampled, *sampled[:1] * (3 - len(sampled))), axis=-1)


def _wander(rng: np.random.Generator, frames: int, waves: int = 3) -> np.ndarray:
    """A smooth path in [-1, 1]: a few slow sine waves."""
    time = np.arange(frames) / 25
    rates, phases = rng.uniform(0.1, 0.6, waves), rng.uniform(0, 2 * np.pi, waves)
    shares = rng.dirichlet(np.ones(waves))
    path = shares * np.sin(2 * np.pi * rates * time[:, None] + phases)
    return path.sum(axis=-1)


def _travel(rng: np.random.Generator, frames: int, room: float, fastest: float) -> np.ndarray:
    """A smooth path within ``room`` pixels of 0, never faster than ``fastest`` pixels a frame."""
    path = room * _wander(rng, frames)
    step = float(np.abs(np.diff(path, append=path[-1])).max())
    return path * min(1.0, fastest / max(step, 1e-6))


def _shake(rng: np.random.Generator, frames: int, size: float) -> np.ndarray:
    """A hand's tremor: noise without its fastest part, of a standard deviation in pixels."""
    noise = rng.standard_normal(frames + 8)
    smooth = np.convolve(noise, np.hanning(6)[1:-1], mode="same")[4:-4]
    return size * smooth / max(float(smooth.std()), 1e-6)


@dataclasses.dataclass(frozen=True)
class _Camera:
    """Where each pixel of the picture looks: a turn, a zoom and a shift a frame."""

    x: np.ndarray
    y: np.ndarray
    angle: np.ndarray
    zoom: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, scene: Scene, size: tuple[int, int]) -> _Camera:
        frames, speed = scene.frames, scene.speed
        zoom = 1.0 + 0.12 * speed * _wander(rng, frames)
        room_y = max(0.0, size[0] - scene.height) / 2
        room_x = max(0.0, size[1] - scene.width) / 2
        still = rng.random() < 0.2  # a tripod: only the foreground moves
        fastest = 0.0 if still else speed * rng.uniform(0.5, 4.0)
        tremor = 0.0 if still else speed * rng.uniform(0.0, 0.8)
        center = rng.uniform(-0.3, 0.3, 2)
        shift_x = _travel(rng, frames, 0.9 * room_x, fastest) + _shake(rng, frames, tremor)
        shift_y = _travel(rng, frames, 0.9 * room_y, 0.6 * fastest) + _shake(rng, frames, tremor)
        return cls(
            x=size[1] / 2 + room_x * center[0] + shift_x,
            y=size[0] / 2 + room_y * center[1] + shift_y,
            angle=np.deg2rad(0.0 if still else 4.0 * speed) * _wander(rng, frames),
            zoom=np.ones(frames) if still else zoom,
        )

    def pose(self, t: int) -> tuple[float, ...]:
        """All that decides where frame t looks."""
        return tuple(float(path[t]) for path in (self.x, self.y, self.angle, self.zoom))

    def look(self, t: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the photograph for each pixel of frame t."""
        v, u = np.meshgrid(
            np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
        )
        c, s = np.cos(self.angle[t]) / self.zoom[t], np.sin(self.angle[t]) / self.zoom[t]
        return self.y[t] + s * u + c * v, self.x[t] + c * u - s * v


@dataclasses.dataclass(frozen=True)
class _Patch:
    """A piece of a photograph with a wavy outline, on a way of its own."""

    spline: tuple[np.ndarray, ...]
    center: tuple[float, float]
    radius: float
    waves: np.ndarray
    phases: np.ndarray
    x: np.ndarray
    y: np.ndarray
    spin: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, scene: Scene, photo: str) -> _Patch:
        spline = _spline(photo, scene.width, scene.height)
        radius = float(rng.uniform(0.14, 0.28)) * scene.height
        rows, columns = spline[0].shape
        time = np.arange(scene.frames) / max(scene.frames - 1, 1)
        # Straight across with a wobble, at up to about 3 pixels a frame.
        way = rng.uniform(0.5, 3.0) * scene.speed * scene.frames * rng.choice([-1, 1])
        across = scene.width / 2 + way * (time - 0.5) + 0.1 * scene.width * rng.uniform(-1, 1)
        wobble = 0.3 * scene.height * _wander(rng, scene.frames)
        return cls(
            spline,
            (float(rng.uniform(0.3, 0.7)) * rows, float(rng.uniform(0.3, 0.7)) * columns),
            radius,
            rng.uniform(0.0, 0.12, 4),
            rng.uniform(0, 2 * np.pi, 4),
            across,
            scene.height * float(rng.uniform(0.3, 0.7)) + wobble,
            np.deg2rad(15 * scene.speed) * _wander(rng, scene.frames),
        )

    def paint(self, picture: np.ndarray, t: int) -> None:
        """Puts the patch into frame t; its edge is one pixel soft."""
        reach = int(self.radius * 1.6) + 2
        top, left = round(self.y[t]) - reach, round(self.x[t]) - reach
        rows = slice(max(top, 0), max(top + 2 * reach, 0))
        columns = slice(max(left, 0), max(left + 2 * reach, 0))
        region = picture[rows, columns]
        if region.size == 0:
            return
        v = (np.arange(region.shape[0]) + rows.start - self.y[t])[:, None]
        u = (np.arange(region.shape[1]) + columns.start - self.x[t])[None, :]
        c, s = np.cos(self.spin[t]), np.sin(self.spin[t])
        down, across = s * u + c * v, c * u - s * v
        # Nothing beyond the largest wave is covered, two thirds of the region.
        near = np.hypot(down, across) < self.radius * (1 + self.waves.sum()) + 0.5
        down, across, behind = down[near], across[near], region[near]
        angle = np.arctan2(down, across)[..., None] * np.arange(2, 6)
        outline = self.radius * (1 + (self.waves * np.sin(angle + self.phases)).sum(axis=-1))
        cover = np.clip(outline - np.hypot(down, across) + 0.5, 0, 1)[..., None]
        texture = _sample(self.spline, self.center[0] + down, self.center[1] + across)
        region[near] = behind + (cover * (texture - behind)).astype(np.float32)


def render(scene: Scene) -> Iterator[np.ndarray]:
    """Films a scene.

    Yields:
      float32 ``[h, w, 3]`` in [0, 1], one a frame.
    """
    rng = np.random.default_rng([_FORM, scene.seed])
    background = _spline(scene.photo, scene.width, scene.height)
    camera = _Camera.draw(rng, scene, background[0].shape)
    patches = [_Patch.draw(rng, scene, photo) for photo in scene.foregrounds]
    seen, bare = None, np.empty(0, np.float32)
    for t in range(scene.frames):
        if camera.pose(t) != seen:  # on a tripod it never moves
            seen = camera.pose(t)
            bare = _sample(background, *camera.look(t, scene.height, scene.width))
        picture = np.array(bare, np.float32, order="C")
        for patch in patches:
            patch.paint(picture, t)
        picture = np.clip(picture, 0, 1)
        # Photons arrive at random: the variance grows with the light, from that of reading out.
        deviation = scene.noise / 255 * np.sqrt(0.5 + picture)
        grain = rng.standard_normal(picture.shape, np.float32)
        yield np.clip(picture + deviation * grain, 0, 1, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class SceneOrigin:
    """A scene as the origin of a clip."""

    scene: Scene

    @property
    def source(self) -> str:
        """The photographs."""
        photos = (self.scene.photo, *self.scene.foregrounds)
        names = ", ".join(Path(photo).name for photo in photos)
        return names if Path(photos[0]).suffix else f"skimage.data: {names}"

    @property
    def frames(self) -> int | None:
        """How many frames are used at most: all."""
        return None

    def identity(self) -> Any:
        """The scene and its photographs, wherever they lie, and the form of this file."""
        photos = (self.scene.photo, *self.scene.foregrounds)
        files = [VideoOrigin(p).identity() if Path(p).suffix else p for p in photos]
        plain = dataclasses.replace(self.scene, photo="", foregrounds=())
        return [_FORM, dataclasses.asdict(plain), files]

    def length(self) -> int:
        """How many frames there are."""
        return self.scene.frames

    def open(self) -> tuple[VideoInfo, Iterable[Frame]]:
        """Description and frames (8-bit 4:2:0, BT.709)."""
        scene = self.scene
        info = VideoInfo(
            scene.width, scene.height, YUV420P8, _BT709, Fraction(scene.frame_rate), codec="scene"
        )
        return info, _Film(scene, info)


@dataclasses.dataclass(frozen=True)
class _Film:
    """A scene's frames; can be walked through repeatedly."""

    scene: Scene
    info: VideoInfo

    def __iter__(self) -> Iterator[Frame]:
        return (from_rgb(rgb, self.info) for rgb in render(self.scene))
