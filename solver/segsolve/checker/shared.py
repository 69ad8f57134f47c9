"""A bound on the rate of layouts whose pipelines share one thing, a link or the host.

Of pipelines with given bottlenecks and loads the best use is a fractional knapsack: full rate for those that load
it least, a part of its rate for one at most, and nothing for the rest, which a smaller layout leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.bounds import Corner


@dataclass(frozen=True, slots=True)
class _Full:
    """Pipelines at full rate: what they do together, and the share of it that they take."""

    rate: Fraction
    share: Fraction


def most_rate_sharing(steps: Sequence[Sequence[Corner]], *, single: bool) -> Fraction:
    """Return a bound on the rate, in inferences per ns; `steps[k]` are (bottleneck, ns of it) of k devices."""
    if single:
        return max((_added(_Full(Fraction(0), Fraction(0)), *corner) for corner in steps[-1]), default=Fraction(0))
    full: list[list[_Full]] = [[_Full(Fraction(0), Fraction(0))]]
    best = Fraction(0)
    for total in range(1, len(steps)):
        pairs = [(rest, *corner) for k in range(1, total + 1) for corner in steps[k] for rest in full[total - k]]
        best = max([best, *(_added(*pair) for pair in pairs)])
        grown = [
            _Full(rest.rate + Fraction(1, max(1, b)), rest.share + Fraction(ns, max(1, b))) for rest, b, ns in pairs
        ]
        full.append(_undominated([*full[-1], *(one for one in grown if one.share <= 1)]))
    return best


def _added(rest: _Full, bottleneck: int, takes_ns: int) -> Fraction:
    """Return the rate with one more pipeline, as fast as what is left allows."""
    own = Fraction(1, max(1, bottleneck))
    return rest.rate + (min(own, (1 - rest.share) / takes_ns) if takes_ns else own)


def _undominated(found: Sequence[_Full]) -> list[_Full]:
    kept: list[_Full] = []
    for one in sorted(found, key=lambda f: (-f.rate, f.share)):
        if not kept or one.share < kept[-1].share:
            kept.append(one)
    return kept
