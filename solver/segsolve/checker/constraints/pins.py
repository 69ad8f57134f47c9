"""Operations in the stage of a number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from segsolve.checker.constraint import Columns, Constraint, Flags, Mask, Op, holds


@dataclass(frozen=True)
class Pins(Constraint):
    """Each pair of `value` is an operation and its stage."""

    value: list[list[int]]

    key: ClassVar[str] = "pins"
    form: ClassVar[Any] = list[Annotated[list[Op], Field(min_length=2, max_length=2)]]

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"with operation {op} in stage {stage}" for op, stage in self.value)

    @property
    def operations(self) -> Iterator[int]:
        """Those that are pinned."""
        return (op for op, _ in self.value)

    @property
    def is_about_numbers(self) -> bool:
        """It is."""
        return True

    def broken(self, at: Mapping[int, int]) -> Iterator[str]:
        """Yield the operations that are elsewhere."""
        for op, wanted in self.value:
            if at[op] != wanted:
                yield f"operation {op} is in stage {at[op]}, not {wanted}"

    def masks_at(self, members: Flags, stage: int) -> Iterator[Mask]:
        """Leave stages that hold what is pinned to the number, and nothing that is pinned to another."""
        for op, wanted in self.value:
            held = holds(members, op)
            yield held if stage == wanted else _without(held)


def _without(held: Mask) -> Mask:
    def mask(row: int, columns: Columns) -> Flags:
        return np.asarray(~held(row, columns))

    return mask
