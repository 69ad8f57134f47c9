"""What repeated measurements of the same thing say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from segsolve.profile.format import Statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Quartiles of times in ns. `time_ns`, the lower one, stands for all: others on the machine only ever add."""

    time_ns: int
    median_ns: int
    spread_ns: int
    runs: int

    @property
    def statistics(self) -> Statistics:
        """The part that a profile states beside the time."""
        return Statistics(runs=self.runs, median_ns=self.median_ns, spread_ns=self.spread_ns)


def summarise(times_ns: Sequence[int]) -> Summary:
    """Return the summary of at least one time."""
    ascending = sorted(times_ns)
    lower, upper = (ascending[round(share * (len(ascending) - 1))] for share in (0.25, 0.75))
    return Summary(time_ns=lower, median_ns=round(median(ascending)), spread_ns=upper - lower, runs=len(ascending))
