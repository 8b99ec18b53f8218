"""How a clip is encoded: a table of encoders, each with the number that sets its quality.

``low_delay_p`` and ``two_pass`` are the recipes of the literature (:mod:`vqe_jax.video.encode`);
the others are what ordinary files are made with. Nearly all encoders come with PyAV; kvazaar needs
the FFmpeg of imageio-ffmpeg.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from vqe_jax.data.planes import PlaneFile
from vqe_jax.errors import UserError, check_known
from vqe_jax.video import VideoInfo, encode_hevc, low_delay_p, open_writer, two_pass

__all__ = ["ENCODERS", "Encoder", "Recipe"]

Options = dict[str, str]

_X264: Options = {"bf": "3", "threads": "1"}  # a bare stream is given no B frames otherwise


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a clip is encoded.

    Attributes:
      name: an entry of :data:`ENCODERS`.
      value: QP, CRF, kbit/s or what else the encoder counts quality in.
      preset: of the encoder; None: the recipe's.
    """

    name: str
    value: int
    preset: str | None = None

    @property
    def encoder(self) -> Encoder:
        """The entry of the table.

        Raises:
          UserError: no recipe of that name.
        """
        check_known("recipe ", self.name, ENCODERS)
        return ENCODERS[self.name]

    def check(self) -> Recipe:
        """Itself.

        Raises:
          UserError: there is no such recipe, or its value is out of range.
        """
        unit, (low, high) = self.encoder.unit, self.encoder.range
        if not low <= self.value <= high:
            raise UserError(
                f"{unit.upper()} {self.value} is out of range; {self.name} takes {low} to {high}"
            )
        return self

    @property
    def quality(self) -> str:
        """The number that was asked for, with its unit: ``"qp 37"``; empty: nothing is lost."""
        return f"{self.encoder.unit} {self.value}" if self.encoder.unit else ""

    def __str__(self) -> str:
        preset = f", preset {self.preset}" if self.preset else ""
        return f"{self.name} {self.quality}".rstrip() + preset

    def encode(self, frames: PlaneFile, target: Path, info: VideoInfo) -> Path:
        """Encodes a clip.

        Args:
          target: name of the result, to which the encoder's suffix is added.

        Raises:
          UserError: the encoder is not on this machine, or needs a frame rate that is not known.
        """
        if reason := self.encoder.missing():
            raise UserError(f"recipe {self.name}: {reason}")
        if self.encoder.needs_rate and info.frame_rate is None:
            raise UserError(
                f"{frames.path.name} does not say its frame rate, which a bit rate needs; give it: "
                "--frame-rate 25"
            )
        path = target.with_name(target.name + self.encoder.suffix)
        self.encoder.encode(self, frames, path, info)
        return path


@dataclasses.dataclass(frozen=True)
class Encoder:
    """An entry of the table.

    Attributes:
      family: of its streams, as FFmpeg calls the codec; ``"none"`` where nothing is lost.
      range: of the value, both ends included.
      suffix: of its streams: bare bitstreams, or ``.nut``, where equal clips give equal bytes.
      encode: ``(recipe, frames, path, info)``.
      needs_rate: a bit rate means nothing without a frame rate.
    """

    family: str
    unit: str
    range: tuple[int, int]
    suffix: str
    encode: Callable[[Recipe, PlaneFile, Path, VideoInfo], None]
    library: str
    needs_rate: bool = False

    def missing(self) -> str:
        """Why it cannot be used on this machine; empty where it can."""
        if self.library == "libkvazaar":
            there = importlib.util.find_spec("imageio_ffmpeg") is not None
            return "" if there else "it comes with imageio-ffmpeg: pip install 'vqe-jax[vmaf]'"
        return "" if _has(self.library) else f"PyAV's FFmpeg has no {self.library}"


@functools.cache
def _has(library: str) -> bool:
    import av

    try:
        av.Codec(library, "w")
    except ValueError:
        return False
    return True


def _low_delay_p(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
    preset = {"preset": recipe.preset} if recipe.preset else {}
    # Clips are encoded side by side; the result does not depend on the encoder's threads.
    encode_hevc(frames, path, info, low_delay_p(recipe.value, threads=1, **preset))


def _two_pass(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
    preset = {"preset": recipe.preset} if recipe.preset else {}
    encode_hevc(frames, path, info, two_pass(recipe.value, threads=1, **preset))


def _single(
    library: str, options: Callable[[Recipe], Options]
) -> Callable[[Recipe, PlaneFile, Path, VideoInfo], None]:
    """One pass of an encoder of PyAV's."""

    def encode(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
        with open_writer(path, info, codec=library, options=options(recipe)) as writer:
            for frame in frames:
                writer.write(frame)

    return encode


def _x264(parameter: str) -> Callable[[Recipe], Options]:
    def options(recipe: Recipe) -> Options:
        return _X264 | {"preset": recipe.preset or "medium", parameter: str(recipe.value)}

    return options


def _x265(parameter: str) -> Callable[[Recipe], Options]:
    def options(recipe: Recipe) -> Options:
        params = f"pools=1:frame-threads=1:{parameter}={recipe.value}"
        return {"preset": recipe.preset or "medium", "x265-params": params}

    return options


def _by_bits(library: str) -> Callable[[Recipe, PlaneFile, Path, VideoInfo], None]:
    """Two passes at a bit rate that goes with the clip's size: bits for a thousand pixels."""

    def encode(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
        pixels = frames.width * frames.height * float(info.frame_rate or 25)
        kbps = max(8, round(recipe.value * pixels / 1e6))
        for higher in (1, 2, 4, 8, 16):
            try:
                _two_passes(library, recipe, frames, path, info, kbps * higher)
            except UserError as err:
                # The first pass shows what the second refuses: a rate that cannot be kept.
                if "bitrate is too low" not in str(err) or higher == 16:
                    raise
            else:
                return

    return encode


def _two_passes(
    library: str, recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo, kbps: int
) -> None:
    with tempfile.TemporaryDirectory(prefix="vqe_jax_two_pass_") as folder:
        for number in (1, 2):
            where = Path(folder) / f"first{path.suffix}" if number == 1 else path
            options = {"preset": recipe.preset or "medium", "b": str(1000 * kbps)}
            params = f"pass={number}:stats={folder}/stats"
            if library == "libx264":
                options |= _X264 | {"x264-params": params}
            else:
                params += f":bitrate={kbps}:pools=1:frame-threads=1"
                options |= {"x265-params": params}
            _single(library, functools.partial(_given, options))(recipe, frames, where, info)


def _given(options: Options, _: Recipe) -> Options:
    return options


def _svt_av1(recipe: Recipe) -> Options:
    parameters = "lp=1"
    return {
        "preset": recipe.preset or "8",
        "crf": str(recipe.value),
        "svtav1-params": parameters,
    }


def _vp9(recipe: Recipe) -> Options:
    speed = recipe.preset or "5"
    return {"crf": str(recipe.value), "b": "0", "cpu-used": speed, "threads": "1"}


def _mpeg(library: str) -> Callable[[Recipe, PlaneFile, Path, VideoInfo], None]:
    def encode(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
        # The quantiser of P frames; those of I and B frames follow from it by FFmpeg's factors.
        options = {"qmin": str(recipe.value), "qmax": str(recipe.value), "bf": "2", "g": "24"}
        # MPEG knows a few frame rates only, and at a fixed quantiser the rate changes nothing.
        steady = dataclasses.replace(info, frame_rate=Fraction(25))
        _single(library, functools.partial(_given, options))(recipe, frames, path, steady)

    return encode


def _kvazaar(recipe: Recipe, frames: PlaneFile, path: Path, info: VideoInfo) -> None:
    import imageio_ffmpeg

    params = f"preset={recipe.preset or 'medium'},qp={recipe.value},gop=lp-g4d3t1,period=0,ref=4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "yuv420p", "-s", f"{frames.width}x{frames.height}"]
    command += ["-r", str(info.frame_rate or 25), "-i", str(frames.path), "-c:v", "libkvazaar"]
    command += ["-kvazaar-params", f"{params},bipred=0,threads=1", *_to_eights(frames)]
    done = subprocess.run([*command, "-f", "hevc", str(path)], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"kvazaar failed: {' '.join(done.stderr.split())[:300]}")


def _to_eights(frames: PlaneFile) -> list[str]:
    """Kvazaar takes multiples of 8: edges are continued, and cut off again by the decoder."""
    right, bottom = -frames.width % 8, -frames.height % 8
    if not right and not bottom:
        return []
    size = f"pad={frames.width + right}:{frames.height + bottom}:0:0"
    smear = f"fillborders=right={right}:bottom={bottom}:mode=smear"
    crop = f"hevc_metadata=crop_right={right}:crop_bottom={bottom}"
    return ["-vf", f"{size},{smear}", "-bsf:v", crop]


def _clean(*_: object) -> None:
    raise AssertionError("the stream of a clean clip is that of the raw one")


_QP, _CRF, _Q = (1, 51), (0, 51), (1, 31)
ENCODERS: dict[str, Encoder] = {
    "low_delay_p": Encoder("hevc", "qp", _QP, ".hevc", _low_delay_p, "libx265"),
    "two_pass": Encoder("hevc", "kbps", (1, 10**6), ".hevc", _two_pass, "libx265", True),
    "x265_qp": Encoder("hevc", "qp", _QP, ".hevc", _single("libx265", _x265("qp")), "libx265"),
    "x265_crf": Encoder("hevc", "crf", _CRF, ".hevc", _single("libx265", _x265("crf")), "libx265"),
    "x265_bits": Encoder("hevc", "bpkp", (1, 9999), ".hevc", _by_bits("libx265"), "libx265", True),
    "x264_qp": Encoder("h264", "qp", _QP, ".h264", _single("libx264", _x264("qp")), "libx264"),
    "x264_crf": Encoder("h264", "crf", _CRF, ".h264", _single("libx264", _x264("crf")), "libx264"),
    "x264_bits": Encoder("h264", "bpkp", (1, 9999), ".h264", _by_bits("libx264"), "libx264", True),
    "kvazaar": Encoder("hevc", "qp", _QP, ".hevc", _kvazaar, "libkvazaar"),
    "svt_av1": Encoder("av1", "crf", (1, 63), ".nut", _single("libsvtav1", _svt_av1), "libsvtav1"),
    "vp9": Encoder("vp9", "crf", (0, 63), ".nut", _single("libvpx-vp9", _vp9), "libvpx-vp9"),
    "mpeg2": Encoder("mpeg2video", "q", _Q, ".nut", _mpeg("mpeg2video"), "mpeg2video"),
    "mpeg4": Encoder("mpeg4", "q", _Q, ".nut", _mpeg("mpeg4"), "mpeg4"),
    "clean": Encoder("none", "", (0, 0), "", _clean, "libx264"),
}
