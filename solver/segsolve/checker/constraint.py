"""What a constraint means to the checker; each kind is a module of `constraints`, read from a document alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from segsolve_runtime.contract.wording import shortened

Flags: TypeAlias = NDArray[np.bool_]
Columns: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = Callable[[int, Columns], Flags]
"""Which of the stages from a state to some other states are left."""

MOST_TOTAL = 2**60
"""The most that all costs of a problem may add up to, in ns or bytes."""
MOST_OPS = 10**6  # numbers of operations are exact in 32 bit floats
Amount = Annotated[int, Field(ge=0, le=MOST_TOTAL)]
Op = Annotated[int, Field(ge=0, lt=MOST_OPS)]
Count = Annotated[int, Field(ge=1, le=4096)]


@dataclass(frozen=True)
class Constraint(ABC):
    """What a plan must keep; `key` is its name in documents, `form` what its value there may be."""

    value: Any

    key: ClassVar[str]
    form: ClassVar[Any]

    @property
    @abstractmethod
    def words(self) -> Iterator[str]:
        """What is asked, a few words each, so that they follow "plans"."""

    @property
    def operations(self) -> Iterable[int]:
        """The operations that it names."""
        return ()

    @property
    def most_latency_ns(self) -> int | None:
        """The most that one inference may take."""
        return None

    @property
    def least_fps(self) -> Fraction | None:
        """The fewest inferences per second of a plan as a whole."""
        return None

    @property
    def most_stages(self) -> int | None:
        """The most stages of a pipeline."""
        return None

    @property
    def is_about_numbers(self) -> bool:
        """Whether it matters for it which stage, by number, holds an operation."""
        return False

    def broken(self, at: Mapping[int, int]) -> Iterator[str]:
        """Yield in which ways a pipeline breaks it, given the stage of each operation."""
        yield from ()

    def masks(self, members: Flags) -> Iterator[Mask]:
        """Yield what leaves the stages that keep it, where `members` [states, operations] are done in each state."""
        yield from ()

    def masks_at(self, members: Flags, stage: int) -> Iterator[Mask]:
        """Yield what leaves those that keep it as the stage of a number."""
        yield from ()


def in_words(ops: Sequence[int]) -> str:
    """Return the operations as a sentence names them."""
    return shortened(f"operation {ops[0]}" if len(ops) == 1 else f"operations {', '.join(map(str, ops))}")


def without(members: Flags, first: int, last: int) -> Mask:
    """Return what tells which stages hold none of the operations from first to last."""
    done = members[:, first : last + 1].sum(axis=1)
    return lambda row, columns: np.asarray(done[columns] == done[row])


def holds(members: Flags, op: int) -> Mask:
    """Return what tells which stages hold an operation."""
    done = members[:, op]
    return lambda row, columns: np.asarray(done[columns] & ~done[row])
