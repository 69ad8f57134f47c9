"""The whole program: windows, costs and memory put together."""

from __future__ import annotations

from segsolve.planners.ladder.bounds import Windows
from segsolve.planners.ladder.dag import Dag
from segsolve.planners.ladder.measured import measured_stages
from segsolve.planners.ladder.memory import memory
from segsolve.planners.ladder.model import Ladder, accelerator_loads, build, cpu_loads, minimise_bottleneck


def bottleneck_program(
    dag: Dag, windows: Windows, tpus: int, lower_bound_ns: int, upper_bound_ns: int
) -> Ladder | None:
    """Return the program of all plans within the windows and bounds; None if the windows leave none."""
    if windows.empty or lower_bound_ns > upper_bound_ns:
        return None
    model = build(dag, windows, tpus)
    accelerators = accelerator_loads(model)
    memory(model, accelerators)
    measured = measured_stages(model)
    minimise_bottleneck(model, accelerators, cpu_loads(model), lower_bound_ns, upper_bound_ns, measured)
    return model
