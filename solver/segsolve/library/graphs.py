"""Graphs of operations, and measured costs that CPU cores have a part in: one pipeline over accelerators and cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsolve.errors import DeviceError, UsageError
from segsolve.library.costs import Tell, device_count, tpus_or
from segsolve.values import parse_memory, whole

if TYPE_CHECKING:
    from segsolve.plan.folder import CostsFile
    from segsolve.problem import Problem
    from segsolve.profile.placement import PlacementCosts
    from segsolve.profile.source import DeviceFacts
    from segsolve.search.answer import Answer
    from segsolve.solvers.base import Limits, Observer
    from segsolve_runtime.contract.start import Start

MOST_CORES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SolvedGraph:
    """An answer with its problem, and the file that it comes from."""

    problem: Problem
    answer: Answer
    device: DeviceFacts
    costs: CostsFile


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDevice:
    """The accelerators of a graph, which have no other name than its."""

    name: str
    memory_bytes: int
    is_optimistic: bool = False
    start: Start | None = None
    ranges: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCosts:
    """The costs of a graph on its accelerators alone, as any other costs; `memory_bytes` in place of the file's."""

    graph: PlacementCosts
    memory_bytes: int | None = None

    @property
    def device(self) -> GraphDevice:
        """The accelerators of the graph."""
        return GraphDevice(name=self.graph.name, memory_bytes=self.problem(tpus=1).capacity_bytes)

    @property
    def count(self) -> int:
        """How many accelerators there are, as the graph says."""
        return self.graph.graph.max_fpgas

    def problem(self, *, tpus: int, no_spill: bool = True) -> Problem:
        """Return the problem for a number of accelerators, whose memory is a hard limit; ns and bytes.

        Raises:
            DeviceError: an operation needs a CPU core.
        """
        problem = self.graph.problem(accelerators=tpus, cpus=0, memory_bytes=self.memory_bytes)
        if alone := [op.name for op in problem.ops if not op.on_accelerator]:
            raise DeviceError(f"node {alone[0]!r} of the graph runs on no accelerator", "segsolve solve takes --cpus 1")
        return problem


def graph_costs(file: Path, tpu_memory: int | None, tell: Tell) -> GraphCosts:
    """Return the costs of a graph without its CPU cores, which is told (DeviceError if it cannot be read)."""
    from segsolve.profile.placement import load_placement

    found = GraphCosts(graph=load_placement(file), memory_bytes=tpu_memory)
    if found.graph.graph.max_cpus:
        tell("the graph's CPU cores are left aside: only segsolve solve gives them parts")
    return found


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

    Without cores, and with cuts that can be listed, it is the question that is asked of models, and has a certificate.

    Raises:
        DeviceError, UsageError, SolverFault: as the file, a value or a solver is at fault.
    """
    from segsolve.cost.states import ideals
    from segsolve.plan.folder import CostsFile
    from segsolve.question import Cuts, Layout, Question
    from segsolve.search.ask import answer
    from segsolve.search.wide import graph_answer

    if cpus is not None:
        whole("--cpus", cpus, 0, MOST_CORES)
    problem, device, names = _problem(file, tpus, cpus, tpu_memory, no_spill)
    costs = CostsFile.read(file, names)
    if not problem.cpus and ideals(problem) is not None:
        found = answer(problem, Question(layout=Layout.PIPELINE, cuts=Cuts.DAG), limits=limits, observe=observe)
    else:
        found = graph_answer(problem, limits, observe)
    return SolvedGraph(problem=problem, answer=found, device=device, costs=costs)


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
