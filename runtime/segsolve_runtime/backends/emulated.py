"""Real outputs from LiteRT, each stage held to its predicted time on the real clock: a plan's devices, watched.

What all pipelines share, a link and the host, is not held: a plan that it limits may run faster than predicted.
"""

from __future__ import annotations

from segsolve_runtime.backends import BackendOptions, OpenStages
from segsolve_runtime.backends import litert as cpu
from segsolve_runtime.contract.plan import PlanFolder


def open_stages(folder: PlanFolder, options: BackendOptions) -> OpenStages:
    """Load a segment for every place of a plan; the clock holds each to the plan's prediction.

    Raises:
        PlanError: a segment cannot be loaded, or its inputs or outputs are not those of the plan.
    """
    return OpenStages(runners=cpu.open_stages(folder, options).runners, clocks="paced")
