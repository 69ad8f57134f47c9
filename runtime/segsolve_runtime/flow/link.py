"""A link that devices share, such as a card's slot or the cable of a hub: how often it lets an inference begin.

The link carries what all stages take, give and stream. An inference of a pipeline occupies it for so many ns in all;
if all pipelines at full rate need no more than the link has, it delays nothing. Otherwise it is shared out as the
solver's evaluator does: full rate for the pipelines that need least of it per inference, what is left for the next
ones, nothing for the rest. A share is kept at the entrance: a pipeline begins an inference at most once per interval.
So the rate is exactly the evaluator's, and so is the latency; how transfers of different stages delay each other
within an inference is not modelled by either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A pipeline on the link: ns per inference that the pipeline needs by itself, and that its bytes pass the link."""

    own_ns: int
    link_ns: int


def link_ns(nbytes: int, ns_per_mib: int) -> int:
    """Return how long bytes occupy a link, rounded up to whole ns."""
    return -(-nbytes * ns_per_mib // 2**20)


def intervals(loads: Sequence[Load]) -> tuple[Fraction | None, ...]:
    """Return the ns from one beginning to the next that the link leaves each pipeline; None: it leaves it nothing.

    All are 0 where the link is not what limits. Pipelines with the same `link_ns` are slowed down by the same factor.
    """
    if sum(map(_share, loads), Fraction(0)) <= 1:
        return (Fraction(0),) * len(loads)
    found = dict(_shared_out(loads))
    return tuple(found[p] for p in range(len(loads)))


def _shared_out(loads: Sequence[Load]) -> Iterator[tuple[int, Fraction | None]]:
    free = Fraction(1)
    ordered = sorted(range(len(loads)), key=lambda p: loads[p].link_ns)
    for _, alike in groupby(ordered, key=lambda p: loads[p].link_ns):
        group = list(alike)
        wanted = sum((_share(loads[p]) for p in group), Fraction(0))
        part = min(Fraction(1), free / wanted) if wanted else Fraction(1)
        free -= part * wanted
        yield from ((p, max(1, loads[p].own_ns) / part if part else None) for p in group)


def _share(load: Load) -> Fraction:
    """Return the part of the link that a pipeline at full rate needs."""
    return Fraction(load.link_ns, max(1, load.own_ns))


class Gate:
    """A pipeline's entrance: opens for one inference at a time."""

    def __init__(self, interval: Fraction | None) -> None:
        """Take the ns between beginnings; None for an entrance that never opens."""
        self._interval, self._opens = interval, Fraction(0)

    @property
    def is_shut(self) -> bool:
        """Whether it never opens."""
        return self._interval is None

    @property
    def opens_ns(self) -> int:
        """The first whole ns at which the next inference may begin."""
        return ceil(self._opens)

    def lets_through(self, now_ns: int) -> bool:
        """Let an inference begin if it may; what waited for that does not pay for the rounding to whole ns as well."""
        if self._interval is None or self.opens_ns > now_ns:
            return False
        begin = self._opens if now_ns == self.opens_ns else Fraction(now_ns)
        self._opens = begin + self._interval
        return True
