"""Results of every narrow network of test_properties, kept in the repository.

They were written by networks that agreed with the official codes, whose golden files are not part
of the repository, so that a clone without these still notices when a result changes:

    python -m tests.models.snapshots
"""

import functools
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("snapshots.npz")
# Of a clip of five frames, the first and the one in the middle.
KEPT = (0, 2)


@functools.cache
def kept():
    """Network -> its kept frames, ``[2, h, w, c]``."""
    with np.load(PATH) as file:
        return dict(file)


def check(name, clip, atol):
    """Compares a network's result on the clip of test_properties with the kept one."""
    np.testing.assert_allclose(clip[0, np.array(KEPT)], kept()[name], atol=atol, err_msg=name)


def main():
    """Writes the file anew."""
    import jax

    from tests.models.test_properties import SMALL, clip_of, made, side_of

    found = {}
    for name in SMALL:
        network, variables = made(name, 3)
        run = jax.jit(lambda v, x, network=network: network.apply(v, x, side=side_of()))
        found[name] = np.asarray(run(variables, clip_of(3)))[0, np.array(KEPT)]
        print(name, found[name].shape, flush=True)
    np.savez_compressed(PATH, **found)
    print(f"{PATH.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
