"""DCAD: a deep CNN as an auto-decoder of HEVC (Wang, Chen and Chao, DCC 2017).

Ten convolutions that predict a frame's residual: :class:`~vqe_jax.models.dncnn.DnCNN` less deep and
without normalization, in PowerQE's form.
"""

from __future__ import annotations

from vqe_jax.models.dncnn import DnCNN

__all__ = ["DCAD"]


class DCAD(DnCNN):
    """``depth + 2`` convolutions from a frame to its residual."""

    depth: int = 8  # hidden convolutions
