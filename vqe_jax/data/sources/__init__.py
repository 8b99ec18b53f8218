"""The data sets that can be built.

:data:`SOURCES` is the table of them; ``SOURCES.register("mine", MySource)`` adds one, and wherever
a data set is built by name, ``"my_package.my_module:MySource"`` is taken too.
"""

from __future__ import annotations

from typing import Any

from vqe_jax.data.sources.base import Source
from vqe_jax.registry import Registry

__all__ = ["SOURCES", "find_source"]


def _is_source(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, Source)


SOURCES: Registry[type[Source]] = Registry(
    "data set",
    {
        "clips": "vqe_jax.data.sources.clips:Clips",
        "demo": "vqe_jax.data.sources.demo:Demo",
        "jct_vc": "vqe_jax.data.sources.jct_vc:JctVc",
        "ldv": "vqe_jax.data.sources.ldv:Ldv",
        "ldv_v2": "vqe_jax.data.sources.ldv:LdvV2",
        "mfqe_v2": "vqe_jax.data.sources.mfqe_v2:MfqeV2",
        "scenes": "vqe_jax.data.sources.scenes:Scenes",
    },
    check=_is_source,
    expected="a subclass of vqe_jax.data.sources.base.Source",
)


def find_source(dataset: str) -> Source:
    """The source of a data set.

    Args:
      dataset: a name in :data:`SOURCES`, or ``"module:Class"``.

    Raises:
      UserError: there is none of that name.
    """
    return SOURCES.get(dataset)()
