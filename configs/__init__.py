"""The recipes, one file a paper; the installed package holds them as ``vqe_jax.recipes``."""
