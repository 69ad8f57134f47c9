"""The constraints of a question, together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, TypeVar

from segsolve.plan.model import Plan
from segsolve.problem import Problem
from segsolve.question.constraint import Allowed, Constraint
from segsolve.question.constraints import KINDS

if TYPE_CHECKING:
    from segsolve.cost.arrays import Ints
    from segsolve.cost.table import StageTable

_Kind = TypeVar("_Kind", bound=Constraint)


@dataclass(frozen=True, init=False)
class Constraints:
    """Constraints, at most one of a kind, in the order of the kinds' names."""

    kept: tuple[Constraint, ...]

    def __init__(self, *kept: Constraint) -> None:
        object.__setattr__(self, "kept", tuple(sorted(kept, key=lambda c: c.key)))

    @classmethod
    def of(cls, **values: Any) -> Constraints:
        """Return the constraints of some keys and values, as plan.json has them; None and empty lists are none.

        Raises:
            KeyError: no constraint has such a key.
        """
        return cls(*(KINDS[key](_tupled(value)) for key, value in values.items() if value not in (None, [], ())))

    @classmethod
    def joined(cls, parts: Iterable[Constraint]) -> Constraints:
        """Return constraints whose parts (`Constraint.parts`) are given."""
        values: dict[type[Constraint], Any] = {}
        for part in parts:
            known = values.get(type(part))
            values[type(part)] = part.value if known is None else (*known, *part.value)
        return cls(*(kind(value) for kind, value in values.items()))

    def __iter__(self) -> Iterator[Constraint]:
        return iter(self.kept)

    def __bool__(self) -> bool:
        return bool(self.kept)

    def get(self, kind: type[_Kind]) -> _Kind | None:
        """Return the one of a kind, None without one."""
        return next((c for c in self.kept if isinstance(c, kind)), None)

    def without(self, *keys: str) -> Constraints:
        """Return those of other keys."""
        return Constraints(*(c for c in self.kept if c.key not in keys))

    @property
    def values(self) -> Mapping[str, Any]:
        """The value of each, by its key."""
        return {c.key: c.value for c in self.kept}

    @property
    def words(self) -> Iterator[str]:
        """What they ask, a few words each."""
        for constraint in self.kept:
            yield from constraint.words

    @property
    def most_latency_ns(self) -> int | None:
        """The most that one inference may take."""
        return min((c.most_latency_ns for c in self.kept if c.most_latency_ns is not None), default=None)

    @property
    def least_fps(self) -> Fraction | None:
        """The fewest inferences per second of the plan as a whole."""
        return max((c.least_fps for c in self.kept if c.least_fps is not None), default=None)

    @property
    def most_stages(self) -> int | None:
        """The most stages of a pipeline."""
        return min((c.most_stages for c in self.kept if c.most_stages is not None), default=None)

    @property
    def are_limits(self) -> bool:
        """Whether they ask no more than a latency and a rate."""
        return all(c.most_latency_ns is not None or c.least_fps is not None for c in self.kept)

    @property
    def limits(self) -> tuple[Constraint, ...]:
        """Those that ask for a latency or a rate, which too few devices cannot keep."""
        return tuple(c for c in self.kept if c.most_latency_ns is not None or c.least_fps is not None)

    def allow_latency(self, latency_ns: int) -> bool:
        """Whether one inference may take so long."""
        most = self.most_latency_ns
        return most is None or latency_ns <= most

    def allow_rate(self, rate: Fraction) -> bool:
        """Whether so many inferences per ns are enough."""
        least = self.least_fps
        return least is None or rate * 10**9 >= least

    def allow_stages(self, plan: Plan) -> bool:
        """Whether the stages of a plan are what is asked, whatever they cost."""
        pipelines, most = dict.fromkeys(plan.pipelines), self.most_stages
        return all(most is None or len(p.stages) <= most for p in pipelines) and all(
            c.is_kept_by(p) for c in self.kept for p in pipelines
        )

    def time(self, table: StageTable) -> Ints:
        """Return the time [n, n] of the stages that keep what does not depend on a stage's number."""
        import numpy as np

        from segsolve.cost.table import IMPOSSIBLE

        time = table.time
        for constraint in self.kept:
            for allowed in constraint.allowed(table):
                time = np.where(allowed, time, IMPOSSIBLE)
        return time

    def allowed_at(self, table: StageTable) -> Callable[[int], Allowed | None] | None:
        """Return which stages [n, n] may be the stage of a number; None if every number may be any."""
        asking = [constraint for constraint in self.kept if constraint.is_about_numbers]
        if not asking:
            return None

        def allowed(stage: int) -> Allowed:
            masks = (mask for constraint in asking for mask in constraint.allowed_at(table, stage))
            return reduce(and_, masks)

        return allowed

    def restricted(self, problem: Problem) -> Problem:
        """Return the problem without the cuts that are forbidden.

        Raises:
            UsageError: an operation is named that does not exist, or a constraint is the opposite of another.
        """
        self._check_named(problem)
        forbidden = {op for c in self.kept for op in c.forbidden_cuts}
        left = tuple(c for c in problem.cuts if c not in forbidden)
        return problem if left == problem.cuts else replace(problem, cuts=left)

    def check(self, problem: Problem) -> None:
        """Raise a UsageError if they name what is not there, or contradict each other or the number of devices."""
        self._check_named(problem)
        for constraint in self.kept:
            constraint.check(problem, self)

    def _check_named(self, problem: Problem) -> None:
        for constraint in self.kept:
            constraint.check_named(problem, self)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(one) for one in value) if isinstance(value, list | tuple) else value
