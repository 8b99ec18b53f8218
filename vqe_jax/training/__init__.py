"""Stages, steps, the loop, checkpoints: ``loop.run(config, workdir)`` trains any network."""
