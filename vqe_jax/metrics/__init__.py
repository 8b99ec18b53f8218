"""Quality metrics, each with its protocol written down."""

from vqe_jax.metrics.bd_rate import bd_psnr, bd_rate
from vqe_jax.metrics.dists import dists
from vqe_jax.metrics.fid import Moments, fid, frechet_distance
from vqe_jax.metrics.fluctuation import peak_valley_difference, standard_deviation
from vqe_jax.metrics.kid import KID, kid
from vqe_jax.metrics.lpips import lpips
from vqe_jax.metrics.ms_ssim import ms_ssim
from vqe_jax.metrics.perceptual import PERCEPTUAL_PROTOCOLS, perceptual_protocol
from vqe_jax.metrics.protocols import PROTOCOLS, Protocol, protocol, register
from vqe_jax.metrics.psnr import mse, psnr, quantize
from vqe_jax.metrics.ssim import ssim, ssim_map
from vqe_jax.metrics.vmaf import VMAF, vmaf

__all__ = [
    "KID",
    "PERCEPTUAL_PROTOCOLS",
    "PROTOCOLS",
    "VMAF",
    "Moments",
    "Protocol",
    "bd_psnr",
    "bd_rate",
    "dists",
    "fid",
    "frechet_distance",
    "kid",
    "lpips",
    "ms_ssim",
    "mse",
    "peak_valley_difference",
    "perceptual_protocol",
    "protocol",
    "psnr",
    "quantize",
    "register",
    "ssim",
    "ssim_map",
    "standard_deviation",
    "vmaf",
]
