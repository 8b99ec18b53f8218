"""Streaming over time, tiling over space, self-ensemble."""
