"""Questions that no plan can answer are refused before any work, in one sentence that names the options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.problem import Problem
    from segsolve.question import Constraints

_Ops = tuple[int, ...]


def check_consistent(problem: Problem, kept: Constraints) -> None:
    """Raise a UsageError if constraints name what is not there, or contradict each other or the number of TPUs."""
    from segsolve.question import restricted

    restricted(problem, kept)
    most = problem.tpus if kept.max_stages is None else min(problem.tpus, kept.max_stages)
    _check_stages(kept, most)
    _check_pins(kept, most)
    _check_groups(kept)
    _check_order(problem, kept)


def _check_stages(kept: Constraints, most: int) -> None:
    least = len(set(kept.cut_before)) + 1
    if least > most:
        raise UsageError(
            f"--cut-before asks for {least} stages at least, there are {most} at most", "give more TPUs, or fewer cuts"
        )
    if 0 in kept.no_cut_before:
        raise UsageError("--no-cut-before is 0, where every pipeline begins", "name a later operation")


def _check_pins(kept: Constraints, most: int) -> None:
    for (op, stage), (other, another) in pairwise(sorted(kept.pins)):
        if op == other:
            raise UsageError(
                f"--pin puts operation {op} in stage {stage} and in stage {another}", "give one of the two"
            )
    for op, stage in kept.pins:
        if stage >= most:
            last = f"the last of {most} is stage {most - 1}"
            raise UsageError(f"--pin puts operation {op} in stage {stage}, {last}", "stages count from 0")


def _check_groups(kept: Constraints) -> None:
    pins = dict(kept.pins)
    for group in _merged(kept.keep_together):
        pinned = [op for op in group if op in pins]
        for a, b in pairwise(pinned):
            if pins[a] != pins[b]:
                raise UsageError(
                    f"--pin puts operations {a} and {b} in stages {pins[a]} and {pins[b]}, --keep-together in one",
                    "leave out one of the two",
                )
        for cut in kept.cut_before:
            if group[0] < cut <= group[-1]:
                raise UsageError(
                    f"--cut-before {cut} parts operations {group[0]} and {group[-1]}, which --keep-together joins",
                    "leave out one of the two",
                )


def _check_order(problem: Problem, kept: Constraints) -> None:
    """A stage takes nothing from a later one, and --cut-before moves on to the next stage at least."""
    for (a, early), (b, late) in combinations(sorted(kept.pins), 2):
        cuts = sum(a < cut <= b for cut in set(kept.cut_before))
        if cuts and late - early < cuts:
            raise UsageError(
                f"--pin puts operations {a} and {b} in stages {early} and {late}, with {cuts} of --cut-before between",
                "leave out one of the two",
            )
        if late < early and b in set(_after(problem, a)):
            raise UsageError(
                f"--pin puts operation {a} in stage {early} and operation {b}, which depends on it, in stage {late}",
                "a stage takes tensors from earlier ones only",
            )


def _after(problem: Problem, op: int) -> Iterator[int]:
    """Yield the operations that depend on one, directly or not."""
    reached, left = {op}, [op]
    while left:
        for transfer in (problem.transfers[t] for t in problem.makes[left.pop()]):
            new = set(transfer.consumers) - reached
            reached |= new
            left += new
            yield from new


def _merged(groups: Iterable[_Ops]) -> list[_Ops]:
    """Join the groups that share an operation."""
    joined: list[set[int]] = []
    for group in groups:
        touching = [known for known in joined if known & set(group)]
        joined = [known for known in joined if known not in touching] + [set(group).union(*touching)]
    return [tuple(sorted(group)) for group in joined]
