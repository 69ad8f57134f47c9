"""The fewest inferences per second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from segsolve.problem import Problem
from segsolve.question.constraint import Constraint, Option
from segsolve.values import within


@dataclass(frozen=True)
class MinFps(Constraint):
    """All pipelines together make `value` inferences per second or more."""

    value: float

    key: ClassVar[str] = "min_fps"
    option: ClassVar[Option] = Option(
        flag="--min-fps", help="Fewest inferences per second of the whole plan.", type=float
    )

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> float:
        """Return a rate that makes sense."""
        within(cls.option.flag, given, 1e-9)
        return float(given)

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"at least {self.value:g} inferences per second"

    @property
    def least_fps(self) -> Fraction:
        """The value itself, exact."""
        return Fraction(self.value)
