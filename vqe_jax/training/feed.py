"""Batches from the pipeline onto the devices, one ahead of the step."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from vqe_jax.data.pair import SideInfo
from vqe_jax.data.pipeline import DataConfig, batches
from vqe_jax.errors import UserError
from vqe_jax.models import Side
from vqe_jax.models.references import Selection
from vqe_jax.training.sections import check_keys

__all__ = ["Feed", "data_config"]


def data_config(section: dict[str, Any], overrides: dict[str, Any], where: str) -> DataConfig:
    """The pipeline's settings from a config's ``data`` and a stage's overrides.

    Raises:
      UserError: an unknown or missing key.
    """
    values = {**section, **overrides}
    check_keys(DataConfig, values, where)
    return DataConfig(**values)


@dataclasses.dataclass(frozen=True)
class _OfClip:
    """A network's selection of frames, asked for one clip of a data set."""

    selection: Selection

    def prepare(self, side: SideInfo) -> SideInfo:
        known = self.selection.prepare(_side(side))
        return SideInfo(side.qp, *(np.asarray(getattr(known, name)[0]) for name in _FRAMES))

    def indices(self, side: SideInfo, length: int) -> np.ndarray:
        return np.asarray(self.selection.indices(_side(side), length)).reshape(length, -1)


_FRAMES = ("frame_qp", "frame_type", "peak", "codec")


def _side(clip: SideInfo) -> Side:
    """A batch of one clip."""
    return Side(qp=np.array([clip.qp]), **{n: getattr(clip, n)[None] for n in _FRAMES})


class Feed:
    """The batches of a stage, on the devices.

    The global batch n is a function of (seed, n) alone; the iterator's own state is kept beside a
    checkpoint and put back on resume.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        seed: int,
        start: int,
        sharding: NamedSharding,
        check_qp: Callable[[Any], None] = lambda _: None,
        references: Selection | None = None,
    ) -> None:
        """Opens the pipeline at batch ``start``.

        Args:
          check_qp: refuses the QPs of a batch that the network cannot be told.
          references: chooses the frames of an example; None: frames that follow each other.
        """
        self._check_qp = check_qp
        self._iterator = iter(
            batches(
                config,
                seed=seed,
                host=jax.process_index(),
                hosts=jax.process_count(),
                start=start,
                references=None if references is None else _OfClip(references),
            )
        )
        self._sharding = sharding
        self._ahead: Any = None
        self._before: Any = None

    def take(self) -> tuple[dict[str, jax.Array], list[str]]:
        """The next batch, and the names of its clips where the pipeline gives them."""
        if self._ahead is None:
            self.prefetch()
        taken, self._ahead = self._ahead, None
        return taken

    def prefetch(self) -> None:
        """Makes the next batch and starts its way to the devices."""
        if self._ahead is None:
            self._before = self._iterator.get_state()
            batch = next(self._iterator)
            if "qp" in batch:
                self._check_qp(batch["qp"])
            names = [str(n) for n in np.ravel(batch.get("name", []))]
            arrays = {k: v for k, v in batch.items() if np.asarray(v).dtype.kind in "bfiu"}
            self._ahead = {k: self._place(v) for k, v in arrays.items()}, names

    def _place(self, array: np.ndarray) -> jax.Array:
        devices = self._sharding.mesh.devices.size
        rows = array.shape[0] * jax.process_count()
        if rows % devices:
            raise UserError(
                f"a batch of {rows} does not divide among {devices} devices; choose another "
                "data.batch or set config.devices"
            )
        if jax.process_count() == 1:
            return jax.device_put(array, self._sharding)
        return jax.make_array_from_process_local_data(self._sharding, array)

    def get_state(self) -> str:
        """The iterator's state before the next batch to be taken, as JSON."""
        state = self._iterator.get_state() if self._ahead is None else self._before
        return json.dumps(state.decode() if isinstance(state, bytes) else state)

    def set_state(self, state: str) -> None:
        """Goes on where :meth:`get_state` was called."""
        self._ahead = None
        self._iterator.set_state(json.loads(state))
