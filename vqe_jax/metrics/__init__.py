"""Quality metrics, each with its protocol written down."""

from vqe_jax.metrics.bd_rate import bd_psnr, bd_rate
from vqe_jax.metrics.fluctuation import peak_valley_difference, standard_deviation
from vqe_jax.metrics.pooling import Mean, pool
from vqe_jax.metrics.protocols import PROTOCOLS, Protocol, protocol
from vqe_jax.metrics.psnr import mse, psnr, quantise
from vqe_jax.metrics.ssim import ssim, ssim_map

__all__ = [
    "PROTOCOLS",
    "Mean",
    "Protocol",
    "bd_psnr",
    "bd_rate",
    "mse",
    "peak_valley_difference",
    "pool",
    "protocol",
    "psnr",
    "quantise",
    "ssim",
    "ssim_map",
    "standard_deviation",
]
