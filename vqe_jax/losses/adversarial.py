"""Losses between a generator and its discriminator.

All work on scores without a sigmoid, of any shape, and return means. ``adversarial`` finds a pair
by name; the same pair serves every network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax.registry import Registry

__all__ = [
    "ADVERSARIAL",
    "AdversarialLoss",
    "adversarial",
    "feature_matching",
    "gradient_penalty",
    "interpolated_gradient_penalty",
]

Scores = Float[Array, "*s"]
Scalar = Float[Array, ""]
Frames = Float[Array, "b h w c"] | Float[Array, "b t h w c"]


@dataclasses.dataclass(frozen=True)
class AdversarialLoss:
    """The two sides of a game; each takes ``(real, fake)`` scores and returns a mean.

    Attributes:
      relative: True if the generator's side looks at the real scores too.
      threshold: a score above it is a verdict of "real"; None where scores only compare.
    """

    discriminator: Callable[[Scores, Scores], Scalar]
    generator: Callable[[Scores, Scores], Scalar]
    relative: bool = False
    threshold: float | None = 0.5


def _lsgan_discriminator(real: Scores, fake: Scores) -> Scalar:
    return (jnp.square(fake).mean() + jnp.square(real - 1).mean()) / 2


def _lsgan_generator(_: Scores, fake: Scores) -> Scalar:
    return jnp.square(fake - 1).mean()


def _hinge_discriminator(real: Scores, fake: Scores) -> Scalar:
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def _hinge_generator(_: Scores, fake: Scores) -> Scalar:
    return -fake.mean()


def _above(score: Scores) -> Scalar:
    """Cross entropy of "this is real" against the logit ``score``."""
    return jax.nn.softplus(-score).mean()


def _rsgan_discriminator(real: Scores, fake: Scores) -> Scalar:
    return _above(real - fake)


def _rsgan_generator(real: Scores, fake: Scores) -> Scalar:
    return _above(fake - real)


def _ragan_discriminator(real: Scores, fake: Scores) -> Scalar:
    return (_above(real - fake.mean()) + _above(real.mean() - fake)) / 2


def _ragan_generator(real: Scores, fake: Scores) -> Scalar:
    return (_above(fake - real.mean()) + _above(fake.mean() - real)) / 2


ADVERSARIAL: Registry[AdversarialLoss] = Registry(
    "adversarial loss",
    {
        # Mao et al., arXiv 1611.04076; the halves as in PeQuENet's and pix2pixHD's code.
        "lsgan": AdversarialLoss(_lsgan_discriminator, _lsgan_generator),
        # Jolicoeur-Martineau, arXiv 1807.00734; the mean of both terms as in ESRGAN.
        "ragan": AdversarialLoss(_ragan_discriminator, _ragan_generator, True, None),
        "rsgan": AdversarialLoss(_rsgan_discriminator, _rsgan_generator, True, None),
        # Miyato et al., arXiv 1802.05957.
        "hinge": AdversarialLoss(_hinge_discriminator, _hinge_generator, threshold=0.0),
    },
    check=lambda x: isinstance(x, AdversarialLoss),
    expected="an AdversarialLoss",
)


def adversarial(name: str) -> AdversarialLoss:
    """The two losses of a game by name.

    Args:
      name: ``"lsgan"``, ``"ragan"``, ``"rsgan"``, ``"hinge"``, one that was registered in
        :data:`ADVERSARIAL`, or ``"package.module:Name"``.

    Raises:
      UserError: another name; says the near misses.

    Example:
      >>> game = adversarial("lsgan")
      >>> float(game.discriminator(jnp.array([1.0]), jnp.array([0.0])))
      0.0
    """
    return ADVERSARIAL.get(name)


def feature_matching(
    real: Sequence[Float[Array, " b *_"]], fake: Sequence[Float[Array, " b *_"]]
) -> Scalar:
    """Sum over a discriminator's feature maps of their mean absolute difference.

    Args:
      real: maps of real frames; not differentiated.
      fake: maps of generated frames, in the same order.
    """
    pairs = zip(real, fake, strict=True)
    return sum(
        (jnp.abs(jax.lax.stop_gradient(r) - f).mean() for r, f in pairs), start=jnp.zeros(())
    )


def gradient_penalty(score: Callable[[Frames], Scores], frames: Frames) -> Scalar:
    """R1: the mean squared norm of the score's gradient at real frames (arXiv 1801.04406).

    Args:
      frames: real frames, or clips for a discriminator of clips.
    """
    gradient = jax.grad(lambda x: score(x).sum())(frames)
    return jnp.square(gradient).sum(axis=tuple(range(1, frames.ndim))).mean()


def interpolated_gradient_penalty(
    key: PRNGKeyArray, score: Callable[[Frames], Scores], real: Frames, fake: Frames
) -> Scalar:
    """WGAN-GP: pulls the gradient's norm to one between real and fake frames (arXiv 1704.00028).

    Args:
      key: draws the place between each pair.
    """
    place = jax.random.uniform(key, (real.shape[0],) + (1,) * (real.ndim - 1), real.dtype)
    between = real * place + fake * (1 - place)
    gradient = jax.grad(lambda x: score(x).sum())(between)
    # The root has no slope at zero: a tiny constant keeps the second derivative finite.
    norm = jnp.sqrt(jnp.square(gradient).sum(axis=tuple(range(1, real.ndim))) + 1e-12)
    return jnp.square(norm - 1).mean()
