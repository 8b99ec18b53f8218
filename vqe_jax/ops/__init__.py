"""Arrays in, arrays out, no parameters.

Conventions, for every function of this package and those above it:

* a clip is ``float32[b, t, h, w, c]`` in [0, 1], one frame ``[b, h, w, c]``;
* optical flow is ``[..., 2]`` in **(dx, dy)** pixels;
* deformable offsets are ``[..., 2]`` in **(dy, dx)** pixels.
"""

from vqe_jax.ops.deform import deform_conv2d, offsets_from_torch

__all__ = ["deform_conv2d", "offsets_from_torch"]
