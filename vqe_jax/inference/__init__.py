"""Streaming over time, tiling over space, ensembles: one engine behind evaluate and enhance."""

from vqe_jax.inference.clip import enhance
from vqe_jax.inference.ensemble import SYMMETRIES, enhance_frames_ensemble
from vqe_jax.inference.guard import Guard, GuardEvent, GuardWarning, state_rms
from vqe_jax.inference.options import StreamOptions
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.inference.tiles import Tiling

__all__ = [
    "SYMMETRIES",
    "Guard",
    "GuardEvent",
    "GuardWarning",
    "SceneCut",
    "StreamOptions",
    "Tiling",
    "enhance",
    "enhance_frames",
    "enhance_frames_ensemble",
    "state_rms",
]
