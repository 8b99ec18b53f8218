"""Inference, metrics and a report."""
