"""RFDA: STDF with recursive fusion (RF) and deformable spatio-temporal attention (DSTA).

Zhao et al., "Recursive Fusion and Deformable Spatiotemporal Attention for Video Compression
Artifact Reduction", ACM MM 2021. Fields take its parts out one by one: without RF and DSTA it is
STDF-R3, and every row of the paper's ablations is a setting. Defaults follow the released code;
where the paper's words differ there is a field (``first_state``, ``beta``, ``last_relu``).

Only RF is recurrent: windows are fused for all frames in one call before the scan, and enhanced in
one call after it.
"""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Side
from vqe_jax.nn.deformable_attention import DSTA_MIN_SIDE
from vqe_jax.nn.enhancement import Attention, PlainEnhancement
from vqe_jax.nn.frame_windows import frame_stack, frame_windows
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.nn.recursive_fusion import ConvLSTM, FirstState, RecursiveFusion
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.stdf_fusion import STDFFusion

__all__ = ["RFDA"]

Clip = Float[Array, "b t h w c"]
Map = Float[Array, "b h w f"]


class RFDA(Network):
    """Fuses a window, refines it with the past's features, enhances with attention."""

    radius: int = 3  # neighbors on each side; 4 is STDF-R4
    recursive_fusion: Literal["rf", "conv_lstm", "none"] = "rf"
    attention: Attention = "dsta"  # "no_deformable", "no_channel": without that part
    beta: float = 0.2  # weight of what the past adds
    first_state: FirstState = "zeros"  # "identity": as the paper says
    last_relu: bool = True  # after the fusion's second convolution; the paper draws none
    reset_every: int | None = None  # frames after which the past is forgotten; RF-15 is 15
    features: int = 32  # of the U-Nets that predict offsets
    depth: int = 3  # times that they halve the size
    fused_features: int = 64  # of the state
    qe_features: int = 48  # hidden channels of the enhancement
    qe_depth: int = 8  # its convolutions
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """A window and, with a recursion, the past; offsets reach arbitrarily far."""
        return Context(
            past=self.radius,
            future=self.radius,
            recurrence="none" if self.recursive_fusion == "none" else "forward",
            multiple=2**self.depth,
            min_side=1 if self.attention == "none" else DSTA_MIN_SIDE,
        )

    def setup(self) -> None:
        """Fusion, recursion and enhancement."""
        self._check()

        def part(cls: Any) -> Any:
            return recomputed(self.remat)(cls)

        self.fusion = part(STDFFusion)(
            self.features, self.fused_features, self.depth, dtype=self.dtype
        )
        self.enhancement = part(PlainEnhancement)(
            self.qe_features, self.qe_depth, self.channels, self.attention
        )
        recursions: dict[str, Any] = {
            "rf": lambda: RecursiveFusion(
                self.features, self.depth, self.beta, self.first_state, self.last_relu
            ),
            "conv_lstm": lambda: ConvLSTM(self.beta),
        }
        if self.recursive_fusion != "none":
            self.recursion = recursions[self.recursive_fusion]()

    def forward(self, clip: Clip, *, side: Side, train: bool) -> Clip:
        """Enhances every frame; neighbors beyond the ends are the end frames."""
        windows = frame_windows(clip, self.radius)
        b, t = windows.shape[:2]
        h = self.fusion(windows.reshape(b * t, *windows.shape[2:]))
        if self.recursive_fusion != "none":
            h = self._recur(h.reshape(b, t, *h.shape[1:])).reshape(h.shape)
        return clip + self.enhancement(h).reshape(clip.shape).astype(clip.dtype)

    def advance(
        self, state: Any, window: Float[Array, "b n h w c"], *, side: Side
    ) -> tuple[Any, Float[Array, "b h w c"]]:
        """One frame of a stream."""
        h = self.fusion(frame_stack(window))
        if state is None:
            state = self._initial(h)
        state, h = self._advance(state, h)
        return state, window[:, self.radius] + self.enhancement(h).astype(window.dtype)

    def _recur(self, h: Float[Array, "b t h w f"]) -> Float[Array, "b t h w f"]:
        def advance(network: RFDA, state: Any, x: Map) -> tuple[Any, Map]:
            return network._advance(state, x)

        state = self._initial(h[:, 0])
        return scan_time(self, state, h, method=advance, remat=self.remat)[1]

    def _initial(self, h: Map) -> Any:
        """Maps, and the frame's number where it matters."""
        maps = self.recursion.initial(h)
        return (maps, jnp.zeros((), jnp.int32)) if self._counts else maps

    @property
    def _counts(self) -> bool:
        # With zeros before the first frame and nothing to forget, no frame is special.
        return self.reset_every is not None or self.first_state == "identity"

    def _advance(self, state: Any, h: Map) -> tuple[Any, Map]:
        if not self._counts:
            return self.recursion(state, (h, None))
        maps, age = state
        fresh = self._is_fresh(age)
        maps, h = self.recursion(maps, (h, fresh))
        return (maps, age + 1), h

    def _is_fresh(self, age: Int[Array, ""]) -> Bool[Array, ""]:
        return (age if self.reset_every is None else age % self.reset_every) == 0

    def _check(self) -> None:
        if self.reset_every is not None and self.reset_every < 1:
            raise UserError(f"rfda: reset_every={self.reset_every} must be at least 1, or None")
        if self.attention != "none" and self.qe_features % 4:
            raise UserError(
                f"rfda: qe_features={self.qe_features} must be a multiple of 4 for DSTA"
            )
