"""The figures of plan.json and of the certificate that follow from a plan's costs: each is worked out again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from fractions import Fraction
from math import inf, nextafter
from pathlib import PurePath

from segsolve.checker.document import Certificate, Problem
from segsolve.checker.failure import CertificateFault, need
from segsolve.checker.objectives import objective
from segsolve.checker.plans import Pieces, Priced, Prices, check_valid, pieces_along
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import exact_ms


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
        *_host(problem, plan),
    ]
    for what, ours, theirs in pairs:
        if ours != theirs:
            raise CertificateFault(f"it belongs to another plan: {what}: {ours} in the certificate, {theirs} here")
    if problem.capacity_bytes > plan.device.memory_bytes:
        raise CertificateFault("it belongs to another plan: its devices have more memory than the plan's")


def _host(problem: Problem, plan: Plan) -> Iterator[tuple[str, object, object]]:
    """Yield what both say of the host."""
    for name in ("cores", "serial_ns", "work_ns", "frame_ns"):
        yield f"the host's {name}", getattr(problem.host, name, None), getattr(plan.device.host, name, None)


def check_figures(plan: Plan, found: Priced, certificate: Certificate) -> str:
    """Check every figure of a plan that follows from its costs, and the certificate's value; return what it is worth.

    Raises:
        CertificateFault: a figure is another.
    """
    for number, (pipeline, costs) in enumerate(zip(plan.pipelines, found.stages, strict=True)):
        for k, (stage, cost) in enumerate(zip(pipeline.stages, costs, strict=True)):
            for field in fields(cost):
                said, ours = getattr(stage.prediction, field.name), getattr(cost, field.name)
                ours = list(ours) if isinstance(ours, tuple) else ours
                need(said == ours, f"stage {k} of pipeline {number}: {field.name} is {ours}, the plan says {said}")
    value = objective(certificate.question.objective).value(found, certificate)
    need(value == Fraction(*certificate.value), f"the plan has a value of {value}, its certificate says another")
    for name, said, ours in _figures(plan, found, certificate, value):
        need(said == ours, f"{name} is {ours}, the plan says {said}")
    return _worth(plan, found)


def check_points(plan: Plan, found: Priced, certificate: Certificate, prices: Prices) -> None:
    """Check that a plan is the fastest of a front's points, or the picked one, from 1 on, and that all are plans.

    What plan.json says of the points, none in older releases, is what they are.

    Raises:
        CertificateFault: they are not.
    """
    picked = plan.solution.point
    points = [(count, ns, Fraction(*part)) for count, ns, part in certificate.points]
    need((found.tpus, found.latency_ns, found.rate) in points, "the plan is none of the certificate's points")
    if picked is None:
        need(found.rate == max(part for _, _, part in points), "another point has more throughput than the plan")
    else:
        need(picked <= len(points), f"the plan is called point {picked}, the certificate has {len(points)}")
        need((found.tpus, found.latency_ns, found.rate) == points[picked - 1], f"the plan is not point {picked}")
    said = [(point.tpus, point.latency_ns, point.period_ns, point.throughput_fps) for point in plan.solution.points]
    ours = [
        (tpus, ns, _ceil(1 / part), fps(part, one.throughput_fps))
        for (tpus, ns, part), one in zip(points, plan.solution.points, strict=False)
    ]
    need(not said or said == ours, "plan.json says of the front's points something else than the certificate")
    if certificate.plans is None:
        return
    need(len(certificate.plans) == len(points), "the certificate has not a plan for each of its points")
    for number, (pipelines, point) in enumerate(zip(certificate.plans, points, strict=True)):
        try:
            other = prices.priced(pieces_along(certificate, pipelines))
            check_valid(other, certificate)
        except CertificateFault as fault:
            raise CertificateFault(f"the plan of point {number}: {fault}") from None
        own = (other.tpus, other.latency_ns, other.rate)
        need(own == point, f"the plan of point {number} has not the TPUs, latency and rate of the point")


def _figures(
    plan: Plan, found: Priced, certificate: Certificate, value: Fraction
) -> Iterator[tuple[str, object, object]]:
    """Yield (name, said, own) of the figures of a plan file's solution."""
    solution = plan.solution
    is_time = objective(certificate.question.objective).is_time
    objective_ns = _ceil(value) if is_time else _ceil(1 / found.rate)
    yield "layout", solution.layout, _layout(found.pieces)
    yield "objective_ns", solution.objective_ns, objective_ns
    yield "latency_ns", solution.latency_ns, found.latency_ns
    yield "throughput_fps", solution.throughput_fps, fps(found.rate, solution.throughput_fps)
    if solution.status == "optimal":
        yield "bound_ns", solution.bound_ns, objective_ns
        yield "gap", solution.gap, 0.0


def _layout(pieces: Pieces) -> str:
    """Return the pipelines' devices as a plan file writes them: 2x3+2, in brackets those of each stage."""
    names: Counter[str] = Counter()
    for pipeline in pieces:
        counts = [piece.replicas for piece in pipeline]
        names[f"{sum(counts)}[{','.join(map(str, counts))}]" if max(counts) > 1 else f"{sum(counts)}"] += 1
    return "+".join(name if count == 1 else f"{count}x{name}" for name, count in names.items())


def _worth(plan: Plan, found: Priced) -> str:
    count = sum(map(len, found.pieces))
    return (
        f"{count} {'stage' if count == 1 else 'stages'} priced again: {exact_ms(_ceil(1 / found.rate))} per inference, "
        f"latency {exact_ms(found.latency_ns)}, {found.tpus} of {plan.solution.tpus_requested} TPUs"
    )


def fps(rate: Fraction, said: float) -> float:
    """Return inferences per second as a float: rounded down, or the nearest one if that is `said`, as once it was."""
    exact = rate * 10**9
    nearest = float(exact)
    return nearest if Fraction(nearest) <= exact or said == nearest else nextafter(nearest, -inf)


def is_gap(gap: float, value: Fraction, bound_ns: int) -> bool:
    """Whether a gap is that of a bound, which is rounded up as the gap is not."""
    if not value:
        return gap == 0
    most = min(Fraction(1), (value - bound_ns + 1) / value)
    return float((value - bound_ns) / value) - _ROUNDING <= gap <= float(most) + _ROUNDING


_ROUNDING = 1e-12  # of the division in floats


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
