"""An answer as a table for the terminal and as a JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.plan import PlanScore, Score
from segsolve.cost.stage import StageScore
from segsolve.device.ranges import Ranges
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import Problem
from segsolve.question import Constraints, Layout, Objective, Question
from segsolve.report.documents import Document, search_document, stage_document
from segsolve.report.front import Point, plot_text
from segsolve.report.grid import Grid
from segsolve.report.ranges import period_range, range_document
from segsolve.report.start import first_result_of, first_result_words
from segsolve.report.table import SPILL, measured, spills, stage_bar, streamed
from segsolve.report.units import count, fps, mib, ms, names, sentence, spans
from segsolve.search.answer import EVALUATOR, IF_NOT_SHARED, Answer
from segsolve.search.attainable import Attainable
from segsolve.search.contradiction import Contradiction
from segsolve.search.front import spread
from segsolve.solvers.base import Status, Stop
from segsolve.values import SHOWN_POINTS
from segsolve_runtime.contract.document import members
from segsolve_runtime.contract.start import Start
from segsolve_runtime.contract.wording import percent

_LEAST_PLOTTED = 4
_UNITS = "predicted time per inference in ms, weights in MiB"


def answer_document(problem: Problem, answer: Answer, ranges: Ranges = (), start: Start | None = None) -> Document:
    """Return an answer with its pipelines; times are predicted, in ns unless the name says otherwise.

    `stages` are those of all pipelines, one after the other, `pipelines` the same in their groups; `ranges` are how far
    the device's times may be off, `start` is what a device takes before its first result.
    """
    plan, score = answer.plan, answer.score
    pipelines = pipelines_document(problem, plan, score) if plan and score else []
    first = first_result_of(plan, score, start) if plan and score else None
    return {
        **members(answer, "status", "planner"),
        "objective": answer.question.objective,
        **members(plan, "layout"),
        **search_document(answer),
        "best_over": answer.best_over,
        "cuts_searched": answer.cuts,
        "tpus": problem.tpus,
        "tpus_used": plan.tpus if plan else None,
        **members(score, "throughput_fps"),
        **range_document(period_range(ranges, score) if score else None),
        **members(score, "latency_ns"),
        "first_result": members(first, "total_ns", "open_ns", "load_ns", "latency_ns", "swap_ns") if first else None,
        "batch": answer.question.batch,
        "batch_ns": score.batch_ns(answer.question.batch) if score else None,
        **members(score, "offchip_bytes"),
        "link_load": float(score.needed["link"]) if score and problem.link else None,
        "host_load": float(score.needed["host"]) if score and problem.host else None,
        **members(score, "limited_by"),
        **members(plan, "cuts"),
        "stages": [stage for pipeline in pipelines for stage in pipeline["stages"]],
        "pipelines": pipelines,
        **(
            {"points": [_point(problem, point.plan, point.score, ranges) for point in answer.points]}
            if answer.points
            else {}
        ),
        **({"point": answer.point} if answer.point is not None else {}),
    }


def answer_table(
    problem: Problem,
    answer: Answer,
    device: str,
    points: int = SHOWN_POINTS,
    ranges: Ranges = (),
    start: Start | None = None,
) -> RenderableType:
    """Return the stages of a plan, pipelines that are alike once, and what is known of its quality.

    Of a front, `points` are listed.
    """
    assert answer.plan is not None
    assert answer.score is not None
    shown: list[RenderableType] = []
    if answer.points:
        shown += _front(problem, answer, device, points)
    alike = Counter(answer.plan.pipelines)
    scores = dict(zip(answer.plan.pipelines, answer.score.pipelines, strict=True))
    stages = []
    for number, (pipeline, copies) in enumerate(alike.items()):
        title = f"{problem.name} on {device}: {_UNITS}"
        if len(answer.plan.pipelines) > 1:
            if number == 0:
                shown.append(Text(f"{problem.name} on {answer.plan.tpus} x {device}", style="bold"))
            title = f"{_which(number, copies, len(alike))} of {count(pipeline.tpus, 'TPU')}: {_UNITS}"
        shown.append(_stages_table(title, pipeline, scores[pipeline]))
        where = f"{_which(number, 1, len(alike))}, stage" if len(alike) > 1 else "Stage"
        costs = scores[pipeline].stages
        stages += [
            (f"{where} {k}", s.ops, cost) for k, (s, cost) in enumerate(zip(pipeline.stages, costs, strict=True))
        ]
    shown += spills(problem, stages)
    verdict = [*measured((name, cost) for name, _, cost in stages)]
    verdict += _verdict(problem, answer, answer.plan, answer.score, ranges)
    if (first := first_result_of(answer.plan, answer.score, start)) is not None:
        verdict.append(first_result_words(first))
    return Group(*shown, *map(Text, verdict))


def instead(found: Attainable, asked: Question) -> str:
    """Say what can be had in place of a constraint that no plan is known to keep."""
    score, plan = found.answer.score, found.answer.plan
    assert score is not None and plan is not None
    others = "" if len(asked.constraints.values) == 1 else " with the other constraints"
    others += "" if found.answer.status is Status.OPTIMAL else " that is known"
    if found.key == "max_latency_ns":
        return f"the least latency{others} is {ms(score.latency_ns)} ms, layout {plan.layout}"
    return f"the most{others} is {fps(score.throughput_fps)} inferences per second, layout {plan.layout}"


def contradicting(found: Contradiction) -> str:
    """Say which constraints no plan keeps together."""
    said = [f"{part.option.flag} ({', '.join(part.words)})" for part in found.constraints]
    said += ["--no-spill"] if found.no_spill else []
    if len(said) == 1:
        return f"{said[0]} alone allows no plan"
    perhaps = "" if found.is_smallest else ", or perhaps fewer of them"
    return f"no plan keeps {', '.join(said[:-1])} and {said[-1]} together{perhaps}: leave out one"


def _which(number: int, copies: int, kinds: int) -> str:
    name = f"Pipeline {chr(ord('A') + number)}" if kinds > 1 else "Pipeline"
    return f"{name}, {copies} copies" if copies > 1 else name


def _stages_table(title: str, pipeline: Pipeline, score: Score) -> Grid:
    is_replicated = any(stage.replicas > 1 for stage in pipeline.stages)
    has_cpu = any(stage.processor is Processor.CPU for stage in pipeline.stages)
    columns = ("stage", "operations", *(("on",) if has_cpu else ()), *(("TPUs",) if is_replicated else ()), "", "time")
    table = Grid(
        title,
        *(*columns, "compute", "stream", "in", "out", "on chip", "off chip"),
        left=("", "operations", "on"),
        optional=("", "out", "in"),
    )
    for k, (stage, cost) in enumerate(zip(pipeline.stages, score.stages, strict=True)):
        table.add_row(
            str(k),
            spans(stage.op_ranges),
            *(("CPU" if stage.processor is Processor.CPU else "TPU",) if has_cpu else ()),
            *((str(stage.replicas),) if is_replicated else ()),
            stage_bar(cost, score.bottleneck_ns, stage.replicas),
            *map(ms, (cost.time_ns, cost.compute_ns, cost.stream_ns, cost.input_ns, cost.output_ns)),
            mib(cost.onchip_bytes),
            Text(mib(cost.offchip_bytes), style=SPILL if cost.offchip_bytes else ""),
        )
    return table


def front_points(answer: Answer) -> list[Point]:
    """Return the points of a front as a plot takes them."""
    return [
        Point(
            number=k,
            tpus=point.plan.tpus,
            layout=point.plan.layout,
            fps=point.score.throughput_fps,
            latency_ns=point.score.latency_ns,
            is_chosen=point.plan == answer.plan,
        )
        for k, point in enumerate(answer.points, start=1)
    ]


def _front(problem: Problem, answer: Answer, device: str, most: int) -> Iterable[RenderableType]:
    """Yield the front as a table, with a plot where it has points enough for one."""
    chosen = [k for k, point in enumerate(answer.points) if point.plan == answer.plan]
    shown = spread(answer.points, most, chosen)
    yield _points_table(problem, answer, device, shown, chosen)
    if left := len(answer.points) - len(shown):
        yield Text(f"{len(shown)} of {len(answer.points)} points, {left} more lie between them: --points, --json.")
    yield Text("`>` marks the plan below; --pick N takes another.\n")
    if len(answer.points) >= _LEAST_PLOTTED:
        yield plot_text(front_points(answer))
        yield Text("")


def _points_table(problem: Problem, answer: Answer, device: str, shown: Sequence[int], chosen: Sequence[int]) -> Grid:
    table = Grid(
        f"{problem.name} on up to {problem.tpus} x {device}: no plan betters one of these in all three (predicted)",
        *("point", "TPUs", "layout", "fps", "ms per inference", "latency ms"),
        left=("layout",),
    )
    for k in shown:
        point, score = answer.points[k], answer.points[k].score
        table.add_row(
            f"{'>' if k in chosen else ' '} {k + 1}",
            str(point.plan.tpus),
            point.plan.layout,
            fps(score.throughput_fps),
            ms(score.period_ns),
            ms(score.latency_ns),
        )
    return table


def _verdict(problem: Problem, answer: Answer, plan: Plan, score: PlanScore, ranges: Ranges) -> Iterable[str]:
    """Say what the plan does, why it is the best, and what is unusual."""
    found = period_range(ranges, score)
    within = f" ({ms(found[0])} to {ms(found[1])})" if found else ""
    is_front = answer.question.objective is Objective.PARETO
    head = f"Point {answer.point}" if answer.point else "Most throughput" if is_front else f"Layout {plan.layout}"
    yield (
        f"{head}: {ms(score.period_ns)} ms per inference{within}, {fps(score.throughput_fps)} inferences per second, "
        f"latency {ms(score.latency_ns)} ms, {streamed(score.offchip_bytes)} per inference (predicted)."
    )
    yield from on_host(problem, score)
    if problem.overhead_ns:
        yield f"Each stage's time includes a fixed {ms(problem.overhead_ns)} ms per inference."
    if answer.question.objective is Objective.BATCH:
        yield f"A batch of {answer.question.batch} takes {ms(score.batch_ns(answer.question.batch))} ms."
    yield from quality(answer)
    yield from unused(problem, answer, plan)
    notes = answer.note.split("; ") if answer.note else []
    if note := "; ".join(part for part in notes if not (score.limited_by and IF_NOT_SHARED in part)):
        yield f"{note[0].upper()}{note[1:].rstrip('.')}."


def on_host(problem: Problem, score: PlanScore) -> Iterable[str]:
    """Say that what all pipelines share limits them, and what an inference takes of the host if that is much."""
    host, found = problem.host, {"link": "the link that all TPUs share", "host": "the host that feeds all TPUs"}
    for name, needed in score.needed.items():
        if needed == 1:
            yield f"{sentence(found[name])} has nothing left at this rate."
    for name in score.limited_by:
        yield (
            f"{sentence(found[name])} limits the rate: it has {percent(1 / float(score.needed[name]))} of what the "
            f"TPUs could use at {fps(float(score.full_rate * 10**9))} inferences per second."
        )
    if host is None:
        return
    if "host" in score.limited_by:
        parts = {"drive a stage": host.serial_ns, "hand over its inputs and outputs": host.frame_ns}
        takes = [f"{ms(ns)} ms to {what}" for what, ns in parts.items() if ms(ns) != ms(0)]
        if takes:
            yield f"An inference takes the host {' and '.join(takes)} (predicted)."
    busy = f"{float(score.rate * host.work_ns):.1f}"
    if busy != "0.0":
        yield (
            f"Operations that no TPU does take {ms(host.work_ns)} ms of a core per inference: {busy} of the host's "
            f"{count(host.cores, 'core')} at this rate (predicted; --host-cores)."
        )


def quality(answer: Answer) -> Iterable[str]:
    """Say how good the plan is, who found it and who confirmed what."""
    made = f"found by {_who(answer.found_by)} in {answer.wall_s:.2f} s"
    others = [c for c in answer.confirmed_by if c.by != EVALUATOR]
    if answer.status is Status.OPTIMAL:
        what = "All trade-offs are there" if answer.points else "Proven optimal"
        yield f"{what}: {made}, confirmed by {names([_who(c.by) for c in answer.confirmed_by])}."
    elif answer.points:
        yield f"Not proven to be all: {made}."
    else:
        stopped = "" if answer.stopped_by is Stop.FINISHED else f", stopped by {answer.stopped_by}"
        over = f"Best over the {answer.best_over}, not proven optimal" if answer.best_over else "Not proven optimal"
        yield f"{over} ({made}{stopped}): {_distance(answer)}."
    yield from (f"{sentence(_who(c.by))}: {c.claim} ({c.strength})." for c in others)


def _who(name: str) -> str:
    """Return what found or confirmed something as it is called in a sentence."""
    return {"cp-sat": "CP-SAT", "highs": "HiGHS"}.get(name, name)


def _distance(answer: Answer) -> str:
    """Say how far from the best a plan can be at most."""
    if not answer.bound:
        return "no bound is known"
    if answer.question.objective is Objective.DEVICES:
        return f"fewer than {count(int(answer.bound), 'TPU')} do not do"
    return f"the bound is {ms(answer.bound_ns)} ms, the gap at most {percent(answer.gap or 0.0)}"


def unused(problem: Problem, answer: Answer, plan: Plan) -> Iterable[str]:
    """Say that TPUs stay idle, which the fewest devices are asked for to do."""
    idle = problem.tpus - plan.tpus
    if idle <= 0 or answer.point is not None or answer.question.objective is Objective.DEVICES:
        return
    why = "more stages do not help" if answer.question.layout is Layout.PIPELINE else "no layout gains from more"
    if answer.question.constraints != Constraints() or problem.no_spill:
        why += " within the constraints"
    if answer.status is not Status.OPTIMAL:
        why = "no better use of more was found"
    yield f"Uses {plan.tpus} of {count(problem.tpus, 'TPU')}: {why}."


def pipelines_document(problem: Problem, plan: Plan, score: PlanScore) -> list[Document]:
    """Return the pipelines of a plan with their stages; times are predicted, in ns."""
    return [
        {
            "tpus": pipeline.tpus,
            **members(costs, "bottleneck_ns", "latency_ns", "link_ns", "host_ns"),
            "stages": [
                _stage(problem, p, stage, cost) for stage, cost in zip(pipeline.stages, costs.stages, strict=True)
            ],
        }
        for p, (pipeline, costs) in enumerate(zip(plan.pipelines, score.pipelines, strict=True))
    ]


def _stage(problem: Problem, pipeline: int, stage: Stage, cost: StageScore) -> Document:
    return {
        "pipeline": pipeline,
        "first_op": stage.ops[0],
        "last_op": stage.ops[-1],
        **members(stage, "op_ranges", "replicas", "processor"),
        **stage_document(problem, cost),
    }


def _point(problem: Problem, plan: Plan, score: PlanScore, ranges: Ranges) -> Document:
    return {
        **members(plan, "tpus", "layout"),
        **members(score, "throughput_fps", "period_ns", "latency_ns"),
        **range_document(period_range(ranges, score)),
        "pipelines": pipelines_document(problem, plan, score),
    }
