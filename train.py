"""Trains a network: ``python train.py --config configs/vig.py[:variant] --workdir runs/vig``.

``--config.key=value`` overrides a key of the config. The same command resumes a run that was
stopped; ``--help`` lists the options.
"""

from vqe_jax.errors import run_cli
from vqe_jax.training.cli import main

if __name__ == "__main__":
    run_cli(main)
