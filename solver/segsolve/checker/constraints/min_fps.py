"""The fewest inferences per second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import Field

from segsolve.checker.constraint import Constraint


@dataclass(frozen=True)
class MinFps(Constraint):
    """All pipelines together make `value` inferences per second."""

    value: float

    key: ClassVar[str] = "min_fps"
    form: ClassVar[Any] = Annotated[float, Field(ge=0)]

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"that make at least {self.value} inferences per second"

    @property
    def least_fps(self) -> Fraction:
        """The value, exact."""
        return Fraction(self.value)
