"""Build a data set of your own: ``python examples/own_data.py``.

A folder of videos needs no code: ``python -m vqe_jax.data clips --source my_videos --qp 37``. This
is for frames that come from elsewhere: a camera, a renderer, an archive. Here: drifting waves.
"""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np

from vqe_jax.data import open_pairs
from vqe_jax.data.build import build
from vqe_jax.data.sources.base import AugmentedOptions, Source, option, plans_of
from vqe_jax.video import Frame, VideoInfo


@dataclasses.dataclass(frozen=True)
class Waves:
    """The frames of one clip: 8-bit 4:2:0, as often as they are asked for."""

    seed: int
    frames: int
    side: int = 96
    source = "computed waves"

    def identity(self):
        """Changes when the frames do."""
        return [1, self.seed, self.frames, self.side]

    def length(self):
        """How many frames there are."""
        return self.frames

    def open(self):
        """What the video is, and its frames."""
        info = VideoInfo(self.side, self.side, frame_rate=Fraction(25), codec="waves")
        return info, [self._frame(t) for t in range(self.frames)]

    def _frame(self, t):
        speed, fine = np.random.default_rng(self.seed).uniform(0.1, 0.9, 2)
        y, x = np.mgrid[: self.side, : self.side]
        wave = 128 + 90 * np.sin(fine * x + 0.2 * y + speed * t)
        gray = np.full((self.side // 2, self.side // 2), 128, np.uint8)
        return Frame((wave.astype(np.uint8), gray, gray))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveOptions(AugmentedOptions):
    """Keywords of ``build``, and flags of ``python -m vqe_jax.data own_data:WaveSource``."""

    clips: int = option(4, "training clips")
    length: int = option(12, "frames of a clip")


class WaveSource(Source):
    """Drifting waves."""

    name = "waves"
    Options = WaveOptions

    def plan(self, options):
        """Lists the pairs to make: name, split and frames of each clip."""
        clips = [(f"wave{i}", "train", Waves(i, options.length)) for i in range(options.clips)]
        clips.append(("wave_val", "val", Waves(1000, options.length)))
        return plans_of(options, clips, f"{len(clips)} waves")


def main(folder=Path("runs/own_data"), **options):
    """Encodes the clips at QP 37 and reads one back, as training and evaluation do."""
    build("own_data:WaveSource", folder, qp=(37,), **options)
    pairs = open_pairs(folder, "waves", "train", "qp37")
    pair = pairs[0]
    compressed, raw = (pair.read(side, "luma", 0, 4) for side in ("compressed", "raw"))
    loss = np.abs(compressed.astype(float) - raw).mean()
    print(f"{len(pairs)} pairs; {pair.name}: {len(pair)} frames, off by {loss:.2f} code values")
    return pairs


if __name__ == "__main__":
    main()
