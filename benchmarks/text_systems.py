"""Size of the systems of NTIRE 2021 that exist only as text, against the report's seconds a frame.

    python benchmarks/text_systems.py

Nothing is computed: parameters and multiply-adds follow from shapes. The last column is the part of
a V100's float32 peak (7.85 T multiply-adds a second) that the published time would have used, had
it been one pass; more than 1 is impossible in float32.
"""

from __future__ import annotations

from vqe_jax.models.cost import multiply_adds_per_frame
from vqe_jax.models.shapes import parameter_count

HEIGHT, WIDTH = 536, 960  # of LDV's videos
PEAK = 7.85e12
# Network: seconds a frame (Table 4; track 1 where the report has it), passes of its ensemble.
PUBLISHED = {
    "smgf": (9.0, 8),
    "psmgf": (9.45, 8),
    "noahtcv": (12.8, 8),
    "gogoing": (8.5, 4),
    "tim": (4.52, 1),
}


def main() -> None:
    """Prints a table."""
    print("| network | parameters | T multiply-adds a frame | published s | passes | one pass |")
    print("|---|---|---|---|---|---|")
    for name, (seconds, passes) in PUBLISHED.items():
        operations = multiply_adds_per_frame(name, height=HEIGHT, width=WIDTH)
        share = operations / seconds / PEAK
        row = (f"{parameter_count(name):,}", f"{operations / 1e12:.2f}", seconds, passes)
        print(f"| `{name}` |", *(f"{x} |" for x in row), f"{share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
