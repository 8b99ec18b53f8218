"""Enhances a compressed video: ``python enhance.py IN OUT [--model vig_qp37]``.

Sound, subtitles, time stamps, colours and bit depth come out as they went in; ``--help`` lists
the options.
"""

import signal

from vqe_jax.errors import run_cli
from vqe_jax.inference.cli import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing stays behind
    run_cli(main)
