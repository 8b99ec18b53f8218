"""How well peak-quality frames are found without the ground truth.

    python benchmarks/peaks.py RAW:COMPRESSED [RAW:COMPRESSED ...]

Prints a row for each rule: the share of the frames it names that are peaks of the PSNR against the
ground truth (precision), and the share of those that it names (recall), over all clips together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vqe_jax.metrics.psnr import psnr
from vqe_jax.video import frame_qps, luma, open_reader, peak_frames, peaks_of_scores
from vqe_jax.video.peaks import picture_scores


def _lumas(path: Path) -> list[np.ndarray]:
    with open_reader(path) as reader:
        return [luma(frame, reader.info) for frame in reader]


def _found(raw: Path, compressed: Path) -> dict[str, np.ndarray]:
    """Which frames each rule calls peaks, and the truth under ``"psnr"``."""
    before, truth = _lumas(compressed), _lumas(raw)
    pairs = zip(before, truth, strict=False)
    scores = [float(psnr(a[None, ..., None], b[None, ..., None])[0]) for a, b in pairs]
    coded = frame_qps(compressed)
    found = {
        "psnr": peaks_of_scores(scores),
        "qp": peak_frames([f.qp for f in coded], [f.frame_type for f in coded]),
        "measure": peaks_of_scores(list(picture_scores(before))),
    }
    return {name: np.array(peaks[: len(scores)]) for name, peaks in found.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("pairs", nargs="+", metavar="RAW:COMPRESSED")
    clips = [_found(*map(Path, pair.split(":"))) for pair in parser.parse_args().pairs]
    print("| rule | precision | recall | peaks | clips |\n|---|---|---|---|---|")
    for rule in ("qp", "measure"):
        hits = sum(int((c[rule] & c["psnr"]).sum()) for c in clips)
        named, there = (sum(int(c[k].sum()) for c in clips) for k in (rule, "psnr"))
        shares = f"{hits / max(named, 1):.2f} | {hits / max(there, 1):.2f}"
        print(f"| {rule} | {shares} | {there} | {len(clips)} |")


if __name__ == "__main__":
    main()
