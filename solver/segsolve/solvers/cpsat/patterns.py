"""Set partitioning over device patterns: which TPUs hold what, so that every model's stages form one path.

minimise P   with   y_p in {0, 1}
sum over patterns of kind c of y_p <= n_c
for every model, one stage begins at its first state, one ends at its last, and as many begin as end at all others
P >= load_p where y_p,   P >= sum of what the patterns on a link move over it, and of what they take of the host
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from segsolve.solvers.base import Limits, Status, ignore
from segsolve.solvers.cpsat.engine import run

_LINK_BITS, _MOST_BITS = 20, 58  # loads of links are in 2**-20 ns; their sums have to fit 64 bits


@dataclass(frozen=True, slots=True)
class Choice:
    """A pattern as the program sees it: stages (model, first state, last state), the load of its TPU in ns.

    `link_load` is what it loads the link of that number with, in 2**-20 ns, `host` the host and all its cores, in ns.
    """

    kind: int
    stages: tuple[tuple[int, int, int], ...]
    load_ns: int
    link: int | None = None
    link_load: int = 0
    host: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Partition:
    """The numbers of the chosen patterns, none if CP-SAT found none.

    No choice has a period below `bound_ns`, which is None if there is none; `finished` says that CP-SAT came to an end.
    """

    chosen: tuple[int, ...] | None
    bound_ns: int | None
    finished: bool
    deterministic_s: float


def partition(
    choices: Sequence[Choice],
    counts: Sequence[int],
    ends: Sequence[int],
    limits: Limits,
    effort: float,
    cores: int = 0,
) -> Partition:
    """Choose patterns of the least period.

    `counts` are the devices of each kind, `ends` the last state of each model, `effort` CP-SAT's deterministic seconds,
    `cores` those of the host (0: left aside).
    """
    program = cp_model.CpModel()
    taken = [program.new_bool_var("") for _ in choices]
    balance: dict[tuple[int, int], list[Any]] = defaultdict(list)
    kinds: dict[int, list[Any]] = defaultdict(list)
    links: dict[int, list[Any]] = defaultdict(list)
    total = sum(c.link_load for c in choices)
    shift = max(0, total.bit_length() - _MOST_BITS)  # rounds down, so that no plan is left out
    most = max((c.load_ns for c in choices), default=0) + (total >> _LINK_BITS) + sum(c.host[1] for c in choices) + 1
    period = program.new_int_var(0, most, "")
    for choice, is_taken in zip(choices, taken, strict=True):
        kinds[choice.kind].append(is_taken)
        program.add(period >= choice.load_ns).only_enforce_if(is_taken)
        if choice.link is not None:
            links[choice.link].append((choice.link_load >> shift) * is_taken)
        for m, a, b in choice.stages:
            balance[m, a].append(is_taken)
            balance[m, b].append(-is_taken)
    for kind, own in kinds.items():
        program.add(sum(own) <= counts[kind])
    for m, end in enumerate(ends):
        program.add(sum(balance[m, 0]) == 1)
        program.add(sum(balance[m, end]) == -1)
    for (m, state), terms in balance.items():
        if 0 < state < ends[m]:
            program.add(sum(terms) == 0)
    for terms in links.values():
        program.add(period * 2 ** max(0, _LINK_BITS - shift) >= sum(terms))
    if cores:
        program.add(period >= sum(c.host[0] * is_taken for c, is_taken in zip(choices, taken, strict=True)))
        program.add(period * cores >= sum(c.host[1] * is_taken for c, is_taken in zip(choices, taken, strict=True)))
    program.minimize(period)

    def configure(parameters: Any) -> None:
        parameters.max_deterministic_time = effort

    start = time.perf_counter()
    found = run(program, taken, limits=limits, observe=ignore, start=start, linear_relaxation=True, configure=configure)
    is_plan = found.status in (Status.OPTIMAL, Status.FEASIBLE)
    return Partition(
        chosen=tuple(i for i, value in enumerate(found.values) if value) if is_plan else None,
        bound_ns=None if found.status is Status.INFEASIBLE else found.bound,
        finished=found.status in (Status.OPTIMAL, Status.INFEASIBLE),
        deterministic_s=found.deterministic_s,
    )
