"""The commands as an installation has them: ``vqe-train``, ``vqe-evaluate``, ``vqe-enhance`` ...

Each imports its own room when called, so that none waits for another's libraries.
"""

from __future__ import annotations

from vqe_jax.errors import run_cli

__all__ = ["data", "enhance", "evaluate", "train"]


def train() -> None:
    """Trains a network: ``vqe-train --config vig:demo``."""
    from vqe_jax.training.cli import main

    run_cli(main)


def evaluate() -> None:
    """Evaluates models: ``vqe-evaluate runs/vig``."""
    from vqe_jax.evaluation.cli import main

    run_cli(main)


def enhance() -> None:
    """Enhances a video: ``vqe-enhance IN OUT``."""
    from vqe_jax.inference.cli import main

    run_cli(main)


def data() -> None:
    """Builds a data set: ``vqe-data clips --source my_videos --qp 37``."""
    from vqe_jax.data.__main__ import main

    run_cli(main)
