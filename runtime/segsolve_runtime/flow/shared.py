"""What all pipelines share: a link, such as a card's slot or the cable of a hub, and the host; who gets how much of it.

The link carries what all stages take, give and stream, and their instructions. The host is busy with each stage of each
inference, one after the other, and its cores with whatever runs there. An inference of a pipeline occupies either for
so many ns in all; if all pipelines at full rate need no more than there is, nothing is delayed. Otherwise pipelines are
served in the order of what they need of one of the two, the most frugal first, each at the largest rate that is left:
full rate for the first, what is left for the next, nothing for the rest. Of the two orders it is the one that serves
more, which with one shared thing is the most that there can be. A share is kept at the entrance: a pipeline begins an
inference at most once per interval. So the rate is exactly the evaluator's, and so is the latency; how stages delay
each other within an inference is not modelled by either.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil

SHARED = ("link", "host")
"""What is shared, in the order of `Load.shared_ns`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What an inference of a pipeline takes, in ns: of the pipeline itself if it is full, of the link, of the host."""

    own_ns: int
    link_ns: int = 0
    host_ns: int = 0

    @property
    def rate(self) -> Fraction:
        """Inferences per ns of the pipeline by itself; one that costs nothing counts as 1 ns."""
        return Fraction(1, max(1, self.own_ns))

    @property
    def shared_ns(self) -> tuple[int, int]:
        """What it takes of each thing that is shared."""
        return (self.link_ns, self.host_ns)


def link_ns(nbytes: int, ns_per_mib: int) -> int:
    """Return how long bytes occupy a link, rounded up to whole ns."""
    return -(-nbytes * ns_per_mib // 2**20)


def host_ns(stages: int, *, cores: int, serial_ns: int, work_ns: int, frame_ns: int) -> int:
    """Return how long an inference of so many stages occupies the host, rounded up to whole ns.

    Each stage takes `serial_ns`, and handing over what the inference takes and gives `frame_ns`, in which no other may;
    operations that fall back take `work_ns` of the cores in all. The longer counts of what is done one after the other,
    and of what all cores have to do.
    """
    serial = stages * serial_ns + frame_ns
    return max(serial, -(-(work_ns + serial) // cores))


def needed(loads: Sequence[Load]) -> dict[str, Fraction]:
    """Return the part of each shared thing that all pipelines at full rate need; above 1 it is what limits them."""
    return _needed(Counter(loads))  # of a thousand copies, one is looked at


def rates(loads: Sequence[Load]) -> tuple[Fraction, ...]:
    """Return the inferences per ns that each pipeline is left."""
    found = _rates(Counter(loads))
    return tuple(found[load] for load in loads)


def total_rate(loads: Sequence[Load]) -> Fraction:
    """Return the inferences per ns of all pipelines together."""
    counts = Counter(loads)
    return _total(_rates(counts), counts)


def intervals(loads: Sequence[Load]) -> tuple[Fraction | None, ...]:
    """Return the ns from one beginning to the next that each pipeline is left; None: it is left nothing.

    All are 0 where nothing that is shared limits. Pipelines that take the same of it are slowed down by one factor.
    """
    if all(part <= 1 for part in needed(loads).values()):
        return (Fraction(0),) * len(loads)
    return tuple(1 / rate if rate else None for rate in rates(loads))


def _needed(counts: Counter[Load]) -> dict[str, Fraction]:
    return {
        name: sum((count * load.rate * load.shared_ns[k] for load, count in counts.items()), Fraction(0))
        for k, name in enumerate(SHARED)
    }


def _rates(counts: Counter[Load]) -> dict[Load, Fraction]:
    """Return the rate of each of so many pipelines of a load."""
    if all(part <= 1 for part in _needed(counts).values()):
        return {load: load.rate for load in counts}
    return max((_served(counts, order) for order in range(len(SHARED))), key=lambda found: _total(found, counts))


def _total(found: Mapping[Load, Fraction], counts: Counter[Load]) -> Fraction:
    return sum((count * found[load] for load, count in counts.items()), Fraction(0))


def _served(counts: Counter[Load], by: int) -> dict[Load, Fraction]:
    """Return the rates of pipelines that are served in the order of what they take of the shared thing `by`."""

    def order(load: Load) -> tuple[int, tuple[int, int]]:
        return load.shared_ns[by], load.shared_ns

    free, found = [Fraction(1)] * len(SHARED), {load: load.rate for load in counts}
    for (_, takes), alike in groupby(sorted(counts, key=order), key=order):
        group = list(alike)
        wanted = [ns * sum((counts[load] * found[load] for load in group), Fraction(0)) for ns in takes]
        part = min([Fraction(1), *(left / want for left, want in zip(free, wanted, strict=True) if want)])
        free = [left - part * want for left, want in zip(free, wanted, strict=True)]
        for load in group:
            found[load] *= part
    return found


class Gate:
    """A pipeline's entrance: opens for one inference at a time, next at `opens` ns."""

    def __init__(self, interval: Fraction | None, late: Fraction = Fraction(0)) -> None:
        """Take the ns between beginnings; None for an entrance that never opens.

        What begins up to `late` ns after it might have is made up for by those that follow.
        """
        self._interval, self.opens, self._late = interval, Fraction(0), late

    @property
    def is_shut(self) -> bool:
        """Whether it never opens."""
        return self._interval is None

    @property
    def opens_ns(self) -> int:
        """The first whole ns at which the next inference may begin."""
        return ceil(self.opens)

    def lets_through(self, now_ns: int) -> bool:
        """Let an inference begin if it may; what waited for that does not pay for the rounding to whole ns as well."""
        if self._interval is None or self.opens_ns > now_ns:
            return False
        begin = self.opens if now_ns <= self.opens_ns + self._late else now_ns - self._late
        self.opens = begin + self._interval
        return True
