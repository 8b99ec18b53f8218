"""Enhance frames that are in memory, or pass by: ``python examples/frames_api.py [VIDEO]``."""

import sys

import numpy as np

import vqe_jax
from vqe_jax import video
from vqe_jax.inference import enhance_frames


def moving_bars(frames=6, height=48, width=64):
    """A clip ``[t, h, w, 1]`` in [0, 1], in place of a video: luma, coarsely quantized."""
    y, x = np.mgrid[:height, :width]
    clip = [0.5 + 0.4 * np.sin(0.3 * x + 0.1 * y + 0.5 * t) for t in range(frames)]
    return (np.round(np.stack(clip) * 16) / 16).astype(np.float32)[..., None]


def luma_of(path):
    """The frames of a file one after the other, as ``[h, w, 1]`` in [0, 1]."""
    with video.open_reader(path) as reader:
        for frame in reader:
            yield video.luma(frame, reader.info)[..., None]


def main(path=None, model="any"):
    """A whole clip at once, then the same as a stream."""
    clip = moving_bars() if path is None else np.stack(list(luma_of(path))[:30])
    at_once = vqe_jax.enhance(clip, model=model)
    print(f"{len(clip)} frames at once: {at_once.shape}, {at_once.dtype}")

    # Any iterable of frames; as few are held as the network looks at, however long it is.
    stream = clip if path is None else luma_of(path)
    changes = []
    for before, after in zip(clip, enhance_frames(model, stream), strict=False):
        changes.append(255 * float(np.abs(after - before).mean()))
    print(f"as a stream: frames change by {np.mean(changes):.2f} code values")
    return at_once, changes


if __name__ == "__main__":
    main(*sys.argv[1:2])
