"""What ``segsolve solve`` does with a graph, or with measured costs that CPU cores have a part in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from segsolve.cli.console import progress, show, show_json
from segsolve.cli.no_plan import GRAPH, no_plan
from segsolve.cli.options import parse_memory, within
from segsolve.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from segsolve.problem import Problem
    from segsolve.solvers.base import Limits

MOST_CORES = 64


def is_graph(file: Path, cpus: int | None) -> bool:
    """Whether a file is a graph, or a profile that is to be spread over accelerators and CPU cores."""
    if file.suffix != ".json":
        if cpus is not None:
            raise UsageError("--cpus is for graphs and profiles", "leave out --cpus, or give a .json file")
        return False
    from segsolve.profile.placement import is_placement

    return cpus is not None or is_placement(file)


def solve_graph(
    file: Path,
    *,
    tpus: int,
    cpus: int | None,
    tpu_memory: str | None,
    no_spill: bool,
    limits: Limits,
    as_json: bool,
) -> None:
    """Find and prove the best pipeline of a graph, and print it.

    Raises:
        DeviceError, UsageError, SolverFault: as the file, an option or a solver is at fault.
    """
    from segsolve.report.dag import dag_document, dag_table
    from segsolve.report.units import count
    from segsolve.search.ladder.confirm import solve_and_confirm
    from segsolve.solvers.base import Stop

    if cpus is not None:
        within("--cpus", cpus, 0, MOST_CORES)
    problem, names = _problem(file, tpus, cpus, tpu_memory, no_spill)
    with progress(f"solving {problem.name}") as observe:
        result = solve_and_confirm(problem, stages=tpus, limits=limits, observe=observe)
    if as_json:
        show_json(dag_document(problem, result, lambda op: names[op]))
    elif result.stages is not None:
        show(dag_table(problem, result))
    if result.stages is None:
        devices = f"{count(problem.tpus, 'accelerator')} and {count(problem.cpus, 'CPU core')}"
        raise no_plan(devices, result, GRAPH)
    if result.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _problem(
    file: Path, tpus: int, cpus: int | None, tpu_memory: str | None, no_spill: bool
) -> tuple[Problem, Sequence[Sequence[Any]]]:
    """Return the problem, and what each of its operations is called in the file."""
    from segsolve.profile.load import profile_costs
    from segsolve.profile.placement import is_placement, load_placement

    memory = None if tpu_memory is None else parse_memory(tpu_memory)
    if is_placement(file):
        graph = load_placement(file)
        cores = graph.graph.max_cpus if cpus is None else cpus
        within("the number of CPU cores", cores, 0, MOST_CORES)
        return graph.problem(accelerators=tpus, cpus=cores, memory_bytes=memory), graph.members
    problem = profile_costs(file, memory, cpus or 0).problem(tpus=tpus, no_spill=no_spill)
    return problem, [(op.name,) for op in problem.ops]
