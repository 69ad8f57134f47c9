"""Graphs in the form of the public device placement instances, read as problems.

The form is that of the instances of "Efficient Algorithms for Device Placement of DNN Graph Operators" (Tarnawski et
al., NeurIPS 2020): nodes with a time on an accelerator ("FPGA") and on a CPU core, edges with the time to move the
source's output to or from an accelerator. Times are taken as milliseconds and rounded to whole ns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve.errors import DeviceError
from segsolve.graph.order import components, topological
from segsolve.problem import MOST_SUM, OpCost, Problem, Transfer
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT, OPERATIONS

NS_PER_UNIT: Final = 10**6
"""Resolution: a unit of time of the files is a millisecond, a problem's is a ns."""
IMPOSSIBLE_FROM: Final = 1e9
"""A time of a million seconds or more says that a node cannot run there."""

_HINT = "the solver's README shows the form of graphs"
_MOST_BYTES = 2**53


class Node(BaseModel):
    """One operation of the graph."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    id: int
    name: str = ""
    supported_on_fpga: bool = Field(default=True, alias="supportedOnFpga")
    cpu_latency: float = Field(default=IMPOSSIBLE_FROM, alias="cpuLatency", ge=0)
    fpga_latency: float = Field(alias="fpgaLatency", ge=0)
    size: float = Field(default=0.0, ge=0, le=_MOST_BYTES)
    color_class: int | None = Field(default=None, alias="colorClass")
    is_backward_node: bool = Field(default=False, alias="isBackwardNode")


class Edge(BaseModel):
    """One dependency; `cost` moves the source's output over a border, the same for all edges of the source."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    source: int = Field(alias="sourceId")
    dest: int = Field(alias="destId")
    cost: float = Field(ge=0, lt=IMPOSSIBLE_FROM)


class PlacementGraph(BaseModel):
    """The content of a graph file."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")

    max_size_per_fpga: float = Field(alias="maxSizePerFPGA", ge=0)
    max_fpgas: int = Field(alias="maxFPGAs", ge=0)
    max_cpus: int = Field(default=0, alias="maxCPUs", ge=0)
    nodes: tuple[Node, ...] = Field(min_length=1)
    edges: tuple[Edge, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlacementCosts:
    """The problems that a graph poses; a problem's operation is one of its `members`, a set of nodes kept together."""

    graph: PlacementGraph
    name: str

    @cached_property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """The ids of each operation's nodes: those of one colour, and those that depend on each other in circles."""
        return _members(self.graph)

    def problem(self, *, accelerators: int, cpus: int, memory_bytes: int | None = None) -> Problem:
        """Return the problem for a number of accelerators and CPU cores; ns and bytes."""
        memory = self.graph.max_size_per_fpga if memory_bytes is None else memory_bytes
        node = {n.id: n for n in self.graph.nodes}
        return Problem(
            name=self.name,
            ops=tuple(_op_cost(rank, [node[i] for i in ids]) for rank, ids in enumerate(self.members)),
            transfers=tuple(_transfers(self.graph, self.members)),
            cuts=tuple(range(1, len(self.members))),
            tpus=accelerators,
            cpus=cpus,
            capacity_bytes=int(min(memory, MOST_SUM)),  # as good as any more: all nodes together need no more
            overhead_ns=0,
            no_spill=True,
        )


def is_placement(path: Path) -> bool:
    """Whether a file is JSON of this form; a file that cannot be read is not."""
    try:
        document = json.loads(read_bounded_text(path, DOCUMENT))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "nodes" in document and "format" not in document


def load_placement(path: Path) -> PlacementCosts:
    """Read a graph file.

    Raises:
        DeviceError: it cannot be read, is not of this form, or poses a problem that is not supported.
    """
    try:
        document = json.loads(read_bounded_text(path, DOCUMENT))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}", "check the path of the graph") from None
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"{path} is not a graph: it is not JSON: {error}", _HINT) from None
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if isinstance(nodes, list) and len(nodes) > OPERATIONS.most:
        raise DeviceError(f"{path} has {len(nodes)} nodes, more than {OPERATIONS.said()}")
    try:
        graph = PlacementGraph.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DeviceError(f"{path} is not a valid graph: {where}: {first['msg']}", _HINT) from None
    if wrong := _wrong(graph):
        raise DeviceError(f"{path} is not a valid graph: {wrong}", _HINT)
    return PlacementCosts(graph=graph, name=path.stem)


def _wrong(graph: PlacementGraph) -> str:
    """Return what no schema can say is wrong with a graph; nothing if nothing is."""
    ids = {node.id for node in graph.nodes}
    if len(ids) < len(graph.nodes):
        return "two nodes have the same id"
    if any(node.is_backward_node for node in graph.nodes):
        return "it has backward nodes, but training is not supported"
    cost: dict[int, float] = {}
    for number, edge in enumerate(graph.edges):
        if not {edge.source, edge.dest} <= ids:
            return f"edge {number} names a node that is not listed"
        if abs(cost.setdefault(edge.source, edge.cost) - edge.cost) > 1e-6:
            return f"node {edge.source} has edges of different costs"
    return ""


def _op_cost(rank: int, nodes: list[Node]) -> OpCost:
    size = sum(ceil(n.size) for n in nodes)
    accelerated = all(n.supported_on_fpga and n.fpga_latency < IMPOSSIBLE_FROM for n in nodes)
    compute = sum(_ns(n.fpga_latency) for n in nodes) if accelerated else 0
    on_cpu = all(n.cpu_latency < IMPOSSIBLE_FROM for n in nodes)
    return OpCost(
        name=nodes[0].name or str(nodes[0].id),
        compute_ns=compute,
        streamed_ns=compute,
        weight_bytes=size,
        streamed_bytes=size,
        parameter_bytes=size,
        cacheable=True,
        cache_rank=rank,
        scratch_bytes=0,
        cpu_ns=sum(_ns(n.cpu_latency) for n in nodes) if on_cpu else None,
        on_accelerator=accelerated,
    )


def _transfers(graph: PlacementGraph, members: tuple[tuple[int, ...], ...]) -> Iterable[Transfer]:
    """Yield what each node hands to other groups: once per node, whatever the number of its edges."""
    group = {i: g for g, ids in enumerate(members) for i in ids}
    cost = {edge.source: edge.cost for edge in graph.edges}
    readers: dict[int, set[int]] = {}
    for edge in graph.edges:
        if group[edge.source] != group[edge.dest]:
            readers.setdefault(edge.source, set()).add(group[edge.dest])
    for source, consumers in sorted(readers.items(), key=lambda item: (group[item[0]], item[0])):
        ns = _ns(cost[source])
        yield Transfer(
            name=str(source),
            nbytes=0,
            producer=group[source],
            consumers=tuple(sorted(consumers)),
            is_output=False,
            input_ns=ns,
            output_ns=ns,
        )


def _ns(time: float) -> int:
    return round(time * NS_PER_UNIT) if isfinite(time) else 0


def _members(graph: PlacementGraph) -> tuple[tuple[int, ...], ...]:
    """Contract colours, then circles, and order what is left topologically, earlier nodes of the file first."""
    colour = {n.id: ("colour", n.color_class) if n.color_class is not None else ("node", n.id) for n in graph.nodes}
    after: dict[Any, set[Any]] = {c: set() for c in colour.values()}
    for edge in graph.edges:
        if colour[edge.source] != colour[edge.dest]:
            after[colour[edge.source]].add(colour[edge.dest])
    component = components(after)
    position = {n.id: k for k, n in enumerate(graph.nodes)}
    ids: dict[int, list[int]] = {}
    for node in graph.nodes:
        ids.setdefault(component[colour[node.id]], []).append(node.id)
    follows: dict[int, set[int]] = {c: set() for c in ids}
    for before, found in after.items():
        follows[component[before]] |= {component[b] for b in found} - {component[before]}
    order = topological(follows, {c: position[found[0]] for c, found in ids.items()})
    return tuple(tuple(ids[c]) for c in order)
