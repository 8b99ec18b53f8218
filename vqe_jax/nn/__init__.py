"""Flax blocks that two systems or more share."""
