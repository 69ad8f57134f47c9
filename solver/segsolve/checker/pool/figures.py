"""Whether what a pool's files say of the plan is what the certificate says, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from fractions import Fraction

from segsolve.checker.costs import StageCost
from segsolve.checker.failure import need
from segsolve.checker.figures import fps, is_gap
from segsolve.checker.pool.document import PoolCertificate, PoolPipeline
from segsolve.checker.pool.prices import PoolCost
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.pool import PoolFolder

_PREDICTED = [field.name for field in fields(StageCost) if field.name != "spilled_ops"]


def check_belongs(folder: PoolFolder, certificate: PoolCertificate) -> None:
    """Check that files and certificate are about the same devices, models, stages and residents.

    Raises:
        CertificateFault: they are not.
    """
    pool = folder.pool
    need(
        [(k.name, k.count, k.link) for k in pool.kinds] == [(k.name, k.count, k.link) for k in certificate.kinds],
        "the kinds of devices are not those of the certificate",
    )
    need(
        [(link.name, link.ns_per_mib) for link in pool.links]
        == [(link.name, link.ns_per_mib) for link in certificate.links],
        "the links are not those of the certificate",
    )
    need(
        [(m.name, m.weight) for m in pool.models] == [(m.name, m.weight) for m in certificate.models],
        "the models are not those of the certificate",
    )
    for k, kind in enumerate(pool.kinds):
        most = max(row[k].capacity_bytes for row in certificate.problems)
        need(most <= kind.memory_bytes, f"{kind.name} has less memory than the certificate's costs")
    need(pool.host_cores in (None, certificate.host_cores), "the cores of the host are not the certificate's")
    need(pool.solution.sharing == certificate.sharing, "what was asked for is not what the certificate says")
    spills = {problem.no_spill for row in certificate.problems for problem in row}
    need(spills == {pool.solution.no_spill}, "whether weights may stream is not what the certificate says")
    need(pool.solution.objective == certificate.objective, "the certificate is about another objective")
    wanted = None if pool.solution.scale_fps is None else Fraction(pool.solution.scale_fps)
    said_wanted = None if certificate.wanted is None else Fraction(*certificate.wanted)
    need(wanted == said_wanted, "the certificate is about other rates")
    for m, model in zip(certificate.models, pool.models, strict=True):
        kept = {key: value for key, value in m.constraints.values if value not in (None, [])}
        pins = [pin.model_dump() for pin in m.pins], [pin.model_dump() for pin in model.pins]
        is_same = kept == model.constraints and pins[0] == pins[1]
        need(is_same, f"the constraints of {m.name} are not those of the certificate")
    numbers: dict[str, list[int]] = {model.name: [] for model in pool.models}
    for p, pipeline in enumerate(certificate.pipelines):
        numbers[pool.models[pipeline.model].name].append(p)
    for model, plan in zip(pool.models, folder.plans, strict=True):
        said = [certificate.pipelines[p].share for p in numbers[model.name]]
        need(
            [Fraction(share) for share in model.shares] == [Fraction(*share) for share in said if share],
            f"the shares of {model.name}'s pipelines are not those of the certificate",
        )
        own = [certificate.pipelines[p] for p in numbers[model.name]]
        held = [[stage.members for stage in pipeline.stages] for pipeline in own]
        need(
            [[stage.ops for stage in pipeline.stages] for pipeline in plan.plan.pipelines] == held,
            f"the stages of {model.name} are not those of the certificate",
        )
    for device, residents in zip(pool.devices, certificate.residents, strict=True):
        listed = [
            (numbers[r.model][r.pipeline] if r.pipeline < len(numbers[r.model]) else -1, r.stage)
            for r in device.residents
        ]
        need(listed == [(p, k) for p, k in residents], f"the residents of {device.name} are not the certificate's")


def check_figures(folder: PoolFolder, certificate: PoolCertificate, cost: PoolCost) -> None:
    """Check every predicted figure of the files against the costs.

    Raises:
        CertificateFault: one differs.
    """
    pool, (value, bound) = folder.pool, certificate.claimed
    solution = pool.solution
    said = (solution.period_ns, solution.objective_ns)
    need(said == (_up(cost.period), _up(value)), "the period of pool.json is not the certificate's")
    need(_up(bound) <= solution.bound_ns <= solution.objective_ns, "the bound of pool.json is another")
    need(solution.status == "feasible" or solution.bound_ns == solution.objective_ns, "what is optimal has a gap")
    need(is_gap(solution.gap, value, solution.bound_ns), "the gap of pool.json is not that of its bound")
    need([d.load_ns for d in pool.devices] == [_up(x) for x in cost.devices], "the load of a device is another")
    need([x.load_ns for x in pool.links] == [_up(x) for x in cost.links], "the load of a link is another")
    need(pool.host_load_ns == _up(cost.host), "the load of the host is another")
    for m, (model, plan) in enumerate(zip(pool.models, folder.plans, strict=True)):
        rate = 10**9 / max(Fraction(1), cost.period) * model.weight
        need(0 <= rate - Fraction(model.rate_fps) < rate / 10**12, f"the rate of {model.name} is another")
        said_latency = (model.latency_ns, model.own_latency_ns)
        need(said_latency == (cost.latencies[m], cost.own_latencies[m]), f"a latency of {model.name} is another")
        numbers = [p for p, pipeline in enumerate(certificate.pipelines) if pipeline.model == m]
        own_pipelines = [certificate.pipelines[p] for p in numbers]
        for name, found, worked_out in _alone(plan.plan, own_pipelines, numbers, cost):
            need(found == worked_out, f"the plan of {model.name} has a {name} of {found}, and it is {worked_out}")
        for p, pipeline in zip(numbers, plan.plan.pipelines, strict=True):
            for k, stage in enumerate(pipeline.stages):
                predicted, own = stage.prediction, cost.stages[p, k]
                is_same = all(getattr(predicted, name) == getattr(own, name) for name in _PREDICTED)
                is_same &= tuple(predicted.spilled_ops) == own.spilled_ops
                need(is_same, f"a prediction of stage {k} of {model.name} is another than its costs say")


def _alone(
    plan: Plan, pipelines: Sequence[PoolPipeline], numbers: Sequence[int], cost: PoolCost
) -> Iterator[tuple[str, object, object]]:
    """Yield (name, said, own) of what a model's plan says of its pipelines when they run alone, of no bound."""
    shares = [
        [-(-cost.stages[p, k].time_ns // len(stage.devices)) for k, stage in enumerate(pipeline.stages)]
        for p, pipeline in zip(numbers, pipelines, strict=True)
    ]
    rate, solution = sum((Fraction(1, max(1, *own)) for own in shares), Fraction(0)), plan.solution
    latency = max(
        sum(cost.stages[p, k].time_ns for k in range(len(own))) for p, own in zip(numbers, shares, strict=True)
    )
    yield "objective_ns", solution.objective_ns, _up(1 / rate)
    yield "throughput_fps", solution.throughput_fps, fps(rate, solution.throughput_fps)
    yield "latency_ns", solution.latency_ns, latency
    yield "TPUs", solution.tpus_requested, sum(len(stage.devices) for each in pipelines for stage in each.stages)
    yield "bound", (solution.status, solution.bound_ns, solution.gap), ("feasible", 0, 1.0)


def _up(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)
