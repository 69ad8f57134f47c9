"""The most time of one inference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from segsolve.checker.constraint import Amount, Constraint
from segsolve_runtime.contract.wording import exact_ms


@dataclass(frozen=True)
class MaxLatency(Constraint):
    """No pipeline takes more than `value` ns."""

    value: int

    key: ClassVar[str] = "max_latency_ns"
    form: ClassVar[Any] = Amount

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"with a latency of at most {exact_ms(self.value)}"

    @property
    def most_latency_ns(self) -> int:
        """The value."""
        return self.value
