"""Graphs of operations, and measured costs that CPU cores have a part in: one pipeline over accelerators and cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsolve.errors import UsageError
from segsolve.library.costs import device_count, tpus_or
from segsolve.values import parse_memory, whole

if TYPE_CHECKING:
    from segsolve.problem import Problem
    from segsolve.profile.source import DeviceFacts
    from segsolve.search.answer import Answer
    from segsolve.solvers.base import Limits, Observer
    from segsolve_runtime.contract.start import Start

MOST_CORES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedGraph:
    """An answer with its problem; `names` is what each operation is called in the file."""

    problem: Problem
    answer: Answer
    device: DeviceFacts
    names: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDevice:
    """The accelerators of a graph, which have no other name than its."""

    name: str
    memory_bytes: int
    is_optimistic: bool = False
    start: Start | None = None
    ranges: tuple[tuple[str, float, float], ...] = ()


def is_graph(file: Path, cpus: int | None) -> bool:
    """Whether a file is a graph, or a profile that is to be spread over accelerators and CPU cores.

    Raises:
        UsageError: cores are given for what has no costs for them.
    """
    if file.suffix != ".json":
        if cpus is not None:
            raise UsageError("--cpus is for graphs and profiles", "leave out --cpus, or give a .json file")
        return False
    from segsolve.profile.placement import is_placement

    return cpus is not None or is_placement(file)


def solve_graph(
    file: Path,
    tpus: int | None,
    cpus: int | None,
    tpu_memory: str | None,
    *,
    no_spill: bool,
    limits: Limits,
    observe: Observer,
) -> SolvedGraph:
    """Return the best pipeline of a graph, or of a profile's costs, on accelerators and CPU cores.

    Raises:
        DeviceError, UsageError, SolverFault: as the file, a value or a solver is at fault.
    """
    from segsolve.search.wide import graph_answer

    if cpus is not None:
        whole("--cpus", cpus, 0, MOST_CORES)
    problem, device, names = _problem(file, tpus, cpus, tpu_memory, no_spill)
    found = graph_answer(problem, limits, observe)
    return SolvedGraph(problem=problem, answer=found, device=device, names=names)


def _problem(
    file: Path, tpus: int | None, cpus: int | None, tpu_memory: str | None, no_spill: bool
) -> tuple[Problem, DeviceFacts, Sequence[Sequence[Any]]]:
    """Return the problem, its devices, and what each of its operations is called in the file."""
    from segsolve.device.model import Changes
    from segsolve.profile.load import profile_costs
    from segsolve.profile.placement import is_placement, load_placement

    memory = None if tpu_memory is None else parse_memory(tpu_memory, least_bare=0)  # in the unit of the file
    if is_placement(file):
        graph = load_placement(file)
        cores = graph.graph.max_cpus if cpus is None else cpus
        whole("the number of CPU cores", cores, 0, MOST_CORES)
        accelerators = tpus_or(tpus, graph.graph.max_fpgas)
        problem = graph.problem(accelerators=accelerators, cpus=cores, memory_bytes=memory)
        return problem, GraphDevice(name=file.stem, memory_bytes=problem.capacity_bytes), graph.members
    costs = profile_costs(file, Changes(memory_bytes=memory), cpus or 0)
    problem = costs.problem(tpus=tpus_or(tpus, device_count(costs)), no_spill=no_spill)
    return problem, costs.device, [(op.name,) for op in problem.ops]
