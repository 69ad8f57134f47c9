"""The most stages of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from segsolve.checker.constraint import Constraint, Count


@dataclass(frozen=True)
class MaxStages(Constraint):
    """No pipeline has more than `value` stages."""

    value: int

    key: ClassVar[str] = "max_stages"
    form: ClassVar[Any] = Count

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"whose pipelines have at most {self.value} {'stage' if self.value == 1 else 'stages'}"

    @property
    def most_stages(self) -> int:
        """The value."""
        return self.value
