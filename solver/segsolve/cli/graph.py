"""What ``segsolve solve`` does with a graph, or with measured costs that CPU cores have a part in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segsolve.cli.console import progress, show, show_json
from segsolve.cli.no_plan import GRAPH, no_plan
from segsolve.cli.written import write_and_verify
from segsolve.errors import ExitCode
from segsolve.library.answer import Answer
from segsolve.library.graphs import solve_graph as solved

if TYPE_CHECKING:
    from segsolve.solvers.base import Limits


def solve_graph(
    file: Path,
    *,
    tpus: int | None,
    cpus: int | None,
    tpu_memory: str | None,
    no_spill: bool,
    limits: Limits,
    output: Path | None,
    as_json: bool,
) -> None:
    """Find and prove the best pipeline of a graph, print it, and write its plan.

    Raises:
        DeviceError, UsageError, SolverFault: as the file, an option or a solver is at fault.
    """
    from segsolve.report.dag import dag_document, dag_table
    from segsolve.report.units import count
    from segsolve.solvers.base import Stop

    with progress(f"solving {file.stem}") as observe:
        found = solved(file, tpus, cpus, tpu_memory, no_spill=no_spill, limits=limits, observe=observe)
    problem, answer = found.problem, found.answer
    if as_json:
        show_json(dag_document(problem, answer, lambda op: found.costs.names[op]))
    elif answer.plan is not None:
        show(dag_table(problem, answer))
    if answer.plan is None:
        devices = f"{count(problem.tpus, 'accelerator')} and {count(problem.cpus, 'CPU core')}"
        raise no_plan(devices, answer, GRAPH)
    if output is not None:
        write_and_verify(
            Answer(found=answer, problem=problem, device=found.device, costs=found.costs), output, verify=False
        )
    if answer.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)
