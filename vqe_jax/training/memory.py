"""Whether a network recomputes in its backward pass, where its field ``remat`` leaves that open.

What the backward pass would keep is counted by tracing it, without computing anything. Where that
is at most half of the device's memory it is kept, since recomputing costs a forward pass a step;
the other half is for gradients, the optimizer and the library's work space. The rule looks at the
whole memory and not at what happens to be free, so that a run goes on after a stop as it began.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from vqe_jax.data.pipeline import DataConfig
from vqe_jax.models import Network
from vqe_jax.models.shapes import example_inputs, initial_variables
from vqe_jax.training.forward import method_of

__all__ = ["device_bytes", "kept_bytes", "with_remat"]

_SHARE = 0.5
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def with_remat(network: Network, data: DataConfig, devices: int = 1) -> Network:
    """The network with ``remat`` decided, if it has such a field and that is None."""
    if getattr(network, "remat", False) is not None:
        return network
    memory = device_bytes(jax.devices()[0])
    keeps = memory is not None and kept_bytes(network, data, devices) <= _SHARE * memory
    return network.clone(remat=not keeps)


def device_bytes(device: jax.Device) -> int | None:
    """All memory that a device may use; None where it does not say."""
    if device.platform == "cpu":
        return _host_bytes()
    return (device.memory_stats() or {}).get("bytes_limit")


def _host_bytes() -> int:
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _CGROUPS):
        words = path.read_text().strip() if path.is_file() else ""
        limits += [int(words)] if words.isdigit() else []
    return min(limits)


def kept_bytes(network: Network, data: DataConfig, devices: int = 1) -> int:
    """What a training step keeps for its backward pass on one device, if nothing is recomputed.

    Counted before XLA fuses operations, which keeps less.

    Args:
      network: any; where it has ``remat``, that is off for the count.
    """
    shape = (-(-data.batch // devices), data.frames, *data.crop_size)
    plain = network.clone(remat=False) if hasattr(network, "remat") else network
    return _kept(plain, shape)


@functools.lru_cache(maxsize=32)
def _kept(network: Network, shape: tuple[int, int, int, int]) -> int:
    """Kept, since tracing a large network takes seconds and a stage is assembled twice."""
    context, (batch, frames, height, width) = network.context, shape
    lead: tuple[int, ...] = (batch, frames)
    if context.references is not None:
        lead = (batch, 1, context.references.count)
    clip = jax.ShapeDtypeStruct((*lead, height, width, network.channels), jnp.float32)
    side = _told(network, batch, lead[-1])
    variables = jax.eval_shape(lambda: initial_variables(network, jax.random.key(0)))

    def backward(variables: Any, clip: jax.Array, side: Any) -> Any:
        def forward(params: Any) -> Any:
            held = {**variables, "params": params}
            return network.apply(
                held,
                clip,
                side=side,
                train=True,
                method=method_of(network, frames),
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )[0]

        return jax.vjp(forward, variables["params"])[1]

    kept = jax.tree.leaves(jax.eval_shape(backward, variables, clip, side))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)


def _told(network: Network, batch: int, frames: int) -> Any:
    """Shapes of all that a network may be told of such a batch."""
    side: flax.struct.PyTreeNode = example_inputs(network)[1]["side"]
    sizes = (batch, frames)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(sizes[: x.ndim], x.dtype), side)
