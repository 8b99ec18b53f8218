"""A training run in a process of its own, which batch ``--fatal`` kills."""

import argparse
import os
import signal
import sys

import jax

from vqe_jax.registry import resolve


def read(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("workdir")
    parser.add_argument("--stages", required=True, help="module:NAME")
    parser.add_argument("--fatal", type=int, default=-1)
    parser.add_argument("--signal", type=int, default=signal.SIGKILL)
    parser.add_argument("--process", type=int, help="of two, of which the second can be killed")
    parser.add_argument("--port", type=int)
    return parser.parse_args(arguments)


def main() -> int:
    given = read()
    alone = given.process is None
    if alone:
        jax.config.update("jax_num_cpu_devices", 8)
    else:
        jax.distributed.initialize(f"localhost:{given.port}", 2, given.process)
    from tests.training import synthetic
    from vqe_jax.training import loop

    synthetic.install()
    ordinary = synthetic.Batches.__next__

    def next_or_die(self: synthetic.Batches) -> dict:
        if self.next == given.fatal and (alone or given.process == 1):
            os.kill(os.getpid(), given.signal)
        return ordinary(self)

    synthetic.Batches.__next__ = next_or_die
    stages, keys = resolve(given.stages, "stages"), {} if alone else {"devices": 2}
    return loop.run(synthetic.config(*stages, **keys), given.workdir).exit_code


if __name__ == "__main__":
    sys.exit(main())
