"""The constraints of a certificate, together."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model

from segsolve.checker.constraint import Constraint
from segsolve.checker.constraints import KINDS


class Kept(BaseModel):
    """A field per kind, by its key; what is None or empty is not asked for."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @property
    def all(self) -> list[Constraint]:
        """Those that are asked for."""
        return [KINDS[key](value) for key, value in self.values if value not in (None, [])]

    @property
    def values(self) -> Iterator[tuple[str, Any]]:
        """Key and value of each kind."""
        return ((key, getattr(self, key)) for key in KINDS)

    @property
    def most_latency_ns(self) -> int | None:
        """The most that one inference may take."""
        return min((c.most_latency_ns for c in self.all if c.most_latency_ns is not None), default=None)

    @property
    def least_fps(self) -> Fraction | None:
        """The fewest inferences per second of a plan as a whole."""
        return max((c.least_fps for c in self.all if c.least_fps is not None), default=None)

    @property
    def most_stages(self) -> int | None:
        """The most stages of a pipeline."""
        return min((c.most_stages for c in self.all if c.most_stages is not None), default=None)

    def allow_rate(self, rate: Fraction) -> bool:
        """Whether so many inferences per ns are enough."""
        least = self.least_fps
        return least is None or rate * 10**9 >= least


if TYPE_CHECKING:
    Constraints = Kept
else:
    Constraints = create_model(
        "Constraints",
        __base__=Kept,
        __doc__="What every pipeline keeps, or the plan as a whole.",
        **{key: (kind.form | None, None) for key, kind in KINDS.items()},
    )
