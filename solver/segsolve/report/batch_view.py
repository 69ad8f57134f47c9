"""What a batch's report shows, gathered once and frozen: no markup, no wording but titles."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segsolve.batch.jobs import LAYOUTS
from segsolve.batch.log import read_records
from segsolve.batch.record import Record
from segsolve.batch.run import missing_jobs
from segsolve.batch.summary import REFERENCE, Summary, summarise
from segsolve.question import Objective
from segsolve.report.explain import TITLES
from segsolve.report.units import MIB, fps, times
from segsolve.search.strategies import STRATEGIES, VENDOR
from segsolve_runtime.contract.files import resolved

EXACT = (*(one.name for one in STRATEGIES if one.is_exact), LAYOUTS)
_VALUES = {
    Objective.LATENCY: ("Latency", "ns"),
    Objective.BATCH: ("Time of the batch", "ns"),
    Objective.DEVICES: ("TPUs that are needed", "TPUs"),
}
_PIPELINE = {
    Objective.LATENCY: "Latency of the best single pipeline, as a multiple",
    Objective.DEVICES: "TPUs of the best single pipeline, as a multiple",
}
_STRONGEST = 0.97  # the share of cells whose colour still grows with their value


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A network on a number of TPUs: the records that have a plan, by planner."""

    tpus: int
    plans: dict[str, Record]

    @cached_property
    def best(self) -> Record | None:
        """The plan that is best at what was asked; of several the exact planner's."""
        return _best(self.plans.values())

    @cached_property
    def pipeline(self) -> Record | None:
        """The best of the single pipelines, with which strategies that cut one are compared."""
        return _best(r for r in self.plans.values() if r.planner != LAYOUTS)

    @property
    def judges(self) -> tuple[Record, ...]:
        """The records whose bound and proof are about the best plan: where all layouts were asked for, that one."""
        whole = self.plans.get(LAYOUTS)
        return (whole,) if whole else tuple(self.plans.values())

    @property
    def is_optimal(self) -> bool:
        """Whether the best plan is proven to be that, of all layouts if those were asked for."""
        return any(r.status == "optimal" for r in self.judges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A row: a network on every number of TPUs."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure for every cell, as a ratio, or None; `cost` says that more is worse."""

    key: str
    title: str
    kind: str
    cost: bool
    values: tuple[tuple[float | None, ...], ...]

    def text(self, value: float | None) -> str:
        """Return a value for people."""
        if value is None:
            return "–"
        if self.kind in ("ns", "TPUs"):
            return f"{value / 1e6:.2f} ms" if self.kind == "ns" else f"{value:.3g}"
        if self.kind == "over":
            return "0 %" if value == 1 else f"{100 * (value - 1):+.1f} %"
        return fps(value) if self.kind == "fps" else times(value)

    def shade(self, value: float | None) -> float:
        """Return how strong a cell's colour is, 0 to 1; below 0 for a loss."""
        if value is None:
            return 0.0
        known = sorted(v for row in self.values for v in row if v is not None)
        low = 1.0 if self.kind in ("times", "over") else known[0]
        # One network that gains far more than all others must not leave these without colour.
        span = math.log(known[round(_STRONGEST * (len(known) - 1))] / low) or 1.0
        return round(max(-1.0, min(1.0, math.log(value / low) / span)), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All networks on one device under the same rules, with the figures to choose from."""

    device: str
    rules: str
    tpus: tuple[int, ...]
    planners: tuple[str, ...]
    networks: tuple[Network, ...]
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """Everything that a batch's report shows."""

    name: str
    summary: Summary
    boards: tuple[Board, ...]
    versions: tuple[str, ...]
    missing: int
    wanted: int

    @property
    def asks(self) -> bool:
        """Whether anything but throughput alone was asked for."""
        return any(versus.asked != Objective.THROUGHPUT for versus in self.summary.versus)


def batch_view(folder: Path) -> BatchView:
    """Read a batch's folder.

    Raises:
        OutputError: its file holds something else than records.
    """
    records = read_records(folder)
    missing, wanted = missing_jobs(folder, {record.key for record in records})
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in sorted((r for r in records if not r.is_of_pool), key=lambda r: r.order):
        groups.setdefault((record.device, _rules(record)), []).append(record)
    return BatchView(
        name=resolved(folder).name,
        summary=summarise(records),
        boards=tuple(_board(device, rules, found) for (device, rules), found in groups.items()),
        missing=missing,
        wanted=wanted,
        versions=tuple(sorted({f"segsolve {r.segsolve}, ortools {r.ortools}" for r in records})),
    )


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Return the geometric mean of the values that are there."""
    logs = [math.log(value) for value in values if value]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _rules(r: Record) -> str:
    parts = [f"{r.memory_bytes / MIB:g} MiB on chip"]
    parts += [f"asked for {r.asked}"] if (r.objective, r.constraints) != (Objective.THROUGHPUT, {}) else []
    parts += ["nothing may stream"] if r.no_spill else []
    parts += [f"at most {r.time_limit_s:g} s per job"] if r.time_limit_s is not None else []
    return ", ".join(parts)


def _board(device: str, rules: str, records: Sequence[Record]) -> Board:
    tpus = tuple(sorted({r.tpus for r in records}))
    planned = [r for r in records if r.cost]
    networks = tuple(_networks(planned, tpus))
    planners = tuple(p for p in TITLES if any(r.planner == p for r in planned)) + tuple(
        sorted({r.planner for r in planned} - set(TITLES))
    )
    return Board(
        device=device,
        rules=rules,
        tpus=tpus,
        planners=planners,
        networks=networks,
        metrics=tuple(_metrics(networks, planners, Objective(records[0].objective))),
    )


def _networks(records: Sequence[Record], tpus: Sequence[int]) -> Iterator[Network]:
    names = dict.fromkeys((r.model, r.model_sha256) for r in records)
    for model, sha256 in names:
        mine = [r for r in records if (r.model, r.model_sha256) == (model, sha256)]
        cells = tuple(Cell(tpus=n, plans={r.planner: r for r in mine if r.tpus == n}) for n in tpus)
        is_shared = sum(name == model for name, _ in names) > 1
        yield Network(name=f"{model} ({(sha256 or '')[:8]})" if is_shared else model, cells=cells)


def _metrics(networks: Sequence[Network], planners: Sequence[str], objective: Objective) -> Iterator[Metric]:
    def metric(
        key: str, title: str, kind: str, figure: Callable[[Cell, Record], float | None], *, cost: bool
    ) -> Metric:
        rows = (tuple(figure(c, c.best) if c.best else None for c in network.cells) for network in networks)
        return Metric(key=key, title=title, kind=kind, cost=cost, values=tuple(rows))

    if objective in _VALUES:
        title, kind = _VALUES[objective]
        yield metric("value", title, kind, lambda _, best: float(_cost(best)), cost=True)
    if VENDOR in planners:
        yield metric("vendor", "Speed-up over the vendor's compiler", "times", _versus(VENDOR), cost=False)
    if LAYOUTS in planners and len(planners) > 1:
        title = _PIPELINE.get(objective, "Speed-up over the best single pipeline")
        yield metric("pipeline", title, "times", _over_pipeline, cost=False)
    yield metric("one", "Speed-up over one TPU", "times", lambda _, best: _over_one(best), cost=False)
    yield metric("fps", "Inferences per second", "fps", lambda _, best: best.throughput_fps, cost=False)
    for planner in planners:
        if planner not in EXACT:
            title = f"{TITLES.get(planner, planner)}: how much slower than the best single pipeline"
            yield metric(f"over-{planner}", title, "over", _behind(planner), cost=True)
    yield metric("gap", "Best plan: distance from the proven bound", "over", _gap, cost=True)


def _versus(planner: str) -> Callable[[Cell, Record], float | None]:
    def figure(cell: Cell, best: Record) -> float | None:
        other = cell.plans.get(planner)
        return _cost(other) / _cost(best) if other else None

    return figure


def _behind(planner: str) -> Callable[[Cell, Record], float | None]:
    """Hold a strategy that cuts one pipeline against the best of its kind."""

    def figure(cell: Cell, _: Record) -> float | None:
        other = cell.plans.get(planner)
        return _cost(other) / _cost(cell.pipeline) if other and cell.pipeline else None

    return figure


def _over_pipeline(cell: Cell, best: Record) -> float | None:
    return _cost(cell.pipeline) / _cost(best) if cell.pipeline else None


def _over_one(best: Record) -> float | None:
    return best.one_tpu_ns / best.period_ns if best.one_tpu_ns and best.period_ns else None


def _gap(cell: Cell, best: Record) -> float | None:
    bound = max((_bound(r) for r in cell.judges), default=0)
    return _cost(best) / bound if bound else None


def _bound(record: Record) -> int:
    """Return what no plan is below, in the objective's unit."""
    if record.objective == Objective.DEVICES:
        return math.ceil(_cost(record) * (1 - (record.gap or 0)) - 1e-9)
    return record.bound_ns or 0


def _best(records: Iterable[Record]) -> Record | None:
    return min(records, key=lambda r: (_cost(r), r.planner not in EXACT, r.planner != REFERENCE), default=None)


def _cost(record: Record) -> int:
    return record.cost or 0
