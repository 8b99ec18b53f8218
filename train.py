"""Trains a network: ``python train.py --config configs/vig.py[:variant] --workdir runs/vig``."""

from vqe_jax.commands import train

if __name__ == "__main__":
    train()
