"""The profile that a run of a plan gives: the costs that the plan was made with, corrected by what its stages took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from statistics import median

from segsolve.cost.plan import score_plan
from segsolve.cost.stage import stage_score
from segsolve.graph.model import Graph
from segsolve.plan.model import plan_of
from segsolve.problem import Problem
from segsolve.profile.format import Device, Edge, Environment, Host, Layer, Model, Profile, Segment, Statistics
from segsolve.profile.measured import MeasuredCosts
from segsolve.question import Cuts, Question
from segsolve.search.ask import answer
from segsolve_runtime.contract.plan import Plan as PlanFile
from segsolve_runtime.contract.plan import Stage as PlanStage
from segsolve_runtime.flow.metrics import Metrics, StageMetrics
from segsolve_runtime.measure.bundle import SegmentTimes

PLANNER = "dp"
_ON_HOST = frozenset({"litert"})
"""Backends whose stages have the host's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnKind:
    """Which stages of a plan, by number, ran on one kind of a pool's devices, and which of them shared theirs."""

    device: str
    stages: frozenset[int]
    shared: frozenset[int]


def profile_of_run(
    graph: Graph, problem: Problem, plan: PlanFile, metrics: Metrics, backend: str, on: OnKind | None = None
) -> Profile:
    """Return a profile with the plan's measured stages, and the ratio to their predictions as scale for all others.

    `problem` has the costs that the plan was made with, of a pool on the kind that the profile is to be `on`. Stages of
    several ranges of operations only give the ratio, as do those that shared a device, and its memory. On `litert` the
    host's memory holds all weights, so that nothing streams: its profile has neither a limit of memory nor a cost of
    streaming, and the ratio is that to predictions without it.
    """
    ran = [
        (number, stage, done)
        for number, (stage, done) in enumerate(zip(plan.all_stages, metrics.stages, strict=True))
        if done.inferences and (on is None or number in on.stages)
    ]
    on_host = backend in _ON_HOST
    measured_ns = sum(done.time_p50_ns for _, _, done in ran)
    predicted_ns = sum(stage.prediction.time_ns - (stage.prediction.stream_ns if on_host else 0) for _, stage, _ in ran)
    scale = measured_ns / predicted_ns if measured_ns > 0 and predicted_ns > 0 else 1.0
    own = [(stage, done) for number, stage, done in ran if on is None or number not in on.shared]
    return Profile(
        model=Model(name=graph.name, sha256=graph.sha256),
        device=Device(
            name=f"{on.device if on else plan.device.name} on {backend}",
            memory_bytes=None if on_host else problem.capacity_bytes,
            overhead_ns=problem.overhead_ns,
            host=None if on_host else _host(problem),
        ),
        scale=min(1e6, max(1e-6, round(scale, 6))),
        layers=[_layer(problem, position, on_host=on_host) for position in range(len(problem.ops))],
        edges=list(_edges(problem)),
        segments=_segments(problem, own),
        environment=Environment(date=datetime.now(UTC).date().isoformat(), backend=backend, clock="wall, median"),
        notes=f"stages of a run of {metrics.count} inferences; all else as predicted, times the scale",
    )


def profile_of_stages(
    graph: Graph, problem: Problem, device: str, times: Mapping[tuple[int, int], SegmentTimes], environment: Environment
) -> Profile:
    """Return a profile with measured ranges of operations (half-open), and their ratio to the predictions as scale.

    `problem` has the predicted costs, or those of an earlier profile.
    """
    model = replace(problem, measured=())
    ratios = [
        each.median_ns / predicted
        for stage, each in times.items()
        if (predicted := stage_score(model, range(*stage)).time_ns)
    ]
    measured = {
        (m.first, m.end): Segment(first_op=m.first, last_op=m.end - 1, time_ns=m.time_ns) for m in problem.measured
    }
    measured |= {
        (first, end): Segment(
            first_op=first,
            last_op=end - 1,
            time_ns=each.median_ns,
            statistics=Statistics(runs=each.runs, median_ns=each.median_ns, spread_ns=each.upper_ns - each.lower_ns),
        )
        for (first, end), each in times.items()
    }
    return Profile(
        model=Model(name=graph.name, sha256=graph.sha256),
        device=Device(
            name=device,
            memory_bytes=problem.capacity_bytes,
            overhead_ns=problem.overhead_ns,
            host=_host(problem),
        ),
        scale=min(1e6, max(1e-6, round(median(ratios or [1.0]), 6))),
        layers=[_layer(problem, position, on_host=False) for position in range(len(problem.ops))],
        edges=list(_edges(problem)),
        segments=[segment for _, segment in sorted(measured.items())],
        environment=environment,
        notes=f"{len(times)} segments measured; all else as predicted, times the scale",
    )


def _host(problem: Problem) -> Host | None:
    return Host(**asdict(problem.host)) if problem.host else None


def better_plan(profile: Profile, graph: Graph, plan: PlanFile) -> tuple[int, int] | None:
    """Return the times per inference in ns of a plan and of the best layout under a profile, or None if it stays that.

    Layouts of stages of one range of operations each, which are found at once. None too for plans that were not made
    for throughput.
    """
    if plan.solution.objective != "throughput":
        return None
    problem = MeasuredCosts(profile=profile, graph=graph).problem(tpus=plan.solution.tpus_requested)
    best = answer(problem, Question(cuts=Cuts.CHAIN), planner=PLANNER).score
    now = score_plan(problem, plan_of(plan))
    return (now.period_ns, best.period_ns) if best is not None and best.rate > now.rate else None


def _layer(problem: Problem, position: int, *, on_host: bool) -> Layer:
    op = problem.ops[position]
    return Layer(
        name=op.name,
        time_ns=op.compute_ns,
        param_bytes=op.parameter_bytes,
        stored_bytes=op.weight_bytes,
        streamed_time_ns=op.compute_ns if on_host else op.streamed_ns,
        cacheable=on_host or op.cacheable,
        cache_rank=op.cache_rank,
        scratch_bytes=op.scratch_bytes,
        with_previous=position > 0 and position not in problem.cuts,
    )


def _edges(problem: Problem) -> Iterator[Edge]:
    for transfer in problem.transfers:
        ends = [problem.ops[consumer].name for consumer in transfer.consumers]
        for to in [*ends, *([None] if transfer.is_output else [])]:
            yield Edge(
                source=problem.ops[transfer.producer].name if transfer.producer >= 0 else None,
                to=to,
                tensor=transfer.name,
                bytes=transfer.nbytes,
                time_ns=transfer.input_ns,
                output_ns=transfer.output_ns,
                scratch_bytes=transfer.scratch_bytes,
            )


def _segments(problem: Problem, ran: Sequence[tuple[PlanStage, StageMetrics]]) -> list[Segment]:
    """Return the measured ranges, those measured earlier too; of one that several pipelines have, the mean."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for stage, done in ran:
        if len(stage.op_ranges) == 1:
            found.setdefault((stage.first_op, stage.last_op), []).append((done.time_p50_ns, done.inferences))
    before = {
        (m.first, m.end - 1): Segment(first_op=m.first, last_op=m.end - 1, time_ns=m.time_ns) for m in problem.measured
    }
    now = {
        (first, last): Segment(
            first_op=first,
            last_op=last,
            time_ns=_mean([ns for ns, _ in times]),
            statistics=Statistics(
                runs=sum(runs for _, runs in times), median_ns=_mean([ns for ns, _ in times]), spread_ns=0
            ),
        )
        for (first, last), times in found.items()
    }
    return [segment for _, segment in sorted((before | now).items())]


def _mean(values: Sequence[int]) -> int:
    return round(sum(values) / len(values))
