"""The whole program: windows, costs and memory put together."""

from __future__ import annotations

from segsolve.solvers.cpsat.ladder import Ladder, accelerator_loads, build, cpu_loads, minimise_bottleneck
from segsolve.solvers.cpsat.ladder_measured import measured_stages
from segsolve.solvers.cpsat.ladder_memory import memory
from segsolve.solvers.ladder.bounds import Windows
from segsolve.solvers.ladder.dag import Dag


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
