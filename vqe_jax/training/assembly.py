"""What a stage is made of: its network, its step and its batches, built from the plan."""

from __future__ import annotations

import dataclasses
import functools

import jax

from vqe_jax.data.augment import random_symmetries
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.training import kinds, starts
from vqe_jax.training.feed import Feed, data_config
from vqe_jax.training.memory import with_remat
from vqe_jax.training.stages import Run, Stage
from vqe_jax.training.state import TrainState
from vqe_jax.training.step import Place, Step, make_place

__all__ = ["Assembly", "assemble", "same_optimizer"]


@dataclasses.dataclass(frozen=True)
class Assembly:
    """The parts of one stage, of which none has run yet.

    Attributes:
      place: devices, first step and seed.
      step: how to start a state, and the jitted step.
    """

    stage: Stage
    network: Network
    data: DataConfig
    place: Place
    step: Step

    def open_feed(self) -> Feed:
        """The stage's batches from its first step on; opens the data set.

        Raises:
          UserError: there is none, its clips are too short or too small, or a batch does not
            divide among the devices.
        """
        devices = self.place.mesh.devices.size
        if self.data.batch % devices:
            raise UserError(
                f"stage {self.stage.name!r}: a batch of {self.data.batch} does not divide among "
                f"{devices} devices; choose another data.batch or set config.devices"
            )
        return Feed(
            self.data,
            seed=self.place.seed,
            start=self.place.first_step,
            sharding=self.place.split,
            check_qp=self.network.check_qp,
            references=self.network.context.references,
        )


def assemble(plan: Run, index: int) -> Assembly:
    """Builds what a stage is made of.

    Raises:
      UserError: whatever of it does not exist or does not fit together.
    """
    stage = plan.stages[index]
    network = starts.build_network(plan, stage)
    data = data_config(plan.data, stage.data, f"config.data (stage {index}, {stage.name!r})")
    if network.channels != (3 if data.color == "rgb" else 1):
        raise UserError(
            f"stage {stage.name!r}: model {plan.model!r} has channels={network.channels}, but "
            f"data.color={data.color!r}"
        )
    augment = functools.partial(random_symmetries, allowed=data.symmetries)
    first = plan.first_step(index)
    place = make_place(plan.devices, first_step=first, seed=plan.seed, augment=augment)
    network = with_remat(network, data, place.mesh.devices.size)
    return Assembly(stage, network, data, place, kinds.get(stage.kind)(stage, network, place))


def same_optimizer(previous: TrainState, fresh: TrainState, name: str) -> None:
    """Refuses to keep an optimizer's state that is not what the stage's optimizer makes.

    Raises:
      UserError: names the stage.
    """
    there, here = (_signature(s.opt_state) for s in (previous, fresh))
    if there != here:
        raise UserError(
            f"stage {name!r}: keep_optimizer, but its optimizer or its frozen parameters are not "
            "those of the previous stage"
        )


def _signature(tree: object) -> str:
    return str(jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree))
