"""Stages, train state, step, loop, checkpoints, parallelism."""
