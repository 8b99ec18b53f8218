"""A network of single frames as one file that runs without this package.

The file is what :mod:`jax.export` writes: StableHLO with the weights in it, for CPU, CUDA and TPU,
for any number of frames and any sides that suit the network. Elsewhere::

    run = jax.export.deserialize(bytearray(open("fast.jaxexport", "rb").read())).call
    enhanced = run(frames, frame_qp, codec)

with frames float32 ``[b, h, w, 1]`` in [0, 1]; the QP of each, float32 ``[b]``, -1 unknown; and the
family of its codec, int32 ``[b]``, a value of :data:`vqe_jax.video.CODECS`, 0 unknown.

A name that ends in ``.mlir`` gets the program for the CPU as StableHLO's text, which is what other
compilers of StableHLO read.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.files import replacing
from vqe_jax.models import FrameNetwork, Side
from vqe_jax.weights.model_file import ModelFile

__all__ = ["export_model", "save_exported"]

_PLATFORMS = ("cpu", "cuda", "tpu")


def export_model(file: ModelFile, *, platforms: tuple[str, ...] = _PLATFORMS) -> export.Exported:
    """The network as a program of ``(frames, frame_qp, codec)``.

    Args:
      file: of a network that looks at single frames.
      platforms: that it will run on.

    Returns:
      What takes frames ``[b, h, w, c]`` in [0, 1], of sides that are multiples of the network's,
      the QP of each ``[b]``, -1 where unknown, and its codec's family ``[b]``, 0 where unknown; and
      gives the frames enhanced, not clipped.

    Raises:
      UserError: a network that looks at several frames.
    """
    network = file.build()
    if not isinstance(network, FrameNetwork):
        raise UserError(
            f"{file.model!r} looks at more than the frame it enhances and cannot be exported; "
            "networks of single frames can, as the packaged model 'fast'"
        )

    def run(
        frames: Float[Array, "b h w c"], frame_qp: Float[Array, " b"], codec: Int[Array, " b"]
    ) -> Array:
        side = Side(frame_qp=frame_qp[:, None], codec=codec[:, None])
        return network.apply(file.variables, frames, side, method="enhance")  # type: ignore[return-value]

    step = network.context.multiple
    b, h, w = export.symbolic_shape("b, h, w")
    frames = jax.ShapeDtypeStruct((b, step * h, step * w, network.channels), jnp.float32)
    qps, codecs = (jax.ShapeDtypeStruct((b,), dtype) for dtype in (jnp.float32, jnp.int32))
    # A network that is not told one of them has no use for it; the signature stays.
    program = jax.jit(run, keep_unused=True)
    return export.export(program, platforms=platforms)(frames, qps, codecs)


def save_exported(path: str | os.PathLike[str], file: ModelFile) -> None:
    """Writes the program; the suffix ``.mlir`` asks for StableHLO's text, for the CPU.

    Raises:
      UserError: as of :func:`export_model`; flatbuffers is not installed.
    """
    text = Path(path).suffix == ".mlir"
    if not text and importlib.util.find_spec("flatbuffers") is None:
        raise UserError(
            f"{path}: programs are written by flatbuffers, which is not installed; "
            "pip install 'vqe-jax[export]', or name a file .mlir"
        )
    exported = export_model(file, platforms=("cpu",) if text else _PLATFORMS)
    with replacing(path) as part:
        if text:
            part.write_text(exported.mlir_module())
        else:
            part.write_bytes(exported.serialize())
