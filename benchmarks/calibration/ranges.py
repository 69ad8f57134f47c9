"""Ranges of predicted times, from the errors on rows left out of the fit, by what the times consist of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.calibration.devices import Range
from benchmarks.calibration.fit import Array
from benchmarks.calibration.latency import Features, Rates
from segsolve.device.ranges import Regime, regime

SHARE = 0.86
"""Of the rows at hand; rows of one family err alike, so that of another family some 80 % lie between these."""
_FEWEST = 20  # rows of a regime; with fewer, a quantile is that of one or two rows, and all regimes are taken together


def regime_of(stage: Features, rates: Rates) -> Regime:
    """Return the regime of a stage."""
    amounts = stage.amounts(rates)
    transfers = sum(rates.get(key, 0.0) * amounts[key] for key in ("input", "output", "transfer", "large", "again"))
    time, stream = stage.time(rates), rates["stream"] * amounts["stream"]
    return regime(time_ns=round(1e6 * time), stream_ns=round(1e6 * stream), transfer_ns=round(1e6 * transfers))


def ranges(regimes: Sequence[Regime], errors: Array, source: str) -> dict[str, Range]:
    """Return the range of each regime, from the relative errors of the predictions."""
    factors = 1 / (1 + errors)  # measured over predicted
    every = _range(factors, f"{source}: {len(factors)} rows of all kinds")
    found = dict.fromkeys((Regime.SPILLING, Regime.TRANSFERS, Regime.SMALL, Regime.PLAIN), every)
    for kind in set(regimes):
        chosen = factors[np.array([r == kind for r in regimes])]
        if len(chosen) >= _FEWEST:
            found[kind] = _range(chosen, f"{source}: {len(chosen)} rows")
    return {str(kind): each for kind, each in found.items()}


def one(errors: Iterable[float], source: str) -> Range:
    """Return the range of rows of one kind."""
    return _range(1 / (1 + np.array(list(errors))), source)


def inside_left_out(regimes: Sequence[Regime], errors: Array, families: Sequence[str]) -> float:
    """Return the share of rows whose measured time lies inside of the range that all other families make."""
    kinds, names, held = np.array(regimes), np.array(families), 0.0
    for name in set(families):
        own = names == name
        others = ranges(kinds[~own].tolist(), errors[~own], "")
        held += inside(others, kinds[own].tolist(), errors[own]) * own.sum()
    return held / len(errors)


def inside(found: Mapping[str, Range], regimes: Sequence[Regime], errors: Array) -> float:
    """Return the share of rows whose measured time lies inside of the range of their regime."""
    factors = 1 / (1 + errors)
    held = [found[r].low - 0.005 <= f <= found[r].high + 0.005 for r, f in zip(regimes, factors, strict=True)]
    return float(np.mean(held))


def _range(factors: Array, source: str) -> Range:
    """Return the range that holds `SHARE` of the next row, as far as so many tell: quantiles of n + 1 rows."""
    tail = (1 - SHARE) / 2
    n = len(factors)
    low, high = (np.quantile(factors, min(1.0, max(0.0, (q * (n + 1) - 1) / (n - 1)))) for q in (tail, 1 - tail))
    return Range(min(1.0, float(low)), max(1.0, float(high)), source)
