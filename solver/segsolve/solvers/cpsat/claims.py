"""The constraint program of an answer's claims: a pipeline that contradicts one of them. There is none.

A claim says of all pipelines of at most k devices whose shares are below a bound that there is none, or that each adds
up to at least so much cost. The program has a path through the stages for each claim, and exactly one of the paths is
there. A path that contradicts its claim needs at most k devices to keep every share below the bound, and costs less:

    for each claim c:   sum over stages of devices(stage) x(stage) <= k,   sum of cost(stage) x(stage) <= at_least - 1
    for each state:     as many stages end there as begin there, one at most
    sum over claims of starts(c) = 1

It is built over the stages of all pipelines that come within some per cent of contradicting a claim (`within`), so that
there is something left to refute that no window decides: at 0 % the windows alone are the proof.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.sat.python import cp_model

from segsolve.cost.segment_table import IMPOSSIBLE
from segsolve.solvers.base import Limits, Status, ignore
from segsolve.solvers.cpsat.engine import run
from segsolve.solvers.statement import Statement

MOST_STAGES = 900
"""Of one program: about a tenth of a second's work."""
MOST_PAIRS = 16_000_000
"""Of states, over all claims: some tenths of a second for the windows. A claim about costs counts for ten."""
_LOOSENESS = (0.05, 0.02, 0.005, 0.001, 0.0)

Ints = NDArray[np.int64]
Node = tuple[int, int, int]  # number of the stage that begins and devices used so far (0 where not counted), state


@dataclass(frozen=True, slots=True, kw_only=True)
class Refutation:
    """What CP-SAT found out: how many of the claims its program had, and how close to a contradiction its stages come.

    `contradicted` says that there is a pipeline that contradicts a claim; `finished`, that CP-SAT came to an end.
    """

    claims: int
    of: int
    stages: int
    within: float
    finished: bool
    contradicted: bool
    deterministic_s: float


@dataclass(frozen=True, slots=True)
class _Stage:
    begin: Node
    end: Node
    devices: int
    cost: int


def refute(statements: Sequence[Statement], limits: Limits) -> Refutation:
    """Ask CP-SAT for a pipeline that contradicts one of the claims.

    Claims whose stages would make the program too large are left out, the largest first.
    """
    start = time.perf_counter()
    chosen, within = _chosen(statements)
    program = cp_model.CpModel()
    starts = [_contradiction(program, number, found, statement) for number, found, statement in chosen]
    program.add_exactly_one(starts)
    answer = run(program, starts, limits=limits, observe=ignore, start=start, linear_relaxation=True)
    return Refutation(
        claims=len(chosen),
        of=len(statements),
        stages=sum(len(found) for _, found, _ in chosen),
        within=within,
        finished=answer.status is Status.INFEASIBLE,
        contradicted=answer.status in (Status.OPTIMAL, Status.FEASIBLE),
        deterministic_s=answer.deterministic_s,
    )


def _chosen(statements: Sequence[Statement]) -> tuple[list[tuple[int, list[_Stage], Statement]], float]:
    """Return the claims with their stages, as loose as the program's size allows."""
    windows, pairs = [], 0
    for statement in statements:
        pairs += len(statement.paths.time) ** 2 * (1 if statement.cost is None else 10)
        if pairs <= MOST_PAIRS:
            windows.append(_Windows(statement))
    for loose in _LOOSENESS:
        found, total = [], 0
        for number, window in enumerate(windows):
            stages = window.stages(loose, MOST_STAGES - total)
            if stages is None and loose != _LOOSENESS[-1]:
                break
            if stages is not None:
                total += len(stages)
                found.append((number, stages, window.statement))
        else:
            return found, loose
    raise AssertionError("the last looseness is taken")


class _Windows:
    """The stages of pipelines that come close to contradicting a claim.

    Where the claim is about devices alone, a path leads from state to state. Where it is about costs too, a node is a
    state reached with so many devices as a bound that is loose by as much asks for: then little else is left to count.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._paths = statement.paths
        self._need = self._paths.need(statement.below_ns - 1)
        self._layers = self._paths.most_stages if self._paths.is_layered else 1

    def stages(self, loose: float, most: int) -> list[_Stage] | None:
        """Return the stages of pipelines within a share of contradiction; None if there are more than `most`."""
        cost = self.statement.cost
        masks = self._by_devices(loose) if cost is None else self._by_cost(loose)
        if sum(int(mask.sum()) for _, _, mask in masks) > most:
            return None
        after = 1 if self._paths.is_layered else 0
        loosely = self._loose_need(loose)
        return [
            _Stage(
                (layer, used, a),
                (layer + after, 0 if cost is None else used + int(loosely[a, b]), b),
                int(self._need[a, b]),
                0 if cost is None else int(cost[a, b]),
            )
            for layer, used, mask in masks
            for a, b in np.argwhere(mask).tolist()
        ]

    def _by_devices(self, loose: float) -> list[tuple[int, int, NDArray[np.bool_]]]:
        return [(k, 0, mask) for k, mask in enumerate(self._on_short_paths(self._loose_need(loose), self._paths.most))]

    def _on_short_paths(self, length: Ints, most: int) -> list[NDArray[np.bool_]]:
        """Return for each stage number which stages [n, n] lie on a path from start to end of at most a length."""
        if not self._paths.is_layered:
            return [_from_start(length)[:, None] + length + _to_end(length)[None, :] <= most]
        lengths = [length if allowed is None else np.where(allowed, length, IMPOSSIBLE) for allowed in self._allowed]
        ahead, behind = [_at(len(length), 0)], [_at(len(length), -1)]
        for step in lengths:
            ahead.append(np.minimum((ahead[-1][:, None] + step).min(axis=0), IMPOSSIBLE))
        for step in reversed(lengths):
            row = np.minimum((step + behind[0][None, :]).min(axis=1), IMPOSSIBLE)
            row[-1] = 0
            behind.insert(0, row)
        return [ahead[k][:, None] + step + behind[k + 1][None, :] <= most for k, step in enumerate(lengths)]

    @property
    def _allowed(self) -> list[NDArray[np.bool_] | None]:
        at = self._paths.allowed_at
        return [None if at is None else at(layer) for layer in range(self._layers)]

    def _by_cost(self, loose: float) -> list[tuple[int, int, NDArray[np.bool_]]]:
        most = int((self.statement.at_least - 1) * (1 + loose))
        values = self._values(loose)
        ahead = self._sums([{r: v.T for r, v in step.items()} for step in values], 0)
        behind = self._sums(values[::-1], -1)[::-1]
        found = []
        for layer, step in enumerate(values):
            before, after = ahead[layer], behind[min(layer + 1, len(behind) - 1)]
            after = [np.min(after[: left + 1], axis=0) for left in range(len(after))]
            for used in range(self._paths.most):
                mask = np.zeros(self._need.shape, dtype=np.bool_)
                for devices, value in step.items():
                    left = self._paths.most - used - devices
                    if left >= 0:
                        mask |= before[used][:, None] + value + after[left][None, :] <= most
                found.append((layer, used, mask))
        return found

    def _values(self, loose: float) -> list[dict[int, Ints]]:
        """Return for each stage number and number of devices the costs [n, n] of the stages that need so many."""
        cost, need = self.statement.cost, self._loose_need(loose)
        assert cost is not None
        counts = [r for r in range(1, self._paths.most + 1) if (need == r).any()]
        return [
            {r: np.where((need == r) & (True if allowed is None else allowed), cost, IMPOSSIBLE) for r in counts}
            for allowed in self._allowed
        ]

    def _loose_need(self, loose: float) -> Ints:
        below = self.statement.below_ns
        return self._paths.need(below - 1 if below >= IMPOSSIBLE else int((below - 1) * (1 + loose)))

    def _sums(self, values: list[dict[int, Ints]], source: int) -> list[list[Ints]]:
        """Add up costs away from a source, layer by layer; one layer without numbers, else one more than there are."""
        first = [_at(len(self._need), source)] + [
            np.full(len(self._need), IMPOSSIBLE, dtype=np.int64)
        ] * self._paths.most
        layers = [first]
        for value in values:
            rows = first[:1] if not self._paths.is_layered else [np.full_like(first[0], IMPOSSIBLE)]
            before = rows if not self._paths.is_layered else layers[-1]
            for used in range(1, self._paths.most + 1):
                steps = [(v + before[used - r][None, :]).min(axis=1) for r, v in value.items() if r <= used]
                rows.append(
                    np.minimum(np.min(steps, axis=0), IMPOSSIBLE) if steps else np.full_like(first[0], IMPOSSIBLE)
                )
            if source == -1 and self._paths.is_layered:
                rows[0] = rows[0].copy()
                rows[0][-1] = 0
            layers.append(rows)
        return layers if self._paths.is_layered else layers[1:]


def _at(states: int, where: int) -> Ints:
    row = np.full(states, IMPOSSIBLE, dtype=np.int64)
    row[where] = 0
    return row


def _from_start(length: Ints) -> Ints:
    row = _at(len(length), 0)
    for state in range(1, len(length)):
        row[state] = min(IMPOSSIBLE, int((row[:state] + length[:state, state]).min()))
    return row


def _to_end(length: Ints) -> Ints:
    row = _at(len(length), -1)
    for state in range(len(length) - 2, -1, -1):
        row[state] = min(IMPOSSIBLE, int((row[state + 1 :] + length[state, state + 1 :]).min()))
    return row


def _contradiction(program: cp_model.CpModel, number: int, stages: Sequence[_Stage], statement: Statement) -> Any:
    """Add a path that contradicts a claim; return the literal that it is there."""
    starts = program.new_bool_var(f"contradicts_{number}")
    chosen = {stage: program.new_bool_var(f"claim_{number}_{stage.begin}_{stage.end}") for stage in stages}
    leaves: dict[Node, list[Any]] = defaultdict(list)
    enters: dict[Node, list[Any]] = defaultdict(list)
    last = len(statement.paths.time) - 1
    start, end = (0, 0, 0), (0, 0, last)
    for stage, literal in chosen.items():
        leaves[stage.begin].append(literal)
        enters[end if stage.end[2] == last else stage.end].append(literal)
    program.add_exactly_one([*leaves[start], starts.negated()])
    program.add_exactly_one([*enters[end], starts.negated()])
    for node in sorted({*leaves, *enters} - {start, end}):
        passed = program.new_bool_var(f"claim_{number}_through_{node}")
        program.add_exactly_one([*leaves[node], passed.negated()])
        program.add_exactly_one([*enters[node], passed.negated()])
    literals = list(chosen.values())
    _at_most(program, literals, [stage.devices for stage in chosen], statement.paths.most)
    if statement.cost is not None:
        _at_most(program, literals, [stage.cost for stage in chosen], statement.at_least - 1)
    return starts


def _at_most(program: cp_model.CpModel, literals: list[Any], amounts: list[int], most: int) -> None:
    program.add(cp_model.LinearExpr.weighted_sum(literals, amounts) <= most)
