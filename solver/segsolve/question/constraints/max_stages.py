"""The most stages of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from segsolve.problem import Problem
from segsolve.question.constraint import Constraint, Option
from segsolve.values import whole


@dataclass(frozen=True)
class MaxStages(Constraint):
    """No pipeline has more than `value` stages."""

    value: int

    key: ClassVar[str] = "max_stages"
    option: ClassVar[Option] = Option(flag="--max-stages", help="Most stages of a pipeline.", type=int)

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> int:
        """Return a number that makes sense."""
        whole(cls.option.flag, given, 1)
        return int(given)

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"at most {self.value} {'stage' if self.value == 1 else 'stages'}"

    @property
    def most_stages(self) -> int:
        """The value itself."""
        return self.value
