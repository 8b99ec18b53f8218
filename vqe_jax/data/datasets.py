"""Data sets that are not built but open themselves: simulators, streams, test patterns.

``data.dataset`` of a run names one that is registered, or ``"package.module:Name"``; it takes the
place of the folder in which built data sets lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vqe_jax.registry import Registry

if TYPE_CHECKING:
    from vqe_jax.data.pair import Pair
    from vqe_jax.data.pipeline import DataConfig

__all__ = ["DATASETS", "Dataset", "register", "unregister"]


@runtime_checkable
class Dataset(Protocol):
    """What training and evaluation ask of a data set."""

    def batches(self, config: DataConfig, **keys: Any) -> Iterator[Any]:
        """What :func:`vqe_jax.data.pipeline.batches` promises, with its keywords.

        Batch n is a function of (seed, n) alone; the iterator has ``get_state`` and ``set_state``.
        """

    def pairs(self, split: str) -> Sequence[Pair]:
        """The clips of a split, for validation and evaluation."""


DATASETS: Registry[Dataset] = Registry(
    "data set",
    {},
    check=lambda entry: isinstance(entry, Dataset),
    expected="an object with batches(config, **keys) and pairs(split)",
)

register, unregister = DATASETS.register, DATASETS.unregister
