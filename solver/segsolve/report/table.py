"""Results as tables for a terminal, or for a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from segsolve.comparison import Comparison, Strategy
from segsolve.cost.plan import PlanScore, Score
from segsolve.cost.stage import StageScore, placements
from segsolve.device.ranges import Ranges
from segsolve.graph.model import Graph
from segsolve.problem import Problem
from segsolve.report.grid import Cell, Grid
from segsolve.report.placed import most_costly
from segsolve.report.ranges import period_range, ties_sentence
from segsolve.report.units import bar, count, fps, long_bar, mib, million, ms, names, short, size, times
from segsolve.search.answer import Answer
from segsolve.solvers.base import Status
from segsolve_runtime.contract.wording import percent

SPILL = "red"
GOOD = "green"
_BAR_WIDTH = 12
_MOST_BARS = 24
_MOST_SPILLS = 6


def compare_table(
    comparison: Comparison, device: str, batch: int, ranges: Ranges = (), *, solve_times: bool = True
) -> RenderableType:
    """Return one row per strategy; a bar per stage shows its share of the bottleneck, red where weights spill.

    Without `solve_times`, which differ from run to run, the text depends on nothing but what is compared.
    """
    problem, one = comparison.problem, comparison.one_tpu
    batch_column = f"batch {batch}\nms"
    table = Grid(
        f"{problem.name} on {problem.tpus} x {device}: predicted",
        *("strategy", "stages", "bottleneck\nms", "fps", "latency\nms", batch_column, "off chip\nMiB"),
        *("vs\n1 TPU", "vs\ncompiler", over_header(comparison.best.answer.status if comparison.best else None)),
        *(("solved\nin s",) if solve_times else ()),
        left=("stages",),
        optional=("solved\nin s", batch_column, "vs\n1 TPU", "off chip\nMiB", "vs\ncompiler", "latency\nms", "fps"),
    )
    for strategy in comparison.strategies:
        cells = _strategy_cells(strategy, batch)
        table.add_row(*cells, *((f"{strategy.answer.wall_s:.2f}",) if solve_times and strategy.score else ()))
    lines = [f"{s.answer.planner}: {_why(s.answer)}." for s in comparison.strategies if s.score is None]
    lines += limits_sentence(s.answer.score for s in comparison.strategies)
    lines.append(f"One TPU: {ms(one.period_ns)} ms per inference, {streamed(one.offchip_bytes)} in each.")
    if (best := comparison.best) and best.score:
        if best.answer.status is Status.OPTIMAL:
            lines.append(f"The optimum is proven for one pipeline cut along the execution order ({best.answer.proof}).")
        found = {a.planner: period_range(ranges, a.score) for a in (s.answer for s in comparison.strategies) if a.score}
        lines += ties_sentence(best.answer.planner, best.score.period_ns, found)
        lines += _unused(problem, best.answer, best.score)
    return Group(table, *map(Text, lines))


def inspect_table(
    graph: Graph,
    problem: Problem,
    one_tpu: Score,
    device: str,
    *,
    operations: bool,
    more: Iterable[tuple[str, str]] = (),
) -> RenderableType:
    """Return what a network is, what one TPU makes of it, and where it is cheap to cut; `more` are facts on that."""
    facts = Table(
        box=None, show_header=False, title=Text(graph.name, style="bold"), title_justify="left", title_style="bold"
    )
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column()
    for name, fact in (*_facts(graph, problem, one_tpu, device), *more):
        facts.add_row(name, Text(fact))  # names of tensors may look like Rich's markup
    return Group(facts, _operations(graph, problem)) if operations else facts


def _facts(graph: Graph, problem: Problem, one_tpu: Score, device: str) -> Iterable[tuple[str, str]]:
    stage = one_tpu.stages[0]
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(op.kind for op in graph.ops).most_common())
    stored = sum(op.weight_bytes for op in problem.ops)
    single = sum(len(graph.crossing(p)) == 1 for p in graph.cuts)
    yield "file", size(graph.file_bytes)
    for name, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[t] for t in tensors):
            yield name, f"{tensor.name}  {tensor.dtype.lower()} {list(tensor.shape)}"
    yield "operations", f"{len(graph.ops)}: {kinds}"
    yield "weights", f"{size(graph.weight_bytes)} in the file, {size(stored)} as the device stores them"
    yield "work", f"{million(graph.macs)} million multiply-accumulates"
    yield "legal cuts", f"{len(graph.cuts)}, {single} of them crossed by a single tensor" if graph.cuts else "none"
    yield (
        f"on one {device}",
        f"{ms(stage.time_ns)} ms per inference (predicted): {size(stage.onchip_bytes)} of weights on chip, "
        + (f"{size(stage.offchip_bytes)} streamed every time" if stage.offchip_bytes else "none streamed"),
    )
    if graph.frozen_batch:
        yield "note", "the open batch dimension is frozen to 1"
    for r in graph.restrictions:
        yield "restriction", f"operations {r.first}-{r.last} stay together: {r.reason}"


def _operations(graph: Graph, problem: Problem) -> Grid:
    columns = (
        "#",
        "kind",
        "output",
        "MMAC",
        "weights\nKiB",
        "stored\nKiB",
        "compute\nms",
        "streamed\nms",
        "cut before\nKiB",
    )
    table = Grid("", *columns, names=("kind",), optional=("weights\nKiB", "streamed\nms", "MMAC"))
    legal = set(graph.cuts)
    for op, cost in zip(graph.ops, problem.ops, strict=True):
        table.add_row(
            str(op.position),
            op.kind,
            "x".join(map(str, graph.tensors[op.outputs[0]].shape)) if op.outputs else "",
            million(op.macs) if op.macs else "-",
            *(f"{n / 1024:.1f}" if n else "-" for n in (op.weight_bytes, cost.weight_bytes)),
            ms(cost.compute_ns),
            ms(cost.streamed_ns) if cost.weight_bytes else "-",
            f"{graph.crossing_bytes(op.position) / 1024:.1f}" if op.position in legal else "-",
        )
    return table


def _strategy_cells(strategy: Strategy, batch: int) -> tuple[Cell, ...]:
    answer, score = strategy.answer, strategy.score
    if score is None:
        return answer.planner, Text("no plan", style=SPILL)
    over = score.period_ns / answer.bound_ns - 1 if answer.bound_ns else None if score.period_ns else 0.0
    return (
        Text(answer.planner, style="bold" if answer.status is Status.OPTIMAL else ""),
        _stage_bars(score),
        period_cell(answer.score or PlanScore(pipelines=(score,))),
        fps(score.throughput_fps),
        ms(score.latency_ns),
        ms(score.batch_ns(batch)),
        Text(mib(score.offchip_bytes), style=SPILL if score.offchip_bytes else ""),
        times(strategy.speedup_over_one_tpu),
        times(strategy.speedup_over_compiler),
        over_cell(over),
    )


def period_cell(score: PlanScore) -> str:
    """Return the time per inference, after what limits it if that is not the slowest stage: the link or the host."""
    return " ".join((*score.limited_by, ms(score.period_ns)))


def limits_sentence(scores: Iterable[PlanScore | None]) -> Iterator[str]:
    """Yield what it means that link or host stand before a time, where they do."""
    if found := {name for score in scores if score for name in score.limited_by}:
        yield f"{' and '.join(sorted(found))}: what all TPUs share limits it, not the slowest stage."


def over_header(status: Status | None) -> str:
    """Return what a time is held against: the optimum, or where that is not known, the bound."""
    return "over\noptimum" if status is Status.OPTIMAL else "over\nbound"


def over_cell(over: float | None) -> Text:
    """Return by what share a time is above the optimum or the bound; None stands for no bound."""
    if over is None:
        return Text("-")
    return Text("optimal" if over == 0 else f"+{percent(over)}", style=GOOD if over == 0 else "")


def _stage_bars(score: Score) -> Text:
    if len(score.stages) > _MOST_BARS:
        return Text(f"{len(score.stages)} stages")
    slowest = max(score.bottleneck_ns, 1)
    bars = (Text(bar(s.time_ns / slowest), style=SPILL if s.spilled_ops else GOOD) for s in score.stages)
    return Text("").join(bars)


def _why(answer: Answer) -> str:
    """Return the reason for which a strategy has no plan."""
    if answer.status is Status.INFEASIBLE:
        return f"there is no plan ({answer.proof})"
    return answer.note or str(answer.stopped_by)


def _unused(problem: Problem, answer: Answer, score: Score) -> Iterable[str]:
    if unused := problem.tpus - len(score.stages):
        why = ": more stages would not be faster" if answer.status is Status.OPTIMAL else ""
        yield f"{unused} of {problem.tpus} TPUs {'stays' if unused == 1 else 'stay'} unused{why}."


def streamed(nbytes: int) -> str:
    """Say how many bytes of weights stream."""
    return f"{size(nbytes)} of weights streamed" if nbytes else "no weights streamed"


def stage_bar(stage: StageScore, bottleneck_ns: int, replicas: int = 1) -> Text:
    """Return a bar of a stage's share of the bottleneck, red where its weights spill."""
    share = stage.time_ns / replicas / bottleneck_ns if bottleneck_ns else 0.0
    return Text(long_bar(share, _BAR_WIDTH), style=SPILL if stage.spilled_ops else GOOD)


def measured(stages: Iterable[tuple[str, StageScore]]) -> Iterator[str]:
    """Yield which stages took another time as a whole than their parts add up to, given the name of each."""
    if found := [f"{name[:1].lower()}{name[1:]}" for name, stage in stages if stage.correction_ns]:
        yield f"Measured as a whole, so that the time is not what its parts add up to: {names(found)}."


def spills(problem: Problem, stages: Iterable[tuple[str, Collection[int], StageScore]]) -> Iterator[RenderableType]:
    """Yield what streams because it does not fit, a line per stage, given the name and the operations of each."""
    spilling = [(name, ops, stage) for name, ops, stage in stages if stage.spilled_ops]
    if not spilling:
        return
    yield Text("Weights that do not fit are streamed at every inference:", style=SPILL)
    for name, ops, stage in spilling[:_MOST_SPILLS]:
        costly = most_costly(placements(problem, ops))
        layer, nbytes = costly[0], sum(placed.streamed_bytes for placed in costly)
        text = f"{name}: {size(nbytes)} in {ms(stage.stream_ns)} ms, room for {size(stage.capacity_bytes)}; "
        text += (
            f"most costly {short(problem.ops[layer.op].name)}, {size(layer.streamed_bytes)} in {ms(layer.cost_ns)} ms"
        )
        if others := len(costly) - 1:
            text += f", and {count(others, 'other layer')}"
        yield Padding(Text(text, style=SPILL), (0, 0, 0, 2), expand=False)
    if more := spilling[_MOST_SPILLS:]:
        nbytes = sum(stage.offchip_bytes for _, _, stage in more)
        yield Padding(
            Text(f"{count(len(more), 'more stage')}: {size(nbytes)}", style=SPILL), (0, 0, 0, 2), expand=False
        )
