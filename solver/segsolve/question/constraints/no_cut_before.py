"""Operations that begin no stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline
from segsolve.problem import Problem
from segsolve.question.constraint import Constraint, Option, stage_numbers
from segsolve.question.constraints.cut_before import CutBefore
from segsolve.question.operations import operation

if TYPE_CHECKING:
    from segsolve.question.kept import Constraints


@dataclass(frozen=True)
class NoCutBefore(Constraint):
    """Each operation of `value` is in the stage of the one before it in the execution order."""

    value: tuple[int, ...]

    key: ClassVar[str] = "no_cut_before"
    option: ClassVar[Option] = Option(
        flag="--no-cut-before",
        help="No stage begins at this operation: it stays with the one before.",
        metavar="OP",
        is_repeatable=True,
    )
    names_operations: ClassVar[bool] = True

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> tuple[int, ...]:
        """Return the operations."""
        assert problem is not None
        return tuple(sorted({operation(problem, str(op)) for op in given}))

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"none begins at operation {op}" for op in self.value)

    def check_named(self, problem: Problem, kept: Constraints) -> None:
        """Refuse one that is to begin a stage, too."""
        super().check_named(problem, kept)
        wanted = kept.get(CutBefore)
        if wanted and (both := {*wanted.value} & {*self.value}):
            raise UsageError(f"operation {min(both)} is to begin a stage and is not to", "give only one of the two")

    def check(self, problem: Problem, kept: Constraints) -> None:
        """Refuse the first operation."""
        if 0 in self.value:
            raise UsageError("--no-cut-before is 0, where every pipeline begins", "name a later operation")

    @property
    def operations(self) -> tuple[int, ...]:
        """The operations themselves."""
        return self.value

    @property
    def forbidden_cuts(self) -> tuple[int, ...]:
        """The operations themselves."""
        return self.value

    def is_kept_by(self, pipeline: Pipeline) -> bool:
        """Whether each is with the one before it."""
        at = stage_numbers(pipeline)
        return all(at[op] == at[op - 1] for op in self.value)
