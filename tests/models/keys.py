"""Lists of official tensors: names and shapes, as PyTorch prints them."""

import ast

from vqe_jax.weights import conversion


def listed(shared, name):
    """``{tensor: shape}`` of a list of the shared folder."""
    lines = (shared / f"reference/keys/{name}.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return {key: ast.literal_eval(shape) for key, shape in pairs}


def official(name, **fields):
    """The same, as our table says."""
    return {t.names[0]: t.shape for t in conversion.table_of(name, **fields).values()}
