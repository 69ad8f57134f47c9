"""What proves an optimum to a program that believes nothing: integer potentials on the states of a problem's graph.

A claim says of all pipelines of at most `tpus` devices whose shares (ceil(stage time / replicas)) are all below
`below_ns` (None: whatever their shares) that none exists, or, with `cost` given, that each adds up to at least
`at_least`: its latency in ns, the bytes that it moves or the number of its stages. Its potentials are numbers on the
states, for the way from a state to the end:

- without `cost`, `potentials[j][0][a]` is at most the number of devices that the rest needs. So it is 0 at the end,
  at most need(a, b) + potentials[j'][0][b] for every stage a to b, and more than `tpus` at the start, where need is
  the least number of devices that keeps the stage's share below `below_ns`;
- with `cost`, `potentials[j][d][a]` is at most what the rest adds up to with d devices. So it is 0 at the end for
  every d, at most cost(a, b) + potentials[j'][d - need(a, b)][b], never grows with d, and is `at_least` at the start
  for d = `tpus`.

With `most_stages` it says so of pipelines of at most so many stages alone.

j is the number of the stage that begins, where it matters (pinned operations, or a limit to the number of stages):
then j' = j + 1, and the last layer allows no further stage. Elsewhere there is one layer, and j' = j = 0. `None` stands
for infinity.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.plan.model import Plan
from segsolve.question import Question
from segsolve.solvers.dynamic.pipelines import Pipelines
from segsolve.solvers.statement import Statement

FORMAT, VERSION = "segsolve-certificate", 2

Potentials = list[list[list[int | None]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement about all pipelines of so many devices, and the numbers that prove it."""

    tpus: int
    most_stages: int | None = None
    below_ns: int | None
    cost: str | None = None
    at_least: int | None = None
    potentials: Potentials


def certificate(
    pipelines: Pipelines,
    question: Question,
    value: Fraction,
    statements: Iterable[Statement],
    bound: Fraction | None = None,
) -> dict[str, Any]:
    """Return the document that proves the `value` of the question's objective as far as `pipelines` can.

    With a `bound`, no more is proven than that no plan is below that.

    The value is in ns per inference (throughput), ns (latency, batch) or devices, as a numerator and a denominator; 0
    for `pareto`, whose points stand elsewhere. `statements` are what the proof rests on (`claims`).

    Raises:
        AssertionError: there is a better pipeline than the search found, a fault of the program.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "problem": asdict(pipelines.table.problem),
        "question": {
            "objective": question.objective,
            "layout": question.layout,
            "cuts": question.cuts,
            "batch": question.batch,
            "constraints": dict(question.constraints.values),
        },
        "replicate": pipelines.replicate,
        "value": [value.numerator, value.denominator],
        **({} if bound is None else {"bound": [bound.numerator, bound.denominator]}),
        "states": [_hexadecimal(row) for row in pipelines.table.members],
        "claims": [_as_it_is(claim_of(statement)) for statement in statements],
    }


def ways(table: StageTable, plan: Plan) -> list[list[tuple[int, int]]]:
    """Return a plan's pipelines as ways through the states: for each stage the state that it ends at, its replicas."""
    index = {row.tobytes(): state for state, row in enumerate(table.members)}
    found = []
    for pipeline in plan.pipelines:
        done, steps = np.zeros_like(table.members[0]), []
        for stage in pipeline.stages:
            done[list(stage.ops)] = True
            steps.append((index[done.tobytes()], stage.replicas))
        found.append(steps)
    return found


def _as_it_is(claim: Claim) -> dict[str, Any]:
    """Return a claim's fields; `asdict` would copy the potentials, number by number, which takes longer than they."""
    return {field.name: getattr(claim, field.name) for field in fields(claim)}


def claim_of(statement: Statement) -> Claim:
    """Return a statement with the potentials that prove it."""
    if statement.cost is None:
        return _reach_claim(statement)
    assert statement.cost_name is not None
    return _cost_claim(statement, statement.cost_name)


def _reach_claim(statement: Statement) -> Claim:
    """No pipeline keeps all its shares below a bound."""
    paths = statement.paths
    layers = paths.fewest_devices(statement.below_ns - 1)
    assert layers[0][0] > paths.most, f"a pipeline of {paths.most} devices stays below {statement.below_ns} ns"
    return Claim(
        tpus=paths.most,
        most_stages=statement.most_stages,
        below_ns=_finite(statement.below_ns),
        potentials=[[_listed(np.minimum(layer, paths.most + 1))] for layer in layers],
    )


def _cost_claim(statement: Statement, cost: str) -> Claim:
    """Every pipeline whose shares stay below a bound adds up to at least so much."""
    paths, at_least = statement.paths, statement.at_least
    layers = []
    for rows in replace(paths, cost=statement.cost).least_costs(statement.below_ns - 1):
        at_most = np.minimum.accumulate(np.stack(rows), axis=0)
        layers.append(np.minimum(at_most, at_least))  # enough is enough, and makes the document smaller
    for layer in layers:
        layer[:, -1] = 0
    assert layers[0][paths.most][0] >= at_least, f"a pipeline of {paths.most} devices costs less than {at_least}"
    return Claim(
        tpus=paths.most,
        most_stages=statement.most_stages,
        below_ns=_finite(statement.below_ns),
        cost=cost,
        at_least=at_least,
        potentials=[[_listed(row) for row in layer] for layer in layers],
    )


def _listed(row: NDArray[np.int64]) -> list[int | None]:
    return [None if value >= IMPOSSIBLE else value for value in row.tolist()]


def _finite(value: int) -> int | None:
    return None if value >= IMPOSSIBLE else value


def _hexadecimal(members: NDArray[np.bool_]) -> str:
    """Write a set of operations as a number whose bit i says whether operation i is in it."""
    return f"{int.from_bytes(np.packbits(members, bitorder='little').tobytes(), 'little'):x}"
