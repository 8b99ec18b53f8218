"""Several local devices at one stream.

Pieces of a stream and tiles of a frame are shared out whole: every device runs the program that one
device alone would run, so that the results are the same. A frame of a network that carries a state
cannot be: its rows are divided, and XLA exchanges what convolutions read across the borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vqe_jax.errors import UserError
from vqe_jax.inference.ahead import program

__all__ = ["Devices", "Each", "Part"]

_AXIS = "device"

# (network, variables, *part) -> tree of arrays; jitted, the network static.
Program = Callable[..., Any]
Part = tuple[Any, ...]
# The program bound: parts -> a result for each, in order.
Each = Callable[[Iterable[Part]], Iterable[Any]]


class Devices:
    """The local devices that share the work of a stream."""

    def __init__(self, count: int | None = None) -> None:
        """Chooses the first few.

        Args:
          count: how many; None: all accelerators, or the one CPU.

        Raises:
          UserError: more than there are.
        """
        there = jax.local_devices()
        if count is None:
            count = 1 if jax.default_backend() == "cpu" else len(there)
        if not 1 <= count <= len(there):
            raise UserError(
                f"devices={count}; there are {len(there)} {jax.default_backend()} devices here"
            )
        self.count = count
        self._mesh = Mesh(np.asarray(there[:count]), (_AXIS,))

    def take(self, frame: Any) -> Any:
        """A frame of a piece: on the device where there is one, else on the host until shared."""
        if self.count == 1:
            return _on_device(frame)
        return np.asarray(frame, np.float32)

    def divide(self, frame: Any) -> jax.Array:
        """A frame ``[h, w, c]`` on all devices, each with some of its rows, or of its columns.

        Where neither number of rows nor of columns divides by that of devices, fewer are used.
        """
        if self.count == 1:
            return _on_device(frame)
        height, width = frame.shape[:2]
        used = max(n for n in range(1, self.count + 1) if height % n == 0 or width % n == 0)
        mesh = Mesh(self._mesh.devices[:used], (_AXIS,))
        spec = PartitionSpec(_AXIS) if height % used == 0 else PartitionSpec(None, _AXIS)
        return jax.device_put(np.asarray(frame, np.float32), NamedSharding(mesh, spec))

    def beside(self, frame: Any, variables: Any) -> Any:
        """A network's variables on the devices of a frame that :meth:`divide` gave."""
        if self.count == 1:
            return variables
        return jax.device_put(variables, NamedSharding(frame.sharding.mesh, PartitionSpec()))

    def each(
        self, call: Program, network: Any, variables: Any, parts: Iterable[Part]
    ) -> Iterator[Any]:
        """Runs a program on every part; as many at a time as there are devices.

        Args:
          call: ``(network, variables, *part)``, jitted, its first argument static.
          parts: tuples of trees of arrays; those of the same shapes run at a time.

        Yields:
          The result of each part, in order; NumPy arrays where there are several devices.
        """
        if self.count == 1:
            for part in parts:
                yield call(network, variables, *part)
            return
        known = list(parts)
        results: list[Any] = [None] * len(known)
        alike: dict[Any, list[int]] = {}
        for index, part in enumerate(known):
            alike.setdefault(_shapes(part), []).append(index)
        for indices in alike.values():
            for begin in range(0, len(indices), self.count):
                group = indices[begin : begin + self.count]
                found = self._at_once(call, network, variables, [known[i] for i in group])
                for place, index in enumerate(group):
                    results[index] = jax.tree.map(lambda x, at=place: x[at], found)
        yield from results

    def _at_once(self, call: Program, network: Any, variables: Any, parts: Sequence[Part]) -> Any:
        """One part a device; the last is repeated where there are fewer."""
        filled = [*parts, *[parts[-1]] * (self.count - len(parts))]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *filled)
        shared = jax.device_put(stacked, NamedSharding(self._mesh, PartitionSpec(_AXIS)))
        return jax.device_get(_on_each(self._mesh, call, network, variables, shared))


def _on_device(frame: Any) -> jax.Array:
    if isinstance(frame, jax.Array):
        return frame.astype(np.float32)
    return jax.device_put(np.asarray(frame, np.float32))


def _shapes(part: Part) -> Any:
    leaves, tree = jax.tree.flatten(part)
    return tree, tuple((x.shape, np.dtype(x.dtype)) for x in leaves)


@program(0, 1, 2)
def _on_each(mesh: Mesh, call: Program, network: Any, variables: Any, parts: Any) -> Any:
    """The program on each device, with the part that lies there."""

    def alone(variables: Any, parts: Any) -> Any:
        result = call(network, variables, *jax.tree.map(lambda x: x[0], parts))
        return jax.tree.map(lambda x: x[None], result)

    here = PartitionSpec(_AXIS)
    return jax.shard_map(
        alone, mesh=mesh, in_specs=(PartitionSpec(), here), out_specs=here, check_vma=False
    )(variables, parts)
