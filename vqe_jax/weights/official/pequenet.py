"""PeQuENet's generator under the names of SaipingZhang/PeQuENet, its VGG included."""

import re

from vqe_jax.errors import UserError
from vqe_jax.nn.vgg import torchvision_indices
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["rules"]

HEAD: Rules = (
    (r"conv_(in|out)", r"\1_conv"),
    (r"conv_hidden(\d)", r"hid_conv\1"),
    (r"conditioning/dense", "fc.0"),
)


def rules(*, alignment: str, backbone: str, **_: object) -> Rules:
    """The rules for one of the two VGGs.

    Raises:
      UserError: another alignment than attention, which the released code does not have.
    """
    if alignment != "attention":
        raise UserError(
            f"pequenet: alignment={alignment!r} has no official weights; only 'attention' was "
            "released"
        )
    places = torchvision_indices(int(backbone[3:]))
    # The released code keeps the VGG in slices, each named after the activation that ends it.
    ends = ("1_1", "2_1", "3_1", "4_1", "5_1", max(places).removeprefix("conv"))

    def features(m: re.Match[str]) -> str:
        end = next(end for end in ends if end >= m[1])
        return f"features.to_relu_{end}.{places[m[0]]}"

    return (
        prefixed("vgg", "", [(r"conv(\d_\d)", features)]),
        (r"(minus|plus)/dec(\d)/(conv\d)", r"dec\2_\1.\3"),
        (r"(minus|plus)/align(\d)/proj_target", r"att\2_\1.proj_tgt"),
        (r"(minus|plus)/align(\d)/proj_reference", r"att\2_\1.proj_ref"),
        prefixed("head", "QENet", HEAD),
    )
