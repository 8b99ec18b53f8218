"""Evaluates models and writes a report: ``python evaluate.py --help`` says how."""

from vqe_jax.errors import run_cli
from vqe_jax.evaluation.cli import main

if __name__ == "__main__":
    run_cli(main)
