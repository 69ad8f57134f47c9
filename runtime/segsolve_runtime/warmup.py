"""The first inference of a stage, which also brings its weights to where they belong, before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segsolve_runtime.arrays import array_specs, select
from segsolve_runtime.backends import StageRunner
from segsolve_runtime.errors import StageError
from segsolve_runtime.places import Place, stage_at
from segsolve_runtime.plan import Plan


def warm_up(plan: Plan, runners: Mapping[Place, StageRunner], inferences: int) -> None:
    """Run every stage `inferences` times on zeros, one after the other.

    Raises:
        StageError: a stage raised.
    """
    specs = array_specs(plan)
    for place, runner in runners.items():
        zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in select(specs, stage_at(plan, place).inputs)}
        for number in range(inferences):
            try:
                runner.run(zeros)
            except Exception as cause:
                raise StageError(place, number, cause, where=f"{place.describe(plan)}, warming up,") from cause
