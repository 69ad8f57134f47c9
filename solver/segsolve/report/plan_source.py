"""Gathers what a plan's report shows: the plan folder, and the whole model and a measurement if they are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from segsolve.compare import Comparison, compare
from segsolve.device.model import load_device
from segsolve.errors import DeviceError, ModelError
from segsolve.evaluate import score, stage_score
from segsolve.graph.model import Graph
from segsolve.graph.read import read_graph
from segsolve.planners.base import Status
from segsolve.planners.registry import HEURISTICS
from segsolve.problem import Problem, Segmentation
from segsolve.profile.load import device_costs, is_profile
from segsolve.profile.source import CostSource
from segsolve.report.plan_view import (
    Details,
    Layer,
    Move,
    PlanView,
    StageView,
    StrategyView,
    given,
    is_chain,
    strategy_of,
    taken,
)
from segsolve_runtime.measurement import MEASUREMENT_FILE, load_measurement
from segsolve_runtime.plan import Plan, PlanFolder, file_sha256, load_plan

OPTIMUM = "dp"
"""Finds the optimum next to a plan that is not proven to be one."""


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
    elif not is_chain(checked.plan):
        missing = f"they compare ways to cut one chain of TPUs, and this plan is {checked.plan.solution.layout}"
    elif costs_of is not None:
        details, missing = _details(checked.plan, path, costs_of)
    measurement_file = measured or checked.root / MEASUREMENT_FILE
    return PlanView(
        plan=checked.plan,
        strategy=strategy_of(checked.plan),
        takes=taken(checked.plan),
        gives=given(checked.plan),
        device_title=title,
        details=details,
        missing=missing,
        measurement=load_measurement(measurement_file, checked.plan) if measured or measurement_file.exists() else None,
    )


def find_model(folder: PlanFolder) -> Path | None:
    """Return the plan's model if a file of its name and content lies in the plan's folder, beside it or here."""
    wanted = folder.plan.model
    for place in (folder.root, folder.root.parent, Path.cwd()):
        path = place / wanted.name
        if path.is_file() and path.stat().st_size == wanted.bytes and file_sha256(path) == wanted.sha256:
            return path
    return None


def check_model(plan: Plan, graph: Graph, path: Path) -> None:
    """Raise a ModelError if the network of the file `path` is not the one that a plan was made from."""
    if graph.sha256 != plan.model.sha256:
        raise ModelError(f"{path} is not the model that the plan was made from", f"the plan's is {plan.model.name}")


def _device(plan: Plan, device: str | None) -> tuple[str, Callable[[Graph], CostSource] | None, str]:
    """Return the device's title and what makes costs on it; without the latter, why not."""
    name = device or plan.device.name
    try:
        title = f"{plan.device.name}, measured" if is_profile(name) else load_device(name).title
        return title, device_costs(name, plan.device.memory_bytes), ""
    except DeviceError:
        if device is not None:
            raise
        return name, None, f"the device {name} is not in the catalogue; name its description or profile with --device"


def _details(plan: Plan, path: Path, costs_of: Callable[[Graph], CostSource]) -> tuple[Details | None, str]:
    graph = read_graph(path)
    check_model(plan, graph, path)
    problem = costs_of(graph).problem(tpus=plan.solution.tpus_requested)
    cuts = Segmentation(cuts=tuple(stage.first_op for stage in plan.all_stages[1:]))
    if score(problem, cuts) != strategy_of(plan).score:
        return None, (
            f"{plan.device.name} as it is known now does not predict what the plan's file says; solve again, or name "
            "the description or profile that the plan was made with: --device FILE"
        )
    comparison = _comparison(plan, problem)
    return Details(
        layers=tuple(_layers(graph, problem)),
        others=tuple(_others(comparison)),
        failed={s.result.planner: s.result.note for s in comparison.strategies if s.score is None},
        one_tpu=comparison.one_tpu.stages[0],
        moves=tuple(_moves(problem, cuts)),
    ), ""


def _comparison(plan: Plan, problem: Problem) -> Comparison:
    found = compare(problem, strategies=(*HEURISTICS, OPTIMUM))
    proven_ns = plan.solution.objective_ns if plan.solution.status == "optimal" else 0
    if any(s.score is not None and s.score.bottleneck_ns < proven_ns for s in found.strategies):
        # Proven the best, and yet beaten: the plan was made under the rule that nothing may stream.
        return compare(replace(problem, no_spill=True), strategies=(*HEURISTICS, OPTIMUM))
    return found


def _others(comparison: Comparison) -> Iterator[StrategyView]:
    operations = len(comparison.problem.ops)
    for strategy in comparison.strategies:
        result = strategy.result
        if result.plan is not None and strategy.score is not None:
            ranges = zip(result.plan.ranges(operations), strategy.score.stages, strict=True)
            stages = (StageView(number=k, first=a, end=b, score=s) for k, ((a, b), s) in enumerate(ranges))
            yield StrategyView(
                key="optimum" if result.status is Status.OPTIMAL else result.planner, stages=tuple(stages)
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
        )


def _moves(problem: Problem, plan: Segmentation) -> Iterator[Move]:
    """Yield what the neighbours of the slowest stage would need if they took one legal step of its operations."""
    ranges = plan.ranges(len(problem.ops))
    times = [stage.time_ns for stage in score(problem, plan).stages]
    k = times.index(max(times))
    first, end = ranges[k]
    if k > 0 and (later := [c for c in problem.cuts if first < c < end]):
        taken_over = stage_score(problem, range(ranges[k - 1][0], later[0]))
        yield Move(first=first, last=later[0] - 1, neighbour=k - 1, time_ns=taken_over.time_ns)
    if k + 1 < len(ranges) and (earlier := [c for c in problem.cuts if first < c < end]):
        taken_over = stage_score(problem, range(earlier[-1], ranges[k + 1][1]))
        yield Move(first=earlier[-1], last=end - 1, neighbour=k + 1, time_ns=taken_over.time_ns)
