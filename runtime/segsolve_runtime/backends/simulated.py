"""Stages that compute nothing and take exactly as long as the plan predicts, on a virtual clock.

Where a shared link or the host limits the plan, inferences begin as often as these allow (`flow.shared`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segsolve_runtime.backends import BackendOptions, OpenStages
from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.places import places, stage_at
from segsolve_runtime.contract.plan import Plan, PlanFolder


class SimulatedRunner:
    """Returns zeros of the right type and shape."""

    def __init__(self, outputs: Sequence[ArraySpec]) -> None:
        self._outputs = outputs

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return a zero-filled array for each output."""
        return {spec.name: np.zeros(spec.shape, spec.dtype) for spec in self._outputs}

    def close(self) -> None:
        """Do nothing: the runner holds nothing."""


def open_stages(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    """Return the stages of a folder's plan; there is nothing to open."""
    return stages_of(folder.plan)


def stages_of(plan: Plan) -> OpenStages:
    """Return a simulated runner for each place; segment files are not needed.

    Raises:
        PlanError: a tensor has an element type that numpy cannot hold.
    """
    specs = array_specs(plan)
    runners = tuple(SimulatedRunner(select(specs, stage_at(plan, place).outputs)) for place in places(plan))
    return OpenStages(runners=runners, clocks="virtual")
