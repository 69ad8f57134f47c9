"""Operations that begin a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from segsolve.checker.constraint import Columns, Constraint, Flags, Mask, Op, in_words


@dataclass(frozen=True)
class CutBefore(Constraint):
    """What comes before an operation of `value` is in earlier stages than it and what follows."""

    value: list[int]

    key: ClassVar[str] = "cut_before"
    form: ClassVar[Any] = list[Op]

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield f"with stages that begin at {in_words(self.value)}"

    @property
    def operations(self) -> list[int]:
        """The value."""
        return self.value

    def broken(self, at: Mapping[int, int]) -> Iterator[str]:
        """Yield the operations that begin no stage."""
        order = [at[op] for op in sorted(at)]
        for op in self.value:
            if op and max(order[:op]) >= min(order[op:]):
                yield f"no stage begins at operation {op}"

    def masks(self, members: Flags) -> Iterator[Mask]:
        """Leave stages that end before an operation, or begin at it or later."""
        for op in self.value:
            yield _parted(np.asarray(~members[:, op:].any(axis=1)), np.asarray(members[:, :op].all(axis=1)))


def _parted(ends: Flags, begins: Flags) -> Mask:
    def mask(row: int, columns: Columns) -> Flags:
        return np.asarray(ends[columns] | begins[row])

    return mask
