"""Frozen feature networks and what stands on them: LPIPS, DISTS, Inception.

Modules only: their weights come from :func:`vqe_jax.weights.load_perceptual`, and whoever applies
them passes the variables.
"""

from vqe_jax.perceptual.alexnet import AlexNet
from vqe_jax.perceptual.dists import DISTS
from vqe_jax.perceptual.images import check_images, check_pair
from vqe_jax.perceptual.inception import InceptionV3
from vqe_jax.perceptual.lpips import LPIPS, LPIPS_NETS
from vqe_jax.perceptual.pyramid import gaussian_downscale
from vqe_jax.perceptual.squeezenet import SqueezeNet

__all__ = [
    "DISTS",
    "LPIPS",
    "LPIPS_NETS",
    "AlexNet",
    "InceptionV3",
    "SqueezeNet",
    "check_images",
    "check_pair",
    "gaussian_downscale",
]
