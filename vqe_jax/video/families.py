"""Families of codecs whose faults look alike."""

from __future__ import annotations

__all__ = ["CODECS", "codec_family"]

# 0 is a codec of no known family.
CODECS = {"hevc": 1, "h264": 2, "mpeg": 3, "vp9": 4, "av1": 5, "none": 6}

# What FFmpeg calls the members of a family, and its decoders, beside the one that has its name.
# "none" is of those that are made to lose nothing; decoded frames (rawvideo) may be anything.
_MEMBERS = {
    "mpeg": "mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 h263 h263p flv1 wmv1 wmv2",
    "vp9": "vp8 libvpx libvpx-vp9",
    "av1": "libdav1d libaom-av1",
    "none": "ffv1 huffyuv ffvhuff utvideo magicyuv lagarith qtrle zlib zmbv "
    "png apng tiff dpx qoi bmp",
}
_FAMILIES = {one: family for family, names in _MEMBERS.items() for one in names.split()}


def codec_family(name: str) -> int:
    """The value of :data:`CODECS` for a codec as FFmpeg calls it; 0 for one of no known family.

    Example:
      >>> codec_family("mpeg2video") == CODECS["mpeg"], codec_family("rawvideo")
      (True, 0)
    """
    return CODECS.get(_FAMILIES.get(name, name), 0)
