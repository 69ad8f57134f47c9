"""The constraint program of one pipeline whose stages may have replicas: a path over states and devices.

A node is a state of the graph, reached with so many devices; an arc is a stage on r devices. Exactly one path leads
from the start, and everything else is left out by the windows of the upper bound.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.solvers.base import Limits, Status, ignore
from segsolve.solvers.cpsat.engine import Answer, run

Literal = Any  # OR-Tools' BoolVarT
Node = tuple[int, int]  # state, devices used before it


@dataclass(frozen=True, slots=True)
class Stage:
    """An arc of the program: a stage from one node to another, and its share of the time per inference in ns."""

    begin: Node
    end: Node
    share_ns: int


def stages(time_ns: NDArray[np.int64], devices: int, upper_bound_ns: int) -> tuple[Stage, ...]:
    """Return the arcs that lie on some pipeline of at most so many devices within an upper bound.

    A stage gets as many replicas as keep the bound, or more, as long as one more still lowers its share.
    """
    need = np.where(time_ns < IMPOSSIBLE, np.maximum(1, -(-time_ns // max(1, upper_bound_ns))), devices + 1)
    before, after = _labels(need.T, 0)[:, None], _labels(need, -1)[None, :]
    arcs = []
    for a, b in np.argwhere(before + need + after <= devices):
        spare = devices - int(after[0, b])
        for start in range(int(before[a, 0]), spare):
            for r in range(int(need[a, b]), spare - start + 1):
                arcs.append(Stage((int(a), start), (int(b), start + r), -(-int(time_ns[a, b]) // r)))
    return tuple(arcs)


def minimise(arcs: tuple[Stage, ...], end: int, lower_bound_ns: int, upper_bound_ns: int, limits: Limits) -> Answer:
    """Return CP-SAT's answer: the smallest bottleneck of a path from state 0 to state `end`."""
    program = cp_model.CpModel()
    chosen = {arc: program.new_bool_var(f"{arc.begin}_to_{arc.end}") for arc in arcs}
    one_path(program, chosen, end)
    bottleneck = program.new_int_var(lower_bound_ns, upper_bound_ns, "bottleneck")
    keep_below(program, chosen, bottleneck, lower_bound_ns)
    program.minimize(bottleneck)
    return run(program, [bottleneck], limits=limits, observe=ignore, start=time.perf_counter())


def one_path(program: cp_model.CpModel, chosen: dict[Stage, Literal], end: int) -> None:
    """Exactly one stage leaves the start and one enters the end; elsewhere as many leave as enter, one at most."""
    leaves: dict[Node, list[Literal]] = defaultdict(list)
    enters: dict[Node, list[Literal]] = defaultdict(list)
    for arc, literal in chosen.items():
        leaves[arc.begin].append(literal)
        enters[arc.end].append(literal)
    program.add_exactly_one(leaves[0, 0])
    program.add_exactly_one(literal for node, found in enters.items() if node[0] == end for literal in found)
    for node in sorted({*leaves, *enters} - {(0, 0)}):
        if node[0] != end:
            passed = program.new_bool_var(f"through_{node}")
            program.add_exactly_one([*leaves[node], passed.negated()])
            program.add_exactly_one([*enters[node], passed.negated()])


def keep_below(program: cp_model.CpModel, chosen: dict[Stage, Literal], bottleneck: Literal, least_ns: int) -> None:
    """No chosen stage's share exceeds the bottleneck."""
    for arc, literal in chosen.items():
        if arc.share_ns > least_ns:
            program.add(bottleneck >= arc.share_ns).only_enforce_if(literal)


def _labels(need: NDArray[np.int64], source: int) -> NDArray[np.int64]:
    """Return the fewest devices [n] between each state and the source, the first state or the last."""
    fewest = np.full(len(need), IMPOSSIBLE, dtype=np.int64)
    fewest[source] = 0
    order = range(1, len(need)) if source == 0 else range(len(need) - 2, -1, -1)
    for state in order:
        fewest[state] = min(IMPOSSIBLE, int((need[state] + fewest).min()))
    return fewest


def is_confirmed(answer: Answer, bottleneck_ns: int) -> bool | None:
    """Whether CP-SAT agrees with an optimum; None if it was stopped before it could say."""
    if answer.status is Status.OPTIMAL:
        return answer.objective == bottleneck_ns
    return False if answer.status is Status.INFEASIBLE else None
