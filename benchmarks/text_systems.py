"""Size of the systems of NTIRE 2021 that exist only as text, against the report's seconds a frame.

    python benchmarks/text_systems.py

Nothing is computed: parameters and multiply-adds follow from shapes. The last column is the part of
the float32 peak of the team's card that the published time would have used, had it been one pass;
more than 1 is impossible in float32. The search of matching blocks by Fourier transforms is not
counted.
"""

from __future__ import annotations

from vqe_jax.models.cost import multiply_adds_per_frame
from vqe_jax.models.shapes import parameter_count

HEIGHT, WIDTH = 536, 960  # of LDV's videos
# Multiply-adds a second in float32, by the makers' data sheets.
PEAKS = {"V100": 7.85e12, "RTX 3090": 17.8e12, "GTX 1080": 4.44e12}
# Network: seconds a frame (Table 4; track 1 where the report has it), passes of its ensemble, card.
PUBLISHED = {
    "smgf": (9.0, 8, "V100"),
    "psmgf": (9.45, 8, "V100"),
    "noahtcv": (12.8, 8, "V100"),
    "gogoing": (8.5, 4, "V100"),
    "tim": (4.52, 1, "V100"),
    "block2rock": (300.0, 8, "V100"),
    "bluedot": (2.85, 1, "RTX 3090"),
    "mgbp3d": (1.16, 1, "GTX 1080"),
}


def main() -> None:
    """Prints a table."""
    print("| network | parameters | T multiply-adds | published s | passes | card | one pass |")
    print("|---|---|---|---|---|---|---|")
    for name, (seconds, passes, card) in PUBLISHED.items():
        operations = multiply_adds_per_frame(name, height=HEIGHT, width=WIDTH)
        share = operations / seconds / PEAKS[card]
        row = (f"{parameter_count(name):,}", f"{operations / 1e12:.2f}", seconds, passes, card)
        print(f"| `{name}` |", *(f"{x} |" for x in row), f"{share:.2f} |", flush=True)


if __name__ == "__main__":
    main()
