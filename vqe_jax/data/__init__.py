"""Pairs of compressed and raw clips, and the pipeline that feeds training.

``build.build`` encodes videos into a data set (also ``python -m vqe_jax.data``), ``open_pairs``
opens one, ``pipeline.batches`` draws training batches from it.
"""

from vqe_jax.data.pair import Pair, open_pairs

__all__ = ["Pair", "open_pairs"]
