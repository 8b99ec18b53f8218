"""A source of the reader's own."""

import dataclasses

from vqe_jax.data.jobs import VideoOrigin
from vqe_jax.data.sources.base import AugmentedOptions, Plan, Source, option, plans_of
from vqe_jax.data.sources.folders import find_clips


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParksOptions(AugmentedOptions):
    source: str = option("", "folder of videos")


class Parks(Source):
    """Clips of parks alone."""

    name = "parks"
    Options = ParksOptions

    def plan(self, options: ParksOptions) -> tuple[Plan, ...]:
        clips = {n: p for n, p in find_clips(options.source).items() if "park" in n}
        origins = [(n, "train", VideoOrigin(str(p), 2)) for n, p in clips.items()]
        return plans_of(options, origins, "parks")
