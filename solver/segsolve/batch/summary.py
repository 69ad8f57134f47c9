"""What a batch shows as a whole: how the optimum compares with the other strategies, and what failed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from segsolve.batch.jobs import LAYOUTS
from segsolve.batch.record import Outcome, Record
from segsolve.search.strategies import DEFAULT, HEURISTICS, VENDOR

REFERENCE = DEFAULT
BASELINES = {REFERENCE: HEURISTICS, LAYOUTS: (VENDOR, REFERENCE)}
"""What each reference is held against: the best pipeline against others, the best layout also against that pipeline."""
_DIGITS = 6  # as many as every machine's logarithm agrees on


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """A model, and how much faster the reference is on it."""

    model: str
    speedup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """A reference against a baseline on a number of TPUs, over the models on which both have a plan.

    Speed-ups are above 1 where the reference is better in what was asked: faster, or with fewer TPUs; the models on
    which it is worse are its `losses`.
    """

    asked: str
    reference: str
    device: str
    tpus: int
    baseline: str
    models: int
    geometric_mean: float
    best: Extreme
    worst: Extreme
    losses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """A workload on a pool: what its plan does, and what is known of it.

    `scale_fps` are periods per second; `over_wanted` how many times the rates that were asked for, `over_simple` how
    many times those of the best simple use of the pool; None where there is nothing to compare with. Of the objective,
    no plan is better by more than `gap`.
    """

    workload: str
    pool: str
    objective: str
    scale_fps: float | None
    over_wanted: float | None
    over_simple: float | None
    latency_ns: int | None
    gap: float | None
    is_optimal: bool
    layouts: str | None
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A reason for which jobs on a model failed, and how many did."""

    model: str
    kind: str
    message: str
    jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A batch as a whole."""

    jobs: int
    outcomes: dict[str, int]
    versus: tuple[Versus, ...]
    pools: tuple[Pooled, ...]
    failures: tuple[Failure, ...]


def summarise(records: Sequence[Record]) -> Summary:
    """Return the summary of a batch's records."""
    counts = Counter(record.outcome for record in records)
    return Summary(
        jobs=len(records),
        outcomes={outcome.value: counts[outcome] for outcome in Outcome},
        versus=tuple(_all_versus([record for record in records if not record.is_of_pool])),
        pools=tuple(_pooled(record) for record in records if record.is_of_pool),
        failures=tuple(_failures(records)),
    )


def _all_versus(records: Sequence[Record]) -> Iterator[Versus]:
    plans = {_place(r, r.planner): r for r in records if r.cost}
    groups = dict.fromkeys((r.asked, r.device_sha256, r.device, r.tpus) for r in records)
    for asked, device_sha256, device, tpus in groups:
        for reference, baseline in ((r, b) for r, baselines in BASELINES.items() for b in baselines):
            wanted = asked, device_sha256, tpus, reference
            here = [r for r in plans.values() if (r.asked, r.device_sha256, r.tpus, r.planner) == wanted]
            pairs = [(r, plans[_place(r, baseline)]) for r in here if _place(r, baseline) in plans]
            if pairs:
                yield _versus(asked, device, tpus, reference, baseline, pairs)


def _pooled(record: Record) -> Pooled:
    rate, period = record.throughput_fps, record.period_ns
    return Pooled(
        workload=record.model,
        pool=record.device,
        objective=record.objective,
        scale_fps=rate,
        over_wanted=round(rate / record.wanted_scale_fps, _DIGITS) if rate and record.wanted_scale_fps else None,
        over_simple=round(record.simple_ns / period, _DIGITS) if record.simple_ns and period else None,
        latency_ns=record.latency_ns,
        gap=record.gap,
        is_optimal=record.status == "optimal",
        layouts=record.layout,
        outcome=record.outcome,
    )


def _place(record: Record, planner: str) -> tuple[str, str | None, str, int, str]:
    return record.asked, record.model_sha256, record.device_sha256, record.tpus, planner


def _versus(
    asked: str, device: str, tpus: int, reference: str, baseline: str, pairs: Iterable[tuple[Record, Record]]
) -> Versus:
    speedups = [(_ratio(slow, fast), fast.model) for fast, slow in pairs]
    best, worst = max(speedups), min(speedups)
    mean = math.exp(math.fsum(math.log(speedup) for speedup, _ in speedups) / len(speedups))
    return Versus(
        asked=asked,
        reference=reference,
        device=device,
        tpus=tpus,
        baseline=baseline,
        models=len(speedups),
        geometric_mean=round(mean, _DIGITS),
        best=Extreme(model=best[1], speedup=round(best[0], _DIGITS)),
        worst=Extreme(model=worst[1], speedup=round(worst[0], _DIGITS)),
        losses=tuple(sorted(model for speedup, model in speedups if speedup < 1)),
    )


def _ratio(slow: Record, fast: Record) -> float:
    assert slow.cost and fast.cost
    return slow.cost / fast.cost


def _failures(records: Iterable[Record]) -> Iterator[Failure]:
    """Yield each reason once: a model that cannot be read fails in every combination."""
    failed = (r for r in records if r.outcome is Outcome.FAILED)
    for (model, kind, message), jobs in Counter((r.model, r.error_kind, r.error_message) for r in failed).items():
        yield Failure(model=model, kind=kind or "", message=message or "", jobs=jobs)
