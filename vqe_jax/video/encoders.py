"""Which encoder, and at which quality, where the user has not said it.

What a network gains must not be spent again by the encoder, so the defaults are visually lossless:
on the luma of decoded camera clips, x265 at CRF 12 was measured at 47 to 50 dB, and the others
are set to come close. To measure gains, ffv1 is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import av

from vqe_jax.errors import UserError, near_misses
from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import VideoInfo

__all__ = [
    "CONTAINERS",
    "DEFAULT_OPTIONS",
    "check_options",
    "default_encoder",
    "encoder_name",
    "keeps_alpha",
    "keeps_captions",
    "known_quality",
    "layout_for",
    "takes",
    "with_defaults",
]

CONTAINERS = {
    ".mkv": "matroska",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".3gp": "3gp",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".flv": "flv",
    ".avi": "avi",
    ".nut": "nut",
    ".hevc": "hevc",
    ".h265": "hevc",
    ".265": "hevc",
    ".h264": "h264",
    ".264": "h264",
}
_ENCODERS = {
    "webm": "libvpx-vp9",
    "avi": "libx264",
    "flv": "libx264",
    "3gp": "libx264",
    "h264": "libx264",
    "mpeg": "mpeg2video",
}
# Two is the finest step of MPEG's quantiser that is of use; FFmpeg counts in 118ths.
_FINEST = {"flags": "+qscale", "global_quality": str(2 * 118)}
_NVENC = {"preset": "p5", "rc": "constqp", "qp": "14"}
DEFAULT_OPTIONS: dict[str, dict[str, str]] = {
    "libx265": {"preset": "medium", "crf": "12"},
    "libx264": {"preset": "medium", "crf": "12"},
    "libx264rgb": {"preset": "medium", "crf": "12"},
    "libvpx-vp9": {"crf": "10", "b": "0", "row-mt": "1", "cpu-used": "3"},
    "libvpx": {"crf": "4", "b": "50M", "cpu-used": "2"},
    "libaom-av1": {"crf": "10", "b": "0", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"preset": "8", "crf": "12"},
    "librav1e": {"qp": "40", "speed": "8"},
    "libkvazaar": {"kvazaar-params": "qp=14"},
    "libvvenc": {"qp": "14"},
    "hevc_nvenc": _NVENC,
    "h264_nvenc": _NVENC,
    "av1_nvenc": {"preset": "p5", "rc": "constqp", "qp": "50"},
    "hevc_qsv": {"global_quality": "14"},
    "h264_qsv": {"global_quality": "14"},
    "hevc_vaapi": {"qp": "14"},
    "h264_vaapi": {"qp": "14"},
    "ffv1": {"level": "3", "slicecrc": "1"},
} | {
    name: _FINEST
    for name in (
        "mpeg4",
        "mpeg2video",
        "mpeg1video",
        "mjpeg",
        "libxvid",
        "msmpeg4",
        "msmpeg4v2",
        "wmv1",
        "wmv2",
        "flv",
        "h263",
        "h263p",
    )
}
DEFAULT_OPTIONS["libtheora"] = {"flags": "+qscale", "global_quality": str(10 * 118)}
# Lossless, or nearly so, as they come.
_GOOD_AS_THEY_ARE = (
    "huffyuv",
    "ffvhuff",
    "utvideo",
    "magicyuv",
    "png",
    "apng",
    "rawvideo",
    "v210",
    "v410",
    "qtrle",
    "r210",
    "prores",
    "prores_aw",
    "prores_ks",
    "dnxhd",
    "cfhd",
    "jpegls",
    "tiff",
    "dpx",
    "zlib",
    "zmbv",
    "yuv4",
    "v308",
    "v408",
    "hap",
    "targa",
    "bmp",
    "qoi",
)
_QUALITY = (
    "crf",
    "qp",
    "q",
    "b",
    "bitrate",
    "lossless",
    "global_quality",
    "cq",
    "qscale",
    "vb",
    "rc",
    "qmax",
    "vbr",
)
_PARAMS = ("x265-params", "x264-params", "svtav1-params", "aom-params", "kvazaar-params")


def encoder_name(name: str) -> str:
    """An encoder's own name, for the name of its codec too: ``hevc`` is libx265.

    Raises:
      UserError: there is no such encoder.

    Example:
      >>> encoder_name("hevc"), encoder_name("vp9")
      ('libx265', 'libvpx-vp9')
    """
    try:
        found = av.Codec(name, "w")
        if found.type != "video":
            raise UserError(f"encoder {name!r} is for {found.type}; expected one for pictures")
        return found.name
    except av.codec.codec.UnknownCodecError:
        known = {*DEFAULT_OPTIONS, *_GOOD_AS_THEY_ARE} & av.codecs_available
        hint = near_misses(name, known)
        if not hint.startswith("; did"):
            hint = "; known ones: libx265, libx264, ffv1, ..."
        raise UserError(f"encoder {name!r} is not in this FFmpeg{hint}") from None


# Listed by FFmpeg for VP9, and refused as experimental.
_REFUSED_ALPHA = ("gbrap", "gbrap10le", "gbrap12le", "yuva422p", "yuva444p")
# The same samples in another arrangement, for encoders that know no planes of RGB.
_PACKED = {"gbrp": ("bgr0", "rgb24", "bgr24"), "gbrp16le": ("rgb48le", "rgb48be")}
# With transparency that players and FFmpeg's own decoders read back; others write it for nobody.
_ALPHA_KEPT = (
    "ffv1",
    "png",
    "apng",
    "qtrle",
    "utvideo",
    "magicyuv",
    "ffvhuff",
    "huffyuv",
    "prores_ks",
    "cfhd",
    "rawvideo",
    "libvpx",
    "libvpx-vp9",
)
_CAPTIONS_KEPT = ("libx264", "libx264rgb", "libx265", "mpeg2video", "h264_nvenc", "hevc_nvenc")


def layout_for(codec: str, pixel_format: PixelFormat, *, alpha: bool = False) -> str | None:
    """The encoder's own pixel format that holds samples of a format unchanged; None without one."""
    known = {f.name for f in av.Codec(codec, "w").video_formats or ()}
    known -= set(_REFUSED_ALPHA) if codec == "libvpx-vp9" else set()
    if alpha:
        names = pixel_format.av_names_with_alpha
    else:
        name = pixel_format.av_name
        # MJPEG's name of full range comes first in its own lists only.
        names = (name, *_PACKED.get(name, ()), name.replace("yuv", "yuvj", 1))
    return next((n for n in names if n in known or not known), None)


def takes(codec: str, pixel_format: PixelFormat) -> bool:
    """Whether an encoder takes pictures of a format as they are."""
    return layout_for(codec, pixel_format) is not None


def keeps_alpha(codec: str, pixel_format: PixelFormat, path: Path) -> bool:
    """Whether the transparency of pictures comes back from a file."""
    kind = CONTAINERS.get(path.suffix.lower(), "")
    if codec.startswith("libvpx") and kind not in ("matroska", "webm"):
        return False
    return codec in _ALPHA_KEPT and layout_for(codec, pixel_format, alpha=True) is not None


def keeps_captions(codec: str) -> bool:
    """Whether an encoder writes the closed captions of its pictures."""
    return codec in _CAPTIONS_KEPT


def _here(codec: str, pixel_format: PixelFormat) -> bool:
    wanted = PixelFormat(pixel_format.bits, "420") if pixel_format.subsampling == "gray" else None
    return codec in av.codecs_available and takes(codec, wanted or pixel_format)


def default_encoder(path: Path, info: VideoInfo) -> str:
    """The encoder for a file, where the user names none.

    libx265; in ``.webm`` libvpx-vp9, or AV1 for depths that this build of it has not; libx264
    where a container cannot hold HEVC, and for interlaced pictures, which HEVC has no way to code
    as frames.
    """
    kind = CONTAINERS.get(path.suffix.lower(), "")
    usual = _ENCODERS.get(kind, "libx265")
    if usual == "libvpx-vp9":
        others = (usual, "libsvtav1", "libaom-av1")
        return next((name for name in others if _here(name, info.pixel_format)), usual)
    if usual == "libx265" and info.interlaced and kind != "hevc" and not info.height % 4:
        return "libx264"
    return usual


def known_quality(codec: str, options: Mapping[str, str]) -> bool:
    """Whether it is known that the encoder keeps what was gained, or the user chose its quality."""
    return codec in DEFAULT_OPTIONS or codec in _GOOD_AS_THEY_ARE or _says_quality(options)


def _says_quality(options: Mapping[str, str]) -> bool:
    words = list(options)
    for name in _PARAMS:
        words += (word.partition("=")[0] for word in options.get(name, "").split(":"))
    return any(word in _QUALITY for word in words)


def with_defaults(codec: str, given: Mapping[str, str]) -> dict[str, str]:
    """An encoder's defaults with what was given; only one setting decides on the quality."""
    options = dict(DEFAULT_OPTIONS.get(codec, {}))
    if _says_quality(given):
        for name in (*_QUALITY, "flags", *_PARAMS):
            options.pop(name, None)
    return options | dict(given)


def check_options(codec: str, options: Mapping[str, str]) -> None:
    """FFmpeg passes over options it does not know; here they are an error.

    Raises:
      UserError: an option the encoder does not have.
    """
    context = av.CodecContext.create(codec, "w")
    known = {o.name for o in context.supported_options.generic}
    known |= {o.name for o in context.supported_options.private}
    for name in options:
        if name not in known:
            hint = near_misses(name, known)
            if not hint.startswith("; did"):
                hint = f"; see ffmpeg -h encoder={codec}"
            raise UserError(f"encoder option {name!r} is not one of {codec}'s{hint}")
