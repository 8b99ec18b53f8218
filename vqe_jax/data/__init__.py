"""Pairs of compressed and raw clips, and the pipeline that feeds training."""
