"""Operations that begin a stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline
from segsolve.problem import Problem
from segsolve.question.constraint import Allowed, Constraint, Option, stage_numbers
from segsolve.question.operations import operation

if TYPE_CHECKING:
    from segsolve.cost.table import StageTable
    from segsolve.question.kept import Constraints


@dataclass(frozen=True)
class CutBefore(Constraint):
    """Nothing before an operation of `value` is in a later stage, and nothing from it on in an earlier one."""

    value: tuple[int, ...]

    key: ClassVar[str] = "cut_before"
    option: ClassVar[Option] = Option(
        flag="--cut-before", help="A stage begins at this operation; repeatable.", metavar="OP", is_repeatable=True
    )
    names_operations: ClassVar[bool] = True

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> tuple[int, ...]:
        """Return the operations, but for the first, where every pipeline begins."""
        assert problem is not None
        return tuple(sorted({operation(problem, str(op)) for op in given} - {0}))

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"a stage begins at operation {op}" for op in self.value)

    def check_named(self, problem: Problem, kept: Constraints) -> None:
        """Refuse places where the network cannot be cut, too."""
        super().check_named(problem, kept)
        if illegal := sorted({*self.value} - {*problem.cuts}):
            hint = "`segsolve inspect` shows the restrictions"
            raise UsageError(f"operation {illegal[0]} cannot begin a stage, the network cannot be cut there", hint)

    def check(self, problem: Problem, kept: Constraints) -> None:
        """Refuse more stages than there may be."""
        least, most = len({*self.value}) + 1, min(problem.tpus, kept.most_stages or problem.tpus)
        if least > most:
            raise UsageError(
                f"--cut-before asks for {least} stages at least, there are {most} at most",
                "give more TPUs, or fewer cuts",
            )

    @property
    def operations(self) -> tuple[int, ...]:
        """The operations themselves."""
        return self.value

    def allowed(self, table: StageTable) -> Iterator[Allowed]:
        """Leave the stages that end before an operation, or begin there or later."""
        import numpy as np

        for op in self.value:
            ends = np.asarray(~table.members[:, op:].any(axis=1))
            begins = np.asarray(table.members[:, :op].all(axis=1))
            yield np.asarray(ends[None, :] | begins[:, None])

    def is_kept_by(self, pipeline: Pipeline) -> bool:
        """Whether every stage lies before or after each of them."""
        at = stage_numbers(pipeline)
        order = [at[op] for op in sorted(at)]
        return all(max(order[:op], default=-1) < min(order[op:]) for op in self.value)
