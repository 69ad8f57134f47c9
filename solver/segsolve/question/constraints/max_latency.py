"""The most time of one inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from segsolve.problem import Problem
from segsolve.question.constraint import Constraint, Option
from segsolve.values import parse_time


@dataclass(frozen=True)
class MaxLatency(Constraint):
    """No pipeline takes more than `value` ns for one inference."""

    value: int

    key: ClassVar[str] = "max_latency_ns"
    option: ClassVar[Option] = Option(
        flag="--max-latency", help="Most time of one inference, e.g. 20ms, 0.5s (plain numbers: ms)."
    )

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> int:
        """Return the ns of a time with its unit."""
        return parse_time(cls.option.flag, given)

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"at most {self.value / 1e6:,.2f} ms"

    @property
    def most_latency_ns(self) -> int:
        """The value itself."""
        return self.value
