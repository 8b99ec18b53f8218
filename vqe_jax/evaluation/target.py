"""Which clips of which data set a report is about: a run's own, changed by what is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from vqe_jax.data import open_pairs
from vqe_jax.errors import UserError, check_names
from vqe_jax.evaluation.clips import EvalClip, clips_from_pairs

__all__ = ["EvalTarget"]


@dataclasses.dataclass(frozen=True)
class EvalTarget:
    """A split of a data set.

    Attributes:
      dataset: its name; None: not known yet.
    """

    dataset: str | None = None
    data_dir: str = "data"
    config_names: tuple[str, ...] = ()
    split: str = "test"

    @classmethod
    def from_run(cls, config: Mapping[str, Any]) -> EvalTarget:
        """What a run was validated on; the test split of its data where it was not."""
        section = config.get("eval") or {}
        said = {k: v for part in (config.get("data") or {}, section) for k, v in part.items() if v}
        names = said.get("config_name") or ()
        return cls(
            dataset=said.get("dataset"),
            data_dir=said.get("data_dir", "data"),
            config_names=(names,) if isinstance(names, str) else tuple(names),
            split=section.get("split", "val") if section else "test",
        )

    def with_flags(
        self,
        *,
        dataset: str | None,
        data_dir: str | None,
        config_names: Sequence[str] | None,
        split: str | None,
    ) -> EvalTarget:
        """With what was said in its place; of another data set nothing but the folder is kept."""
        base = EvalTarget(data_dir=self.data_dir) if dataset else self
        return EvalTarget(
            dataset=dataset or base.dataset,
            data_dir=data_dir or base.data_dir,
            config_names=tuple(config_names or base.config_names),
            split=split or base.split,
        )

    def clips(self, names: Sequence[str] = (), *, limit: int | None = None) -> list[EvalClip]:
        """The clips to evaluate.

        Args:
          names: only these; empty: all.
          limit: only so many frames of each.

        Raises:
          UserError: no data set or configuration is named, or there is no such one, split or clip.
        """
        if not self.dataset:
            raise UserError(
                "what to evaluate on? give --dataset NAME (and --data-dir), or --raw and "
                "--compressed"
            )
        if not self.config_names:
            raise UserError(f"which configuration of {self.dataset}? give --config-name, e.g. qp37")
        found: list[EvalClip] = []
        for config in self.config_names:
            pairs = open_pairs(self.data_dir, self.dataset, self.split, config)
            origin = f"{self.dataset}/{config}/{self.split}"
            found += clips_from_pairs(pairs, limit=limit, origin=origin)
        known = [clip.name for clip in found]
        check_names(self.dataset, "clip", names, known)
        return [clip for clip in found if not names or clip.name in names]
