"""Operations that begin no stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from segsolve.checker.constraint import Constraint, Op, in_words


@dataclass(frozen=True)
class NoCutBefore(Constraint):
    """Each operation of `value` is with the one before it: it is no cut of the problem, and no state parts them."""

    value: list[int]

    key: ClassVar[str] = "no_cut_before"
    form: ClassVar[Any] = list[Op]

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"with no stage that begins at {in_words(self.value)}"

    @property
    def operations(self) -> list[int]:
        """The value."""
        return self.value

    def broken(self, at: Mapping[int, int]) -> Iterator[str]:
        """Yield the operations that are in another stage than the one before."""
        for op in self.value:
            if op and at[op] != at[op - 1]:
                yield f"operation {op} is in another stage than the one before it"
