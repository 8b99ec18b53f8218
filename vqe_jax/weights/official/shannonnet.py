"""ShannonNet under the names of dwHou/RestorCompressed (Shannon, NTIRE 2021)."""

import re

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

# A block of channel attention; the activation between its convolutions is one for all.
_BLOCK: Rules = (
    (r"conv1", "body.0"),
    (r"conv2", "body.2"),
    (r"attention/squeeze", "CA.conv_du.0"),
    (r"attention/excite", "CA.conv_du.2"),
)
_NUMBERS = (1, 2, 3)
_BLOCKS = (
    *(f"shallow_feat{k}.1" for k in _NUMBERS),
    *(
        f"stage{stage}_{part}.{part}_level{level}.{k}"
        for stage in (1, 2)
        for part in ("encoder", "decoder")
        for level in _NUMBERS
        for k in (0, 1)
    ),
    *(f"stage{stage}_decoder.skip_attn{level}" for stage in (1, 2) for level in (1, 2)),
)


def _up(digit: str) -> str:
    """Ways up and down are named after the levels that they join, counted from one."""
    return f"{int(digit) + 2}{int(digit) + 1}"


def _unet(part: str) -> Rules:
    return (
        prefixed(r"level(\d)_(\d)", lambda m: f"{part}_level{int(m[1]) + 1}.{m[2]}", _BLOCK),
        prefixed(r"skip(\d)", lambda m: f"skip_attn{int(m[1]) + 1}", _BLOCK),
        (r"up(\d)", lambda m: f"up{_up(m[1])}.up.1"),
        (r"down(\d)", lambda m: f"down{m[1]}{int(m[1]) + 1}.down.1"),
        (r"from_encoder(\d)", lambda m: f"csff_enc{int(m[1]) + 1}"),
        (r"from_decoder(\d)", lambda m: f"csff_dec{int(m[1]) + 1}"),
    )


_SUPERVISED: Rules = ((r"features", "conv1"), (r"picture", "conv2"), (r"weights", "conv3"))
_PLAIN: Rules = (
    (r"conv1", "body.0.conv"),
    (r"conv2", "body.2.conv"),
    (r"attention/(\w+)", r"body.3.\1"),
)
_DILATED: Rules = (
    (r"branch(\d)_(\d)", lambda m: f"branch{m[1]}.{2 * int(m[2])}"),
    (r"join", "ConvLinear"),
    (r"short", "ShortPath"),
    (r"attention/squeeze", "ca.conv_du.0"),
    (r"attention/excite", "ca.conv_du.2"),
    (r"attention/(\w+)", r"sa_new.\1"),
)


def _nested(block: str, last: str, rules: Rules) -> Rules:
    group: Rules = (
        prefixed(r"block(\d)", lambda m: f"{block}{int(m[1]) + 1}", rules),
        prefixed(r"last", last, rules),
        (r"join", "Aggre.conv"),
    )
    return (
        (r"(head|tail)", r"\1Conv.conv"),
        prefixed(r"group(\d)", r"body.\1", group),
    )


_FULL_SIZE: Rules = (
    prefixed(r"body", "fusion1", _nested("EHDC", "RB4", _DILATED)),
    (r"tail", "tail"),
)


# Entries of a sequence: convolution, normalization, activation, and again.
_DOUBLE: Rules = (
    (r"conv(\d)", lambda m: f"double_conv.{3 * int(m[1]) - 3}"),
    (r"norm(\d)", lambda m: f"double_conv.{3 * int(m[1]) - 2}"),
)
_ALIGNMENT: Rules = (
    prefixed(r"down0", "inc", _DOUBLE),
    prefixed(r"down(\d)", r"down\1.maxpool_conv.1", _DOUBLE),
    prefixed(r"up(\d)", lambda m: f"up{4 - int(m[1])}.conv", _DOUBLE),
    prefixed(r"bottom(\d)", r"dilated_conv_\1", _DILATED),
    (r"out", "outc.conv"),
    (r"offset", "offset_mask"),
    (r"deform", "deform_conv"),
)


def _risen(match: re.Match[str]) -> str:
    """One step from half size, two from quarter size."""
    part, level, finer = match[1], int(match[2]), int(match[3])
    step = "" if level == 1 else f".{level - 1 - finer}"
    return f"stage3_orsnet.up_{part}{level}{step}.up.1"


RULES: Rules = (
    (r"activation", tuple(f"{block}.body.1" for block in _BLOCKS)),
    (r"shallow(\d)", r"shallow_feat\1.0"),
    prefixed(r"shallow(\d)_block", r"shallow_feat\1.1", _BLOCK),
    prefixed(r"encoder(\d)", r"stage\1_encoder", _unet("encoder")),
    prefixed(r"decoder(\d)", r"stage\1_decoder", _unet("decoder")),
    prefixed(r"attention(\d\d)", r"sam\1", _SUPERVISED),
    (r"(concat\d\d|tail)", r"\1"),
    prefixed(r"stage3_(\d)", lambda m: f"stage3_orsnet.orb{int(m[1]) + 1}", _FULL_SIZE),
    (r"(enc|dec)oded(\d)_up(\d)", _risen),
    (r"(enc|dec)oded(\d)", lambda m: f"stage3_orsnet.conv_{m[1]}{int(m[2]) + 1}"),
    (r"frame_head", "enc.head.conv"),
    prefixed(r"frame_body", "enc.extractfeats", _nested("RB", "RB4", _PLAIN)),
    prefixed(r"alignment", "ffnet", _ALIGNMENT),
    prefixed(r"unread", "car", _FULL_SIZE),
)
