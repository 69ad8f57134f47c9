"""Gathers what a plan's report shows: the plan folder, and the whole model and a measurement if they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from segsolve.comparison import Comparison, compare
from segsolve.cost.plan import check_pipeline, score_pipeline
from segsolve.cost.stage import placements, stage_score
from segsolve.device.model import load_device
from segsolve.device.ranges import Ranges
from segsolve.errors import DeviceError
from segsolve.graph.model import Graph
from segsolve.graph.read import check_model, read_graph
from segsolve.plan.model import Pipeline, Processor, Stage, pipeline_of
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.load import is_profile, planned_costs
from segsolve.profile.source import CostSource
from segsolve.report.plan_view import (
    Details,
    Layer,
    Move,
    PlanView,
    given,
    strategy_of,
    taken,
)
from segsolve.report.ranges import period_range
from segsolve.report.strategy import Part, PipelineView, StrategyView, make_strategy
from segsolve.search.strategies import HEURISTICS
from segsolve.solvers.base import Status
from segsolve_runtime.contract.files import is_file, is_there
from segsolve_runtime.contract.plan import Plan, PlanFolder, file_sha256, load_plan
from segsolve_runtime.observe.measurement import MEASUREMENT_FILE, load_measurement

OPTIMUM = "dp"
"""Finds the best single pipeline next to a plan that is not proven to be it."""
COPIES = "copies"
"""The strategy that gives every TPU the whole network."""


def plan_view(
    folder: Path, *, model: Path | None = None, device: str | None = None, measured: Path | None = None
) -> PlanView:
    """Read a plan folder and whatever belongs to it.

    The model is `model`, or a file of the plan's model's name and content beside the plan or in the current folder;
    `device` is the description or the profile that the plan was made with, if it is not in the catalogue.

    Raises:
        PlanError: the plan folder or the measurement cannot be used.
        ModelError: `model` cannot be read, or is not the plan's.
        DeviceError: `device` cannot be read, or was measured on another network.
    """
    checked = load_plan(folder)
    title, costs_of, missing = _device(checked.plan, device)
    details = None
    path = model or find_model(checked)
    if path is None:
        missing = f"the model {checked.plan.model.name} was found neither beside the plan nor in the current folder"
    elif costs_of is not None:
        details, missing = _details(checked.plan, path, costs_of)
    strategy = strategy_of(checked.plan)
    measurement_file = measured or checked.root / MEASUREMENT_FILE
    return PlanView(
        plan=checked.plan,
        strategy=strategy,
        takes=taken(checked.plan, strategy),
        gives=given(checked.plan, strategy),
        device_title=title,
        range_ns=period_range(_ranges(checked.plan, device), strategy.score),
        details=details,
        missing=missing,
        measurement=load_measurement(measurement_file, checked.plan)
        if measured or is_there(measurement_file)
        else None,
    )


def find_model(folder: PlanFolder, beside: Sequence[Path] = ()) -> Path | None:
    """Return the plan's model if a file of its content lies where it was, or under its name with the plan or here.

    It may also lie under its name in one of the folders `beside`.
    """
    wanted = folder.plan.model
    places = [folder.root / wanted.path] if wanted.path else []
    places += [place / wanted.name for place in (folder.root, folder.root.parent, *beside, Path.cwd())]
    for path in places:
        if is_file(path) and path.stat().st_size == wanted.bytes and file_sha256(path) == wanted.sha256:
            return path
    return None


def _device(plan: Plan, device: str | None) -> tuple[str, Callable[[Graph], CostSource] | None, str]:
    """Return the device's title and what makes costs on it; without the latter, why not."""
    name = device or plan.device.name
    try:
        title = f"{plan.device.name}, measured" if is_profile(name) else load_device(name).title
        title += ", the most memory for large images" if plan.device.optimistic else ""
        return title, planned_costs(plan.device, device), ""
    except DeviceError:
        if device is not None:
            raise
        return name, None, f"the device {name} is not in the catalogue; name its description or profile with --device"


def _ranges(plan: Plan, device: str | None) -> Ranges:
    """Return how far the times of a plan's device may be off; nothing if that is not known."""
    name = device or plan.device.name
    try:
        return () if is_profile(name) else load_device(name).ranges
    except DeviceError:
        return ()


def _details(plan: Plan, path: Path, costs_of: Callable[[Graph], CostSource]) -> tuple[Details | None, str]:
    graph = read_graph(path, plan.model.signature)
    check_model(graph, path, plan.model)
    asked, costs = plan.solution.question, costs_of(graph)
    problem = costs.problem(tpus=plan.solution.tpus_requested, no_spill=asked is not None and asked.no_spill)
    strategy = strategy_of(plan)
    if any(score_pipeline(problem, _pipeline(p)).stages != p.score.stages for p in strategy.pipelines):
        return None, (
            f"{plan.device.name} as it is known now does not predict what the plan's file says; solve again, or name "
            "the description or profile that the plan was made with: --device FILE"
        )
    comparison = _comparison(plan, problem)
    others = tuple(_others(comparison, strategy))
    return Details(
        layers=tuple(_layers(graph, problem)),
        others=others,
        failed={s.answer.planner: s.answer.note for s in comparison.strategies if s.score is None},
        one_tpu=comparison.one_tpu.stages[0],
        moves=tuple(move for p in strategy.pipelines if p.is_chain for move in _moves(problem, p)),
        fallbacks=costs.mapped.fallbacks if isinstance(costs, AnalyticCosts) else (),
        placed={stage.ops: placements(problem, stage.ops) for s in (strategy, *others) for stage in s.stages},
    ), ""


def _comparison(plan: Plan, problem: Problem) -> Comparison:
    found = compare(problem, strategies=(*HEURISTICS, OPTIMUM))
    is_rate = plan.solution.status == "optimal" and plan.solution.objective == "throughput"
    proven_ns = plan.solution.objective_ns if is_rate and not _streams(plan) else 0
    if any(s.score is not None and s.score.period_ns < proven_ns for s in found.strategies):
        # Proven the best, and yet beaten: the plan was made under the rule that nothing may stream.
        return compare(replace(problem, no_spill=True), strategies=(*HEURISTICS, OPTIMUM))
    return found


def _streams(plan: Plan) -> bool:
    return any(stage.prediction.spilled_ops for stage in plan.all_stages)


def _others(comparison: Comparison, own: StrategyView) -> Iterator[StrategyView]:
    problem = comparison.problem
    for strategy in comparison.strategies:
        found = strategy.answer
        if found.plan is not None:
            key = "optimum" if found.status is Status.OPTIMAL else found.planner
            yield make_strategy(key, [_parts(problem, found.plan.pipelines[0])], problem.shared)
    whole = pipeline_of([range(len(problem.ops))])
    copies = make_strategy(COPIES, [_parts(problem, whole)] * problem.tpus, problem.shared)
    # A plan without streaming may have been asked for as such; copies that stream are no answer to that.
    may_stream = copies.score.offchip_bytes == 0 or own.score.offchip_bytes > 0 or own.period_ns <= copies.period_ns
    if problem.tpus > 1 and copies.stages != own.stages and may_stream and not check_pipeline(problem, whole):
        yield copies


def _parts(problem: Problem, pipeline: Pipeline) -> list[Part]:
    return [
        (s.op_ranges, s.replicas, stage_score(problem, s.ops, s.processor), s.processor is Processor.CPU)
        for s in pipeline.stages
    ]


def _pipeline(view: PipelineView) -> Pipeline:
    return Pipeline(
        stages=tuple(
            Stage(
                ops=tuple(sorted(s.ops)),
                replicas=s.replicas,
                processor=Processor.CPU if s.is_cpu else Processor.EDGETPU,
            )
            for s in view.stages
        )
    )


def _layers(graph: Graph, problem: Problem) -> Iterable[Layer]:
    for op, cost in zip(graph.ops, problem.ops, strict=True):
        yield Layer(
            position=op.position,
            file_index=op.file_index,
            kind=op.kind,
            name=op.name,
            shape=graph.tensors[op.outputs[0]].shape if op.outputs else (),
            macs=op.macs,
            weight_bytes=cost.weight_bytes,
            compute_ns=cost.compute_ns,
            streamed_ns=cost.streamed_ns,
            cpu_ns=cost.cpu_ns,
        )


def _moves(problem: Problem, pipeline: PipelineView) -> Iterator[Move]:
    """Yield what the neighbours of the slowest stage would need if they took one legal step of its operations."""
    slow = pipeline.slowest
    cuts = [c for c in problem.cuts if slow.first < c < slow.end]
    if not cuts:
        return
    for before, after in pairwise(pipeline.stages):
        if after is slow:
            taken_over = stage_score(problem, range(before.first, cuts[0]))
            yield Move(first=slow.first, last=cuts[0] - 1, neighbour=before.number, time_ns=taken_over.time_ns)
        if before is slow:
            taken_over = stage_score(problem, range(cuts[-1], after.end))
            yield Move(first=cuts[-1], last=slow.end - 1, neighbour=after.number, time_ns=taken_over.time_ns)
