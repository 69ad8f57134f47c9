"""Groups that may as well be together: fewer of them, the same optimum."""

from __future__ import annotations

from segsolve.solvers.ladder.dag import Dag, build


def reduced(dag: Dag) -> Dag:
    """Join every group that costs nothing itself to its only neighbour, until none is left.

    Constants and bookkeeping outputs of operator graphs are such groups. Where its neighbour is, such a group saves
    its tensor and costs nothing, so that some optimal plan has the two together.
    """
    while joined := _joined(dag):
        groups = [list(ops) for g, ops in enumerate(dag.groups) if g not in joined]
        index = {g: i for i, g in enumerate(g for g in range(len(dag)) if g not in joined)}
        for leaf, neighbour in joined.items():
            groups[index[neighbour]] += dag.groups[leaf]
        dag = build(dag.problem, groups)
    return dag


def _joined(dag: Dag) -> dict[int, int]:
    """Return groups to join, each with its neighbour, which is none of them."""
    joined: dict[int, int] = {}
    if dag.problem.measured:
        return joined
    hosts: set[int] = set()
    several = {c for t in dag.tensors if t.producer < 0 for c in t.consumers}
    for g in range(len(dag)):
        around = {*dag.predecessors[g], *dag.successors[g]}
        if len(around) == 1 and g not in hosts | several:
            (neighbour,) = around
            if neighbour not in joined and _is_free(dag, g, neighbour):
                joined[g] = neighbour
                hosts.add(neighbour)
    return joined


def _is_free(dag: Dag, leaf: int, neighbour: int) -> bool:
    """Whether a leaf costs its neighbour's stage nothing, on whatever processor that runs."""
    if dag.compute_ns[leaf] or (dag.accelerated[neighbour] and not dag.accelerated[leaf]):
        return False
    if dag.problem.cpus and dag.cpu_ns[neighbour] is not None and dag.cpu_ns[leaf] != 0:
        return False
    return dag.fits_anyway or _needs_no_memory(dag, leaf, neighbour)


def _needs_no_memory(dag: Dag, leaf: int, neighbour: int) -> bool:
    weightless = not dag.weight_bytes[leaf]
    return weightless and dag.scratch_bytes[leaf] <= dag.scratch_bytes[neighbour]
