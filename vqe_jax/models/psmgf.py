"""pSMGF of the BILIBILI AI & FDU team, first of track 2 of NTIRE 2021: SMGF, then two ESRGANs.

Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods and Results",
CVPRW 2021, sec. 4.1, Fig. 1-(b). Never released; docs/decisions.md says what the text leaves open.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side
from vqe_jax.models.smgf import SMGF
from vqe_jax.nn.rrdb import RRDBTrunk

__all__ = ["PSMGF"]


class PSMGF(SMGF):
    """SMGF's pictures through two generators of ESRGAN, merged by a mask of their own.

    ``output`` is that of the second stage: "first" and "second" are the generators. Its parts of
    the first stage have SMGF's names, so that training may start from a file of SMGF.
    Outputs: those of the second stage, and "smgf", the first stage's picture.
    """

    takes: Literal["fused", "own"] = "fused"  # "own": each generator takes one model's picture
    gives: Literal["picture", "residual"] = "picture"  # what a generator's last layer gives
    merges: Literal["generators", "stages"] = "generators"  # "stages": the first one and SMGF
    rrdb_features: int = 64
    rrdb_growth: int = 32
    rrdb_blocks: int = 23

    @property
    def context(self) -> Context:
        """SMGF's, and its picture."""
        context = super().context
        return dataclasses.replace(context, outputs=(*context.outputs, "smgf"))

    def setup(self) -> None:
        """SMGF, the generators and their gate."""
        super().setup()
        self.generator1 = self._generator()
        if self.merges == "generators":
            self.generator2 = self._generator()
        self.generator_gate = self._gate()

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """Both stages; what nobody looks at is not computed once compiled."""
        before = self.merged(windows)
        smgf = before["fused"]
        one_of, two_of = (before[n] if self.takes == "own" else smgf for n in ("first", "second"))
        one = self._generated(self.generator1, one_of)
        two = self._generated(self.generator2, two_of) if self.merges == "generators" else smgf
        fused, mask = self.generator_gate(one, two, windows[:, windows.shape[1] // 2])
        found = {"first": one, "second": two, "fused": fused, "mask": mask, "smgf": smgf}
        return {**found, "picture": found[self.output]}

    def _generator(self) -> RRDBTrunk:
        return RRDBTrunk(
            self.channels, self.rrdb_features, self.rrdb_growth, self.rrdb_blocks, self.remat
        )

    def _generated(
        self, generator: RRDBTrunk, picture: Float[Array, "n h w c"]
    ) -> Float[Array, "n h w c"]:
        result = generator(picture.astype(self.dtype)).astype(picture.dtype)
        return picture + result if self.gives == "residual" else result
