"""What a pool's plan costs, and that it is one: from the operations, in whole numbers and fractions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.costs import StageCost, scratch, stage_cost
from segsolve.checker.document import Problem
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import Model, PoolCertificate, PoolPipeline

Where = tuple[int, int]  # pipeline, stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCost:
    """The cost of each stage, the loads of devices, links and host in a period, latencies of the models; ns."""

    stages: dict[Where, StageCost]
    devices: list[Fraction]
    links: list[Fraction]
    host: Fraction
    latencies: list[int]
    own_latencies: list[int]

    @property
    def period(self) -> Fraction:
        """The largest load."""
        return max(*self.devices, *self.links, self.host)


def check_plan(certificate: PoolCertificate) -> None:
    """Check that the pipelines are plans for their models, on devices that are there, each lived on as listed.

    Raises:
        CertificateFault: they are not.
    """
    kinds = certificate.devices
    lives: dict[int, list[list[int]]] = defaultdict(list)
    copies = [pipeline.model for pipeline in certificate.pipelines]
    if sorted(set(copies)) != list(range(len(certificate.models))):
        raise CertificateFault("a model has no pipeline, or a pipeline no model")
    for p, pipeline in enumerate(certificate.pipelines):
        _check_pipeline(certificate.problems[pipeline.model][0], pipeline)
        model = certificate.models[pipeline.model]
        _check_kept(model, pipeline)
        for k, stage in enumerate(pipeline.stages):
            if len(set(stage.devices)) != len(stage.devices) or max(stage.devices) >= len(kinds):
                raise CertificateFault("a stage runs on a device that is not there, or twice on one")
            if len({kinds[d] for d in stage.devices}) != 1:
                raise CertificateFault("a stage has replicas on devices of several kinds")
            kind = certificate.kinds[kinds[stage.devices[0]]].name
            for pin in model.elsewhere(kind):
                if any(pin.first <= op <= pin.last for op in stage.members):
                    raise CertificateFault(f"{model.name}: a stage on {kind} has operations that belong on {pin.kind}")
            for d in stage.devices:
                lives[d].append([p, k])
    for d, residents in enumerate(certificate.residents):
        if sorted(residents) != sorted(lives[d]):
            raise CertificateFault("the residents of a device are not the stages that run there")
        _check_residents(certificate, residents)


def _check_kept(model: Model, pipeline: PoolPipeline) -> None:
    """Check that the stages of a pipeline are those that its model's constraints allow."""
    at = {op: k for k, stage in enumerate(pipeline.stages) for op in stage.members}
    for constraint in model.constraints.all:
        for words in constraint.broken(at):
            raise CertificateFault(f"{model.name}: {words}")
    most = model.constraints.most_stages
    if most is not None and len(pipeline.stages) > most:
        raise CertificateFault(f"a pipeline of {model.name} has more than {most} stages")


def _check_residents(certificate: PoolCertificate, residents: list[list[int]]) -> None:
    models = [certificate.pipelines[p].model for p, _ in residents]
    copies = [pipeline.model for pipeline in certificate.pipelines]
    if len(set(models)) != len(models):
        raise CertificateFault("a device has two stages of one model")
    if len(residents) < 2:
        return
    if certificate.sharing == "never":
        raise CertificateFault("a device is shared, which was not asked for")
    for p, k in residents:
        pipeline = certificate.pipelines[p]
        if len(pipeline.stages[k].devices) > 1:
            raise CertificateFault("a device is shared by a stage with replicas")
        if copies.count(pipeline.model) > 1 and (pipeline.share is None or certificate.sharing != "auto"):
            raise CertificateFault("a device is shared by a copy that was not asked for, or of which no share is said")


def cost_of(certificate: PoolCertificate) -> PoolCost:
    """Return what the plan costs.

    Raises:
        CertificateFault: weights spill that may not.
    """
    kinds, stages = certificate.devices, dict[Where, StageCost]()
    for d, residents in enumerate(certificate.residents):
        problems = [certificate.problems[certificate.pipelines[p].model][kinds[d]] for p, _ in residents]
        held = [certificate.pipelines[p].stages[k].members for p, k in residents]
        for (p, k), cost in zip(residents, together(problems, held), strict=True):
            stages[p, k] = cost
            if cost.spilled_ops and problems[0].no_spill:
                raise CertificateFault(f"stage {k} of pipeline {p} spills weights, which was not allowed")
    shares = _shares(certificate, stages)
    weights = [certificate.models[pipeline.model].weight for pipeline in certificate.pipelines]
    loads = [
        sum((weights[p] * shares[p] * _share_ns(certificate, stages, p, k) for p, k in residents), Fraction(0))
        for residents in certificate.residents
    ]
    links = []
    for link in certificate.links:
        moved = sum(
            (
                weights[p] * shares[p] * stages[p, k].moved_bytes
                for p, pipeline in enumerate(certificate.pipelines)
                for k, stage in enumerate(pipeline.stages)
                if certificate.kinds[kinds[stage.devices[0]]].link == link.name
            ),
            Fraction(0),
        )
        links.append(moved * link.ns_per_mib / 2**20)
    serial = work = Fraction(0)
    for p, pipeline in enumerate(certificate.pipelines):
        takes = [certificate.host_ns(pipeline.model, kinds[stage.devices[0]]) for stage in pipeline.stages]
        serial += weights[p] * shares[p] * (sum(each for each, _, _ in takes) + takes[0][1])
        work += weights[p] * shares[p] * takes[0][2]
    return PoolCost(
        stages=stages,
        devices=loads,
        links=links,
        host=max(serial, (serial + work) / max(1, certificate.host_cores)),
        latencies=[_latency(certificate, stages, m, foreign=True) for m in range(len(certificate.models))],
        own_latencies=[_latency(certificate, stages, m, foreign=False) for m in range(len(certificate.models))],
    )


def together(problems: Sequence[Problem], stages: Sequence[tuple[int, ...]]) -> list[StageCost]:
    """Return the costs of stages that are compiled together for one device, in this order."""
    if not stages:
        return []
    largest = max(scratch(problem, held) for problem, held in zip(problems, stages, strict=True))
    room, found = max(0, min(problem.capacity_bytes for problem in problems) - largest), []
    for problem, held in zip(problems, stages, strict=True):
        cost = stage_cost(problem, held, room)
        room -= cost.onchip_bytes
        found.append(cost)
    return found


def _check_pipeline(problem: Problem, pipeline: PoolPipeline) -> None:
    done: set[int] = set()
    legal = {0, *problem.cuts, len(problem.ops)}
    for stage in pipeline.stages:
        held = stage.members
        if not held or len(set(held)) != len(held) or not done.isdisjoint(held) or max(held) >= len(problem.ops):
            raise CertificateFault("an operation is in two stages, or in none that there is")
        if list(held) != list(range(held[0], held[-1] + 1)) or held[0] != len(done) or held[-1] + 1 not in legal:
            raise CertificateFault("a stage is no range of operations between two legal cuts")
        done |= set(held)
    if len(done) != len(problem.ops):
        raise CertificateFault("the stages do not hold every operation")


def _shares(certificate: PoolCertificate, stages: dict[Where, StageCost]) -> list[Fraction]:
    """Return the part of its model's inferences that each pipeline does: as it says, or in proportion to its speed."""
    given = [Fraction(*pipeline.share) if pipeline.share else None for pipeline in certificate.pipelines]
    speeds = []
    for p, pipeline in enumerate(certificate.pipelines):
        slowest = max(_share_ns(certificate, stages, p, k) for k in range(len(pipeline.stages)))
        speeds.append(Fraction(1, max(1, slowest)))
    totals: dict[int, Fraction] = defaultdict(Fraction)
    sums: dict[int, Fraction] = defaultdict(Fraction)
    for p, pipeline in enumerate(certificate.pipelines):
        totals[pipeline.model] += speeds[p]
    shares = [given[p] or speeds[p] / totals[x.model] for p, x in enumerate(certificate.pipelines)]
    for p, pipeline in enumerate(certificate.pipelines):
        sums[pipeline.model] += shares[p]
    if min(shares) <= 0 or set(sums.values()) != {Fraction(1)}:
        raise CertificateFault("the shares of a model's pipelines are not parts that make up a whole")
    return shares


def _share_ns(certificate: PoolCertificate, stages: dict[Where, StageCost], p: int, k: int) -> int:
    return -(-stages[p, k].time_ns // len(certificate.pipelines[p].stages[k].devices))


def _latency(certificate: PoolCertificate, stages: dict[Where, StageCost], model: int, *, foreign: bool) -> int:
    """Return the longest time of an inference; with `foreign`, after every other resident of each device."""
    worst = 0
    for p, pipeline in enumerate(certificate.pipelines):
        if pipeline.model != model:
            continue
        total = 0
        for k, stage in enumerate(pipeline.stages):
            others = [
                sum(stages[q, j].time_ns for q, j in certificate.residents[d] if (q, j) != (p, k))
                for d in stage.devices
            ]
            total += stages[p, k].time_ns + (max(others) if foreign else 0)
        worst = max(worst, total)
    return worst
