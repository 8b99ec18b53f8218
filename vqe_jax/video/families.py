"""Families of codecs whose faults look alike."""

from __future__ import annotations

__all__ = ["CODECS", "codec_family", "codec_name", "is_lossless"]

# 0 is a codec of no known family.
CODECS = {"hevc": 1, "h264": 2, "mpeg": 3, "vp9": 4, "av1": 5, "none": 6}

# Decoders that are named otherwise than what they decode.
_DECODERS = {"libvpx": "vp8", "libvpx-vp9": "vp9", "libdav1d": "av1", "libaom-av1": "av1"}
# What FFmpeg calls the members of a family, beside the one that has its name. "none" is of those
# that are made to lose nothing.
_MEMBERS = {
    "mpeg": "mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 h263 h263p flv1 wmv1 wmv2",
    "vp9": "vp8",
    "none": "ffv1 huffyuv ffvhuff utvideo magicyuv lagarith qtrle zlib zmbv "
    "png apng tiff dpx qoi bmp",
}
# Pictures as they are, which may have been decoded from anything.
_UNCODED = ("rawvideo", "v210", "v410", "r210", "yuv4", "gif")
_FAMILIES = {one: family for family, names in _MEMBERS.items() for one in names.split()}


def codec_family(name: str) -> int:
    """The value of :data:`CODECS` for a codec as FFmpeg calls it; 0 for one of no known family.

    Example:
      >>> codec_family("mpeg2video") == CODECS["mpeg"], codec_family("rawvideo")
      (True, 0)
    """
    name = codec_name(name)
    return CODECS.get(_FAMILIES.get(name, name), 0)


def codec_name(decoder: str) -> str:
    """What a decoder decodes, as FFmpeg calls it: most have its name.

    Example:
      >>> codec_name("libdav1d"), codec_name("hevc")
      ('av1', 'hevc')
    """
    return _DECODERS.get(decoder, decoder)


def is_lossless(codec: str) -> bool:
    """Whether nothing is lost by a codec, or pictures lie there without one."""
    return codec in _UNCODED or codec_family(codec) == CODECS["none"]
