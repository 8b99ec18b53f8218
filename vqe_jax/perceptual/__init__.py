"""Frozen feature networks and what stands on them."""
