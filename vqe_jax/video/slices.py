"""From traced headers to pictures: which QP, which type, which place in display order."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from pathlib import Path

from vqe_jax.video.headers import TracedPacket, trace

__all__ = ["CodedPicture", "SliceParser", "missing_pictures"]

# Of order counts from picture to picture; a field has a count of its own in H.264.
_STEP, _FEW = {"hevc": 1, "h264": 2}, 6
_SLICE_TYPES = {"hevc": "BPI", "h264": "PBIPI"}
_PARAMETER_SETS = {"hevc": (33, 34), "h264": (7, 8)}
_BEGINS_PICTURE = {
    "hevc": ("first_slice_segment_in_pic_flag", 1),
    "h264": ("first_mb_in_slice", 0),
}
_IDR = {"hevc": (19, 20), "h264": (5,)}
# CRA and BLA pictures: random access without an IDR. Their RASL pictures refer to what came before.
_CRA, _BLA, _RASL = 21, (16, 17, 18), (8, 9)


@dataclasses.dataclass
class CodedPicture:
    """The first slice header of a picture.

    Attributes:
      sequence: index of the coded video sequence; order counts begin anew in each.
      poc: picture order count in it.
      qp: luma QP of the slice; None where a parameter set is missing.
      frame_type: ``"I"``, ``"P"`` or ``"B"``.
      exact: no block may deviate from ``qp``.
    """

    sequence: int
    poc: int
    qp: int | None
    frame_type: str | None
    exact: bool


class SliceParser:
    """Follows the parameter sets and order counts of an HEVC or H.264 stream.

    Args:
      codec: ``"hevc"`` or ``"h264"``.
    """

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self._sets: dict[int, dict[str, int]] = {}
        self._sequence = -1
        self._order_bits = 8
        self._order_type = 0
        self._number_bits = 4
        self._number = self._number_offset = 0
        self._previous = 0
        self._counted = 0
        self._after_access_point = False

    def pictures(self, packet: TracedPacket) -> list[CodedPicture]:
        """The pictures that begin in a packet; those no decoder can show are left out.

        Args:
          packet: the next one in coding order.
        """
        found = []
        for unit in self._units(packet):
            kind = unit.get("nal_unit_type", -1)
            if kind in _PARAMETER_SETS[self.codec]:
                self._learn(kind, unit)
            else:
                name, value = _BEGINS_PICTURE[self.codec]
                if unit.get(name) == value and unit.get("bottom_field_flag", 0) == 0:
                    picture = self._picture(kind, unit)
                    if picture:
                        found.append(picture)
        return found

    def _units(self, packet: TracedPacket) -> list[dict[str, int]]:
        """One dictionary a NAL unit; in H.264 ``nal_ref_idc`` comes before ``nal_unit_type``."""
        units: list[dict[str, int]] = []
        for name, value in packet.elements:
            second = name == "nal_unit_type" and name in (units[-1] if units else ())
            if name == "forbidden_zero_bit" or second or not units:
                units.append({})
            units[-1].setdefault(name, value)
        return units

    def _learn(self, kind: int, unit: dict[str, int]) -> None:
        if kind == _PARAMETER_SETS[self.codec][0]:
            self._order_type = unit.get("pic_order_cnt_type", 0)
            self._number_bits = 4 + unit.get("log2_max_frame_num_minus4", 0)
            self._order_bits = 4 + unit.get("log2_max_pic_order_cnt_lsb_minus4", 4)
        else:
            name = "pps_pic_parameter_set_id" if self.codec == "hevc" else "pic_parameter_set_id"
            self._sets[unit.get(name, 0)] = unit

    def _picture(self, kind: int, unit: dict[str, int]) -> CodedPicture | None:
        hevc = self.codec == "hevc"
        restart = kind in _IDR[self.codec] or kind in _BLA or (hevc and self._sequence < 0)
        if restart or self._sequence < 0:
            self._sequence += 1
            self._previous = self._counted = 0
            self._after_access_point = hevc and (kind == _CRA or kind in _BLA)
        elif hevc and 16 <= kind <= 21:
            self._after_access_point = False
        if hevc and kind in _RASL and self._after_access_point:
            return None
        poc = self._order(kind, unit, restart)
        used = unit.get("slice_pic_parameter_set_id" if hevc else "pic_parameter_set_id", 0)
        settings = self._sets.get(used)
        slice_type = unit.get("slice_type")
        return CodedPicture(
            self._sequence,
            poc,
            self._qp(settings, unit),
            None if slice_type is None else _SLICE_TYPES[self.codec][slice_type % 5],
            hevc and (settings or {}).get("cu_qp_delta_enabled_flag") == 0,
        )

    def _qp(self, settings: dict[str, int] | None, unit: dict[str, int]) -> int | None:
        initial = "init_qp_minus26" if self.codec == "hevc" else "pic_init_qp_minus26"
        if settings is None or initial not in settings or "slice_qp_delta" not in unit:
            return None
        return 26 + settings[initial] + unit["slice_qp_delta"]

    def _order(self, kind: int, unit: dict[str, int], restart: bool) -> int:
        """Picture order count from its low bits (H.265, 8.3.1; H.264, 8.2.1)."""
        self._counted += 1
        if self.codec == "h264" and self._order_type == 2:
            return self._by_frame_number(unit, restart)
        if self.codec == "h264" and self._order_type:
            return self._counted - 1  # type 1 is taken for coding order
        name = "slice_pic_order_cnt_lsb" if self.codec == "hevc" else "pic_order_cnt_lsb"
        low = unit.get(name, 0)
        if restart:
            self._previous = low
            return low
        span = 1 << self._order_bits
        before = self._previous % span
        high = self._previous - before
        if low < before and before - low >= span // 2:
            high += span
        elif low > before and low - before > span // 2:
            high -= span
        if self._anchors(kind, unit):
            self._previous = high + low
        return high + low

    def _by_frame_number(self, unit: dict[str, int], restart: bool) -> int:
        """Order of display is order of coding (H.264, 8.2.1.3)."""
        number = unit.get("frame_num", 0)
        if restart:
            self._number_offset = 0
        elif number < self._number:
            self._number_offset += 1 << self._number_bits
        self._number = number
        return 2 * (self._number_offset + number) - (unit.get("nal_ref_idc", 1) == 0)

    def _anchors(self, kind: int, unit: dict[str, int]) -> bool:
        """Whether the next picture counts on from this one: others refer to it."""
        if self.codec == "h264":
            return unit.get("nal_ref_idc", 1) != 0
        unreferenced = kind < 16 and (kind % 2 == 0 or 6 <= kind <= 9)
        return unit.get("nuh_temporal_id_plus1", 1) == 1 and not unreferenced


def missing_pictures(path: Path) -> int:
    """How many pictures an HEVC or H.264 bitstream has lost, by their order counts.

    Counts go up by one step from picture to picture within a coded video sequence, in order of
    display: by 1 in HEVC, by 2 in most of H.264.
    """
    parser: SliceParser | None = None
    sequences: dict[int, list[int]] = {}
    for packet in trace(path):
        parser = parser or SliceParser(packet.codec)
        for picture in parser.pictures(packet):
            sequences.setdefault(picture.sequence, []).append(picture.poc)
    steps = [
        after - before
        for counts in map(sorted, sequences.values())
        for before, after in itertools.pairwise(counts)
        if after > before
    ]
    if not steps:
        return 0
    usual = statistics.mode(steps)
    if len(steps) < _FEW and parser:  # two pictures far apart are not the rule of a stream
        usual = min(usual, _STEP[parser.codec])
    return sum(round(step / usual) - 1 for step in steps if step > usual)
