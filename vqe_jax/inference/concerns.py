"""What the user should know before a file is enhanced: what the target cannot hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from vqe_jax.video import PixelFormat, Reader, VideoInfo, other_streams
from vqe_jax.video.encoders import CONTAINERS

__all__ = ["concerns"]


def concerns(reader: Reader, target: VideoInfo, dst: Path, codec: str) -> Iterator[str]:
    """One sentence for each thing that will be lost or changed beside the picture's quality.

    Args:
      target: size, format and color of what is written.
    """
    info = reader.info
    pictures_only = dst.suffix.lower() not in CONTAINERS
    if info.interlaced:
        yield (
            "the source is interlaced: two half pictures in each frame, which the network sees as "
            "one; deinterlace it first for the best result"
        )
        if not pictures_only and not _keeps_fields(codec, target, dst):
            yield (
                f"{dst} will be taken for progressive by players; --codec libx264, or .mkv, says "
                "that it is interlaced"
            )
    if info.rotation and pictures_only:
        yield f"{dst} cannot say that the picture is to be turned by {info.rotation} degrees"
    if info.alpha and pictures_only and dst.suffix:
        yield f"the source's transparency (alpha channel) is left out: {dst.suffix} is opaque"
    if info.captions and pictures_only:
        yield "the source's closed captions (CEA-608/708) are left out"
    for thing in info.uncarried:
        yield f"{thing} of the source are left out"
    yield from _formats(info, target, pictures_only)
    if pictures_only and reader.is_container:
        left = Counter(f"{kind} ({name})" for kind, name in other_streams(reader.path))
        if left:
            names = ", ".join(name if n == 1 else f"{n} x {name}" for name, n in left.items())
            yield f"{dst} holds pictures only; left out: {names}"


def _keeps_fields(codec: str, target: VideoInfo, dst: Path) -> bool:
    coded = codec == "libx264" and not target.height % 4
    return coded or dst.suffix.lower() in (".mkv", ".mp4", ".m4v", ".mov")


def _formats(info: VideoInfo, target: VideoInfo, pictures_only: bool) -> Iterator[str]:
    before, after = info.pixel_format, target.pixel_format
    coarser = _share_of_color(after) / _share_of_color(before)
    colors = {0.25: "a quarter", 0.5: "half"}.get(coarser, "a part") + " of the color samples"
    way = "write PNG" if pictures_only else "--codec ffv1 in .mkv"
    if before.subsampling == "rgb" and after.subsampling != "rgb":
        yield (
            f"the source is RGB and becomes YUV ({after.av_name}), with "
            f"{'rounding' if coarser == 1 else colors}; to keep it, {way}"
        )
    elif coarser < 1 and before.subsampling != "gray":
        yield f"{before.av_name} becomes {after.av_name}, with {colors}; to keep all, {way}"
    if after.bits < before.bits:
        yield f"{before.bits} bits a sample become {after.bits}"


def _share_of_color(pixel_format: PixelFormat) -> float:
    across, down = pixel_format.factors
    return 1 / (across * down)
