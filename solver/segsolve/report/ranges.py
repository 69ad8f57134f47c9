"""How far a predicted time may be off, in one short way, and which plans are a tie because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from segsolve.cost.plan import PlanScore, Score
from segsolve.cost.stage import StageScore
from segsolve.device.ranges import Ranges, Regime, factors_of, regime
from segsolve.report.units import ms, names

Range = tuple[int, int]  # ns
_OF_SHARED = {"host": Regime.HOST, "link": Regime.TRANSFERS}


def period_range(ranges: Ranges, score: PlanScore) -> Range | None:
    """Return the ns per inference between which 80 % of measurements of such plans lay; None if nothing is known.

    Each pipeline is off by what times are that consist of what its slowest stage does. The host and the link are off by
    what is known of these, and whichever takes longest limits: one that is nearly busy may be so in truth.
    """
    found = [factors_of(ranges, _regime(pipeline)) for pipeline in score.pipelines]
    known = [factors for factors in found if factors]
    if len(known) < len(found):
        return None
    own = [pipeline.lane.load.rate for pipeline in score.pipelines]
    least, most = (
        1 / sum((rate / Fraction(factors[end]) for rate, factors in zip(own, known, strict=True)), Fraction(0))
        for end in (0, 1)
    )
    for name, part in score.needed.items():
        shared = factors_of(ranges, _OF_SHARED[name])
        if shared is not None:
            busy = part / score.full_rate if part <= 1 else 1 / score.rate
            least, most = (max(end, Fraction(factor) * busy) for end, factor in zip((least, most), shared, strict=True))
        elif part > 1:
            return None
    return min(floor(least), score.period_ns), max(ceil(most), score.period_ns)


def between(found: Range | None) -> str:
    """Return a range as it follows a time: ", 11.3 to 13.6"; nothing if there is none."""
    return f", {ms(found[0])} to {ms(found[1])}" if found else ""


def ties(best: str, found: Mapping[str, Range | None]) -> list[str]:
    """Return the others whose range overlaps that of the best, by their names."""
    own = found[best]
    if own is None:
        return []
    return [name for name, other in found.items() if name != best and other is not None and other[0] <= own[1]]


def ties_sentence(best: str, period_ns: int, found: Mapping[str, Range | None]) -> list[str]:
    """Return in a sentence how far the best may be off and who is a tie with it; nothing if nothing is known."""
    own, others = found[best], ties(best, found)
    if own is None:
        return []
    tie = f"; a tie with it: {names(others)}" if others else "; no other comes as near"
    return [f"{best}: {ms(period_ns)} ms per inference{between(own)} (80 % of measurements){tie}."]


def range_document(found: Range | None, best: Range | None = None) -> dict[str, Any]:
    """Return a range as part of a document, ns per inference; with that of the best, whether it is a tie with it."""
    low, high = found or (None, None)
    tied = {"tied": low is not None and low <= best[1]} if best else {}
    return {"least_period_ns": low, "most_period_ns": high, **tied}


def regime_of(stage: StageScore) -> Regime:
    """Return the regime of a stage."""
    moves = stage.input_ns + stage.output_ns
    return regime(time_ns=stage.time_ns, stream_ns=stage.stream_ns, transfer_ns=moves)


def _regime(pipeline: Score) -> Regime:
    counts: Sequence[int] = pipeline.replicas or (1,) * len(pipeline.stages)
    slowest, _ = max(zip(pipeline.stages, counts, strict=True), key=lambda one: -(-one[0].time_ns // one[1]))
    return regime_of(slowest)
