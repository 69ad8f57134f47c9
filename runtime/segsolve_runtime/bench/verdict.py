"""What repeated measurements say: medians, how sure they are, and whether two differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

NOISE = 0.02
"""Share by which published repeats of one measurement on an Edge TPU differ: less is no difference."""
CONFIDENCE = 0.95
UNDECIDED = "too few turns to tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A median and an interval that holds the true one with `confidence`: lower if there are few values."""

    median: float
    low: float
    high: float
    confidence: float

    def as_dict(self) -> dict[str, float]:
        """Return it as JSON has it."""
        return {"median": self.median, "low": self.low, "high": self.high, "confidence": round(self.confidence, 4)}


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median of at least one value, and the narrowest symmetric pair of values around it that will do.

    The interval between the k-th smallest and the k-th largest of n values misses the median with the probability
    2 * sum(comb(n, i) for i < k) / 2 ** n, whatever they are distributed like (the sign test).
    """
    ascending, n = sorted(values), len(values)
    rank = 1
    while rank + 1 <= (n + 1) // 2 and _covers(n, rank + 1) >= CONFIDENCE:
        rank += 1
    return Estimate(
        median=median(ascending), low=ascending[rank - 1], high=ascending[n - rank], confidence=_covers(n, rank)
    )


def _covers(n: int, rank: int) -> float:
    return float(1 - 2 * sum(comb(n, i) for i in range(rank)) / 2**n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A plan against the first: the ratio of their values turn by turn, and what is to be said of it."""

    ratio: Estimate
    verdict: str


def compare(values: Sequence[float], first: Sequence[float], *, noise: float = NOISE) -> Comparison:
    """Return how much larger values are than those of the first plan in the same turns.

    With too few turns for `CONFIDENCE` nothing is said. They differ only if the whole interval of the ratio is on one
    side of 1, and the ratio is beyond the noise.
    """
    ratio = estimate([a / b for a, b in zip(values, first, strict=True)])
    if ratio.confidence < CONFIDENCE:
        return Comparison(ratio=ratio, verdict=UNDECIDED)
    is_apart = (ratio.low > 1 or ratio.high < 1) and abs(ratio.median - 1) > noise
    if not is_apart:
        return Comparison(ratio=ratio, verdict="a tie")
    return Comparison(ratio=ratio, verdict="higher" if ratio.median > 1 else "lower")
