"""Operations that share a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from segsolve.checker.constraint import Columns, Constraint, Flags, Mask, Op, in_words


@dataclass(frozen=True)
class KeepTogether(Constraint):
    """The operations of each group of `value` are in one stage."""

    value: list[list[int]]

    key: ClassVar[str] = "keep_together"
    form: ClassVar[Any] = list[list[Op]]

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"with {in_words(group)} in one stage" for group in self.value)

    @property
    def operations(self) -> Iterator[int]:
        """Those of all groups."""
        return (op for group in self.value for op in group)

    def broken(self, at: Mapping[int, int]) -> Iterator[str]:
        """Yield the groups that are parted."""
        for group in self.value:
            if len({at[op] for op in group}) > 1:
                yield f"operations {group} are in different stages"

    def masks(self, members: Flags) -> Iterator[Mask]:
        """Leave stages that hold all of a group, or none."""
        yield from (_whole(np.asarray(members[:, sorted({*group})])) for group in self.value if group)


def _whole(done: Flags) -> Mask:
    def mask(row: int, columns: Columns) -> Flags:
        held = done[columns] & ~done[row]
        return np.asarray(held.all(axis=1) | ~held.any(axis=1))

    return mask
