"""Operations that share a stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, ClassVar

from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline
from segsolve.problem import Problem
from segsolve.question.constraint import Allowed, Constraint, Option, stage_numbers
from segsolve.question.constraints.cut_before import CutBefore
from segsolve.question.operations import operation

if TYPE_CHECKING:
    from segsolve.cost.table import StageTable
    from segsolve.question.kept import Constraints


@dataclass(frozen=True)
class KeepTogether(Constraint):
    """The operations of each group of `value` are in one stage."""

    value: tuple[tuple[int, ...], ...]

    key: ClassVar[str] = "keep_together"
    option: ClassVar[Option] = Option(
        flag="--keep-together",
        help="These operations share a stage; repeatable.",
        metavar="A,B",
        is_repeatable=True,
    )
    names_operations: ClassVar[bool] = True

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> tuple[tuple[int, ...], ...]:
        """Return the groups of texts such as ``12,15``, or of sequences of operations."""
        assert problem is not None
        return tuple(_group(problem, group if isinstance(group, str) else ",".join(map(str, group))) for group in given)

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"operations {' and '.join(map(str, group))} together" for group in self.value)

    def check(self, problem: Problem, kept: Constraints) -> None:
        """Refuse a cut in the middle of a group."""
        wanted = kept.get(CutBefore)
        for group in merged(self.value):
            for cut in wanted.value if wanted else ():
                if group[0] < cut <= group[-1]:
                    raise UsageError(
                        f"--cut-before {cut} parts operations {group[0]} and {group[-1]}, which --keep-together joins",
                        "leave out one of the two",
                    )

    @property
    def operations(self) -> Iterator[int]:
        """Those of all groups."""
        return (op for group in self.value for op in group)

    def allowed(self, table: StageTable) -> Iterator[Allowed]:
        """Leave the stages that hold all of a group, or none."""
        for group in self.value:
            held = [table.holds(op) for op in group]
            yield reduce(and_, held) | ~reduce(or_, held)

    def is_kept_by(self, pipeline: Pipeline) -> bool:
        """Whether each group is in one stage."""
        at = stage_numbers(pipeline)
        return all(len({at[op] for op in group}) == 1 for group in self.value)


def merged(groups: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Join the groups that share an operation; each ascends."""
    joined: list[set[int]] = []
    for group in groups:
        touching = [known for known in joined if known & set(group)]
        joined = [known for known in joined if known not in touching] + [set(group).union(*touching)]
    return [tuple(sorted(group)) for group in joined]


def _group(problem: Problem, text: str) -> tuple[int, ...]:
    ops = tuple(sorted({operation(problem, part) for part in text.split(",") if part.strip()}))
    if len(ops) < 2:
        raise UsageError(f"--keep-together is {text!r}", "name two operations at least, e.g. 12,15")
    return ops
