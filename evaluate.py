"""Evaluates models and writes a report: ``python evaluate.py --help`` says how."""

from vqe_jax.commands import evaluate

if __name__ == "__main__":
    evaluate()
