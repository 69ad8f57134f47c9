"""Which pipelines to put side by side: exact over all ways to divide the devices among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.cost.table import IMPOSSIBLE

Sizes = tuple[int, ...]  # the devices of each pipeline, descending
Runs = tuple[tuple[int, int], ...]  # the same, as sizes and how often they come: a thousand copies are one run

MOST_TIES = 1000  # layouts of the same rate and number of devices that are told apart by their latency


@dataclass(frozen=True, slots=True)
class Mix:
    """The largest rate, in inferences per ns, of at most so many devices, and the layouts that have it.

    Of those, only the layouts of the fewest devices.
    """

    rate: Fraction
    runs: tuple[Runs, ...]

    @property
    def layouts(self) -> tuple[Sizes, ...]:
        """The devices of each pipeline of each layout."""
        return tuple(tuple(size for size, count in layout for _ in range(count)) for layout in self.runs)


def mixes(bottlenecks: Sequence[int], tpus: int, *, single: bool = False) -> tuple[Mix, ...]:
    """Return the best mix for each number of devices from 0 to `tpus`.

    `bottlenecks[k]` is the smallest bottleneck in ns of a pipeline of at most k devices, `IMPOSSIBLE` without one.
    `single` allows one pipeline only. A layout is a multiset of sizes, so that symmetric ones are met once.
    """
    sizes = [k for k in range(1, tpus + 1) if k < len(bottlenecks) and _is_gain(bottlenecks, k)]
    exact = [Mix(Fraction(0), ((),))] + [Mix(Fraction(-1), ())] * tpus  # of exactly so many devices
    rate = {k: Fraction(1, max(1, bottlenecks[k])) for k in sizes}
    for k in sizes:
        before = list(exact)
        for total in range(k, tpus + 1):
            base = before[total - k] if single else exact[total - k]
            if base.rate >= 0 and not (single and total != k):
                exact[total] = _better(exact[total], base, rate[k], k)
    best = [exact[0]]
    for mix in exact[1:]:
        best.append(mix if mix.rate > best[-1].rate else best[-1])
    return tuple(best)


def _is_gain(bottlenecks: Sequence[int], k: int) -> bool:
    """A size is worth nothing where fewer devices do as well."""
    return bottlenecks[k] < IMPOSSIBLE and (k == 1 or bottlenecks[k] < bottlenecks[k - 1])


def _better(known: Mix, base: Mix, rate: Fraction, size: int) -> Mix:
    found = base.rate + rate
    if found < known.rate:
        return known
    runs = tuple(_with(size, layout) for layout in base.runs)
    if found > known.rate:
        return Mix(found, runs)
    return Mix(found, tuple(dict.fromkeys((*known.runs, *runs)))[:MOST_TIES])


def _with(size: int, layout: Runs) -> Runs:
    """Return a layout with one more pipeline, none of whose others is larger."""
    if layout and layout[0][0] == size:
        return ((size, layout[0][1] + 1), *layout[1:])
    return ((size, 1), *layout)
