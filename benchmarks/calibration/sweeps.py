"""The sweep of five convolutions on 1 to 4 TPUs: spills, times of the slowest stage, and choices between cuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np

from benchmarks.calibration.fit import Array, nonnegative, weights
from benchmarks.calibration.latency import Features, Rates, features
from benchmarks.calibration.measurements import Row
from benchmarks.calibration.networks import swept_graph
from segsolve.cost.plan import score_cut
from segsolve.device.memory import stored_bytes
from segsolve.device.model import MIB, Device
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.chain.dp import PLANNER as OPTIMAL
from segsolve.solvers.base import Limits, ignore

FREE = ("conv", "input", "output", "large", "again", "shared2", "shared3")
MOVES = ("input", "output", "transfer", "large")
START = {"shared2": 1.5, "shared3": 1.5, "large": 1.0, "again": 1.0}
_MISLABELLED = range(603, 684, 10)  # filter counts of the profiled cut on 3 TPUs, where the other series have one less


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One published row: where it is cut, what was measured, and the features of its stages."""

    filters: int
    tpus: int
    split: str
    ms: float
    cuts: tuple[int, ...]
    offchip: tuple[float, ...]
    predicted_offchip: tuple[float, ...]
    stages: tuple[Features, ...]

    @property
    def spills(self) -> bool:
        """Whether weights streamed when it was measured."""
        return any(self.offchip)

    @property
    def right_spill(self) -> bool:
        """Whether the memory model streams what was streamed."""
        return all(abs(a - b) < 0.012 for a, b in zip(self.offchip, self.predicted_offchip, strict=True))

    def time(self, rates: Rates) -> float:
        """Return the time of the slowest stage in ms."""
        return self.slowest(rates).time(_slowed(rates, self))

    def slowest(self, rates: Rates) -> Features:
        """Return the slowest stage."""
        slowed = _slowed(rates, self)
        return max(self.stages, key=lambda stage: stage.time(slowed))


def _slowed(rates: Rates, row: Pipeline) -> dict[str, float]:
    """Return the rates of a row: in the series on two and three TPUs, transfers took longer by factors "shared"."""
    factor = rates.get(f"shared{row.tpus}", 1.0)
    return {**rates, **{key: factor * rates.get(key, 0.0) for key in MOVES}}


def fit_card(rows: Sequence[Pipeline], start: Rates, rounds: int = 25) -> dict[str, float]:
    """Return the rates with the least sum of relative deviations of the slowest stages; those not `FREE` are held."""
    rates, measured = {**START, **start}, np.array([row.ms for row in rows])
    weight = np.ones(len(rows))
    for _ in range(rounds):
        linear = [_linearised(row, rates) for row in rows]
        a = np.array([row for row, _ in linear]) / measured[:, None]
        b = 1 - np.array([fixed for _, fixed in linear]) / measured
        x = nonnegative(a * weight[:, None], b * weight)
        rates |= {key: max(1e-6, 0.4 * rates[key] + 0.6 * float(v)) for key, v in zip(FREE, x, strict=True)}
        weight = weights(a @ x - b)
    return rates


def _linearised(row: Pipeline, rates: Rates) -> tuple[list[float], float]:
    """Return the derivatives of the slowest stage's time in `FREE` near `rates`, and what of it they do not make."""
    slowed = _slowed(rates, row)
    slowest = max(row.stages, key=lambda stage: stage.time(slowed))
    amounts = slowest.amounts(slowed)
    costs = {key: amount * slowed[key] / rates[key] for key, amount in amounts.items() if rates.get(key)}
    costs[f"shared{row.tpus}"] = sum(slowed[k] * amounts[k] for k in MOVES) / rates.get(f"shared{row.tpus}", 1.0)
    made = [costs.get(key, 0.0) for key in FREE]
    return made, slowest.time(slowed) - sum(rates[key] * cost for key, cost in zip(FREE, made, strict=True))


def errors(rows: Sequence[Pipeline], rates: Rates) -> Array:
    """Return the relative error of each predicted bottleneck."""
    return np.array([row.time(rates) / row.ms - 1 for row in rows])


def left_out(rows: Sequence[Pipeline], start: Rates, width: int = 100, *, shared: bool = True) -> Array:
    """Return the errors of rows under rates fitted without the filter counts of the same hundred.

    Without `shared`, transfers are not lengthened where those of a series were: as for a machine that is not known.
    """
    held = {
        group: fit_card([r for r in rows if r.filters // width != group], start)
        for group in {row.filters // width for row in rows}
    }
    unknown = {} if shared else {"shared2": 1.0, "shared3": 1.0}
    return np.array([row.time(held[row.filters // width] | unknown) / row.ms - 1 for row in rows])


def sweep_device(device: Device) -> Device:
    """Return the device for which drawn models count as those of this sweep, whose biases are zero in public files."""
    return replace(device, bias_bytes=0)


def pipelines(rows: Sequence[Row], device: Device) -> list[Pipeline]:
    """Return the rows of conv_sweep.csv and conv_sweep_3tpu.csv."""
    device = sweep_device(device)
    return [_pipeline(row, device) for row in rows]


def _filters(row: Row) -> int:
    filters = int(row["filters"])
    return filters - 1 if row["n_tpus"] == "3" and filters in _MISLABELLED else filters


def _pipeline(row: Row, device: Device) -> Pipeline:
    graph = swept_graph(_filters(row))
    sizes = [tuple(map(float, row[f"{where}_mib_per_segment"].split("|"))) for where in ("onchip", "offchip")]
    # A first segment without weights has only the QUANTIZE of the published files, which have one more operation.
    held = [(on, off) for on, off in zip(*sizes, strict=True) if on + off > 0]
    cuts = _cuts(device, graph, [on + off for on, off in held])
    problem = AnalyticCosts(graph=graph, device=device).problem(tpus=len(held))
    return Pipeline(
        filters=_filters(row),
        tpus=int(row["n_tpus"]),
        split=row["split"],
        ms=float(row["ms_per_inference"]),
        cuts=cuts,
        offchip=tuple(off for _, off in held),
        predicted_offchip=tuple(stage.offchip_bytes / MIB for stage in score_cut(problem, cuts).stages),
        stages=tuple(features(device, graph, range(*stage)) for stage in pairwise((0, *cuts, len(graph.ops)))),
    )


def _cuts(device: Device, graph: Graph, sizes: Sequence[float]) -> tuple[int, ...]:
    """Find the cuts by the MiB of each segment: the first layer is small, the others are alike."""
    first, layer = (stored_bytes(device, graph, op) / MIB for op in graph.ops[:2])
    ends = [1 + round((sizes[0] - first) / layer)]
    for size in sizes[1:]:
        ends.append(ends[-1] + round(size / layer))
    return tuple(ends[:-1])


def choices(rows: Sequence[Pipeline], rates: Rates) -> list[dict[str, float | bool]]:
    """Return, for each filter count with two published cuts, how far they differ and whether we choose right."""
    found: dict[tuple[int, int], dict[str, Pipeline]] = defaultdict(dict)
    for row in rows:
        found[row.filters, row.tpus][row.split] = row
    result: list[dict[str, float | bool]] = []
    for (filters, tpus), pair in sorted(found.items()):
        if {"compiler", "profiled"} <= pair.keys() and pair["compiler"].cuts != pair["profiled"].cuts:
            a, b = pair["compiler"], pair["profiled"]
            right = (a.time(rates) < b.time(rates)) == (a.ms < b.ms)
            difference = max(a.ms, b.ms) / min(a.ms, b.ms) - 1
            result.append({"filters": filters, "tpus": tpus, "difference": difference, "right": right})
    return result


def ranks(rows: Sequence[Pipeline], device: Device, rates: Rates) -> list[dict[str, int]]:
    """Return, for each filter count and number of TPUs, the predicted rank of the cut that was measured to be best.

    1 is the best of `of` cuts into at most so many stages; cuts whose predicted times are equal share a rank.
    """
    device = sweep_device(device)
    best: dict[tuple[int, int], Pipeline] = {}
    for row in rows:
        if row.tpus > 1 and row.ms < best.get((row.filters, row.tpus), row).ms + 1e-9:
            best[row.filters, row.tpus] = row
    found = []
    for (filters, tpus), row in sorted(best.items()):
        graph, slowed = swept_graph(filters), _slowed(rates, row)
        cuts = [c for n in range(tpus) for c in combinations(range(1, len(graph.ops)), n)]
        spans = {span for c in cuts for span in pairwise((0, *c, len(graph.ops)))}
        times = {span: features(device, graph, range(*span)).time(slowed) for span in spans}
        periods = {c: max(times[span] for span in pairwise((0, *c, len(graph.ops)))) for c in cuts}
        rank = 1 + sum(period < periods[row.cuts] * (1 - 1e-9) for period in periods.values())
        found.append({"filters": filters, "tpus": tpus, "rank": rank, "of": len(cuts)})
    return found


def optima(rows: Sequence[Pipeline], device: Device) -> list[dict[str, object]]:
    """Return our optimal cut for each filter count, with its predicted gain over the best published cut."""
    best: Mapping[tuple[int, int], list[Pipeline]] = defaultdict(list)
    for row in rows:
        if row.tpus > 1:
            best[row.filters, row.tpus].append(row)
    found: list[dict[str, object]] = []
    device = sweep_device(device)
    for (filters, tpus), pair in sorted(best.items()):
        problem = AnalyticCosts(graph=swept_graph(filters), device=device).problem(tpus=tpus)
        best_cut = OPTIMAL.solve(problem, Limits(), ignore)
        ours = best_cut.objective_ns
        assert best_cut.plan is not None and ours is not None
        theirs = min(pair, key=lambda row: row.ms)
        published = score_cut(problem, theirs.cuts).bottleneck_ns
        found.append(
            {
                "filters": filters,
                "tpus": tpus,
                "cuts": best_cut.plan.cuts,
                "best_published": theirs.cuts,
                "gain": published / ours - 1,
            }
        )
    return found
