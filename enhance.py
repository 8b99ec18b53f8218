"""Enhances a compressed video: ``python enhance.py IN OUT [--model NAME]``.

Sound, subtitles, time stamps, colors and bit depth come out as they went in; ``--help`` lists
the options.
"""

from vqe_jax.commands import enhance

if __name__ == "__main__":
    enhance()
