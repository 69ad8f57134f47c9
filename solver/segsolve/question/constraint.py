"""What a constraint is: everything that asks, searches, checks and tells meets it through these methods.

Each kind is a module of `constraints`; that it is there is enough for the command line, the library and the planners
to know it. `segsolve.checker.constraints` has its twin, which shares no code with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline

if TYPE_CHECKING:
    from segsolve.cost.arrays import Flags
    from segsolve.cost.table import StageTable
    from segsolve.problem import Problem
    from segsolve.question.kept import Constraints

Allowed: TypeAlias = "Flags"
"""Which stages [n, n] of a table, from state to state, a constraint leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """How people ask for it: an option of the command line, or an argument of the library of the same name."""

    flag: str
    help: str
    metavar: str | None = None
    type: type = str
    is_repeatable: bool = False

    @property
    def argument(self) -> str:
        """Its name as an argument."""
        return self.flag.lstrip("-").replace("-", "_")


@dataclass(frozen=True)
class Constraint(ABC):
    """What every pipeline of a plan, or the plan as a whole, must keep.

    Operations are positions in the execution order, stages count from 0. `key` is its name in plan.json, `value` what
    stands there (lists as tuples).
    """

    value: Any

    key: ClassVar[str]
    option: ClassVar[Option]
    names_operations: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def asked(cls, given: Any, problem: Problem | None) -> Any:
        """Return the value of what was given as the option, or as a sequence of these where it is repeatable.

        `problem` is None only where no operation is named.

        Raises:
            UsageError: it makes no sense, or names an operation that does not exist.
        """

    @property
    @abstractmethod
    def words(self) -> Iterator[str]:
        """What is asked, a few words each, so that they follow "a plan of"."""

    @property
    def parts(self) -> Iterator[Constraint]:
        """What it asks, one by one: a constraint for each thing that it lists, or itself."""
        yield from (type(self)((one,)) for one in self.value) if isinstance(self.value, tuple) else (self,)

    def check_named(self, problem: Problem, kept: Constraints) -> None:
        """Raise a UsageError if it names what does not exist, or asks the opposite of another."""
        for op in self.operations:
            if not 0 <= op < len(problem.ops):
                raise UsageError(f"there is no operation {op}", f"the last one is {len(problem.ops) - 1}")

    def check(self, problem: Problem, kept: Constraints) -> None:
        """Raise a UsageError if no plan can keep it beside the others, whatever the costs."""
        return

    @property
    def operations(self) -> Iterable[int]:
        """The operations that it names."""
        return ()

    @property
    def most_latency_ns(self) -> int | None:
        """The most that one inference may take."""
        return None

    @property
    def least_fps(self) -> Fraction | None:
        """The fewest inferences per second of the plan as a whole."""
        return None

    @property
    def most_stages(self) -> int | None:
        """The most stages of a pipeline."""
        return None

    @property
    def forbidden_cuts(self) -> Sequence[int]:
        """Operations that begin no stage."""
        return ()

    @property
    def is_about_numbers(self) -> bool:
        """Whether it matters for it which stage of a pipeline, by number, holds an operation."""
        return False

    def allowed(self, table: StageTable) -> Iterator[Allowed]:
        """Yield masks of the stages that keep it; a stage must keep all of them."""
        yield from ()

    def allowed_at(self, table: StageTable, stage: int) -> Iterator[Allowed]:
        """Yield masks of those that keep it as the stage of a number."""
        yield from ()

    def is_kept_by(self, pipeline: Pipeline) -> bool:
        """Whether the stages of a pipeline keep it; what it costs is asked elsewhere."""
        return True


def stage_numbers(pipeline: Pipeline) -> dict[int, int]:
    """Return the stage of each operation."""
    return {op: k for k, stage in enumerate(pipeline.stages) for op in stage.ops}
