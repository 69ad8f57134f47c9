"""The plan itself: that it is the certificate's, that it is valid, and that it costs what it claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import PurePath

from segsolve.checker.costs import PipelineCost, StageCost, batch_ns, pipeline_cost, rate, stage_cost
from segsolve.checker.document import Certificate, Constraints, Problem
from segsolve.checker.failure import CertificateFault
from segsolve_runtime.contract.plan import Plan, PlanPipeline, Stage


@dataclass(frozen=True, slots=True)
class Priced:
    """A plan with the checker's own prices, stage by stage, by pipeline."""

    plan: Plan
    stages: tuple[tuple[StageCost, ...], ...]
    pipelines: tuple[PipelineCost, ...]

    @property
    def tpus(self) -> int:
        """The devices that it occupies."""
        return sum(stage.replicas for stage in self.plan.all_stages)

    @property
    def latency_ns(self) -> int:
        """The time of one inference through the slowest pipeline."""
        return max(pipeline.latency_ns for pipeline in self.pipelines)


def check_belongs(plan: Plan, certificate: Certificate) -> None:
    """Check that a certificate is about a plan.

    Raises:
        CertificateFault: it is about another.
    """
    problem, solution = certificate.problem, plan.solution
    pairs = [
        ("operations", len(problem.ops), plan.model.operations),
        ("TPUs", problem.tpus, solution.tpus_requested),
        ("the model", problem.name, PurePath(plan.model.name).stem),
        ("the objective", certificate.question.objective, solution.objective),
        ("ns per MiB on the link", problem.link.ns_per_mib if problem.link else None, plan.device.link_ns_per_mib),
    ]
    for what, ours, theirs in pairs:
        if ours != theirs:
            raise CertificateFault(f"it belongs to another plan: {what}: {ours} in the certificate, {theirs} here")
    if problem.capacity_bytes > plan.device.memory_bytes:
        raise CertificateFault("it belongs to another plan: its devices have more memory than the plan's")


def priced(plan: Plan, problem: Problem) -> Priced:
    """Return a plan with its prices; equal stages are priced once."""
    known: dict[tuple[int, ...], StageCost] = {}
    stages: list[tuple[StageCost, ...]] = []
    for pipeline in plan.pipelines:
        for stage in pipeline.stages:
            if stage.ops not in known:
                known[stage.ops] = stage_cost(problem, stage.ops)
        stages.append(tuple(known[stage.ops] for stage in pipeline.stages))
    costs = (
        pipeline_cost(problem, [(cost, stage.replicas) for cost, stage in zip(own, pipeline.stages, strict=True)])
        for own, pipeline in zip(stages, plan.pipelines, strict=True)
    )
    return Priced(plan, tuple(stages), tuple(costs))


def check_valid(found: Priced, certificate: Certificate) -> None:
    """Check that a plan is one for the certificate's problem and question.

    Raises:
        CertificateFault: it is not.
    """
    problem, question, plan = certificate.problem, certificate.question, found.plan
    _need(found.tpus <= problem.tpus, f"the plan needs {found.tpus} TPUs, there are {problem.tpus}")
    _need(question.layout == "any" or len(plan.pipelines) == 1, "the plan has more than the one pipeline allowed")
    for number, pipeline in enumerate(plan.pipelines):
        where = f"pipeline {number}: " if len(plan.pipelines) > 1 else ""
        wrong = (*_faults(pipeline, found.stages[number], certificate), *_broken(pipeline, question.constraints))
        _need(not wrong, where + (wrong[0] if wrong else ""))
    limit, least = question.constraints.max_latency_ns, question.constraints.min_fps
    _need(limit is None or found.latency_ns <= limit, f"its latency is {found.latency_ns} ns, {limit} are allowed")
    _need(least is None or rate(found.pipelines) * 10**9 >= Fraction(least), f"it makes less than {least} fps")


def check_costs(found: Priced, certificate: Certificate) -> str:
    """Check every figure of a plan that follows from its costs, and the certificate's value; return what it is worth.

    Raises:
        CertificateFault: a figure is another.
    """
    for number, (pipeline, costs) in enumerate(zip(found.plan.pipelines, found.stages, strict=True)):
        for k, (stage, cost) in enumerate(zip(pipeline.stages, costs, strict=True)):
            for field in fields(cost):
                said, ours = getattr(stage.prediction, field.name), getattr(cost, field.name)
                ours = list(ours) if isinstance(ours, tuple) else ours
                _need(said == ours, f"stage {k} of pipeline {number}: {field.name} is {ours}, the plan says {said}")
    value = _value(found, certificate)
    _need(value == Fraction(*certificate.value), f"the plan has a value of {value}, its certificate says another")
    for name, said, ours in _figures(found, certificate, value):
        _need(said == ours, f"{name} is {ours}, the plan says {said}")
    return _worth(found)


def _faults(pipeline: PlanPipeline, costs: Sequence[StageCost], certificate: Certificate) -> Iterator[str]:
    """Yield what makes a pipeline none of the problem."""
    problem, stages = certificate.problem, pipeline.stages
    held = sorted(op for stage in stages for op in stage.ops)
    if held != list(range(len(problem.ops))):
        yield "the stages do not hold every operation exactly once"
        return
    at = _stage_numbers(stages)
    for tensor in problem.transfers:
        if tensor.producer >= 0 and any(at[reader] < at[tensor.producer] for reader in tensor.consumers):
            yield f"tensor {tensor.name!r} is read in an earlier stage than the one that makes it"
    legal = set(problem.cuts)
    torn = [op for op in range(1, len(at)) if op not in legal and at[op] != at[op - 1]]
    yield from (f"operations {op - 1} and {op} cannot be in different stages" for op in torn)
    for k, (stage, cost) in enumerate(zip(stages, costs, strict=True)):
        if stage.processor != "edgetpu" or any(not problem.ops[op].on_accelerator for op in stage.ops):
            yield f"stage {k} does not run on an Edge TPU, which the certificate says nothing about"
        if stage.replicas > 1 and not certificate.replicate:
            yield f"stage {k} has replicas, which were not allowed"
        if problem.no_spill and cost.spilled_ops:
            yield f"stage {k} cannot hold the weights of operation {cost.spilled_ops[0]}"


def _broken(pipeline: PlanPipeline, asked: Constraints) -> Iterator[str]:
    """Yield which constraints a pipeline breaks."""
    at = _stage_numbers(pipeline.stages)
    order = [at[op] for op in sorted(at)]
    if asked.max_stages is not None and len(pipeline.stages) > asked.max_stages:
        yield f"it has {len(pipeline.stages)} stages, at most {asked.max_stages} are allowed"
    for op in asked.cut_before:
        if op and max(order[:op]) >= min(order[op:]):
            yield f"no stage begins at operation {op}"
    for op in asked.no_cut_before:
        if op and order[op] != order[op - 1]:
            yield f"operation {op} is in another stage than the one before it"
    for group in asked.keep_together:
        if len({at[op] for op in group}) > 1:
            yield f"operations {group} are in different stages"
    for op, wanted in asked.pins:
        if at[op] != wanted:
            yield f"operation {op} is in stage {at[op]}, not {wanted}"


def _stage_numbers(stages: Sequence[Stage]) -> dict[int, int]:
    return {op: k for k, stage in enumerate(stages) for op in stage.ops}


def _value(found: Priced, certificate: Certificate) -> Fraction:
    """Return what a plan is worth, in the objective's unit."""
    match certificate.question.objective:
        case "throughput":
            return 1 / rate(found.pipelines)
        case "latency":
            return Fraction(found.latency_ns)
        case "batch":
            return Fraction(batch_ns(found.pipelines, certificate.question.batch))
        case "devices":
            return Fraction(found.tpus)
        case _:
            own = (found.tpus, found.latency_ns, rate(found.pipelines))
            points = [(count, ns, Fraction(*part)) for count, ns, part in certificate.points]
            _need(own in points, "the plan is none of the certificate's points")
            _need(own[2] == max(part for _, _, part in points), "another point has more throughput than the plan")
            return Fraction(0)


def _figures(found: Priced, certificate: Certificate, value: Fraction) -> Iterator[tuple[str, object, object]]:
    """Yield (name, said, own) of the figures of a plan file's solution."""
    solution, own = found.plan.solution, rate(found.pipelines)
    is_time = certificate.question.objective in ("throughput", "latency", "batch")
    objective = _ceil(value) if is_time else _ceil(1 / own)
    yield "objective_ns", solution.objective_ns, objective
    yield "latency_ns", solution.latency_ns, found.latency_ns
    yield "throughput_fps", solution.throughput_fps, float(own * 10**9)
    if solution.status == "optimal":
        yield "bound_ns", solution.bound_ns, objective
        yield "gap", solution.gap, 0.0


def _worth(found: Priced) -> str:
    own = rate(found.pipelines)
    count = len(found.plan.all_stages)
    return (
        f"{count} {'stage' if count == 1 else 'stages'} priced again: {_ceil(1 / own)} ns per inference, "
        f"latency {found.latency_ns} ns, {found.tpus} of {found.plan.solution.tpus_requested} TPUs"
    )


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise CertificateFault(otherwise)
