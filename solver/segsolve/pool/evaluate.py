"""What plans of a pool cost, and which are valid: the specification. Knows no solver.

A device holds its residents together, compiled in one go (`edgetpu_compiler a.tflite b.tflite`): scratch memory is as
large as the largest resident's, and weights are cached resident after resident in the listed order, within each in the
model's own order, whole layers, each that still fits. A device with one resident is a stage as it always was.

A period is the time in which each model m does its weight w_m of inferences, of which a pipeline does its share s. A
device is busy in it for the sum of s w_m T over its residents; no device, no link, and not the host can be busy for
longer than the period lasts. The host drives the stages of all inferences one after the other, and its cores do what
no device takes of a model (`flow.shared` says the same of one model).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from segsolve.cost.plan import check_pipeline
from segsolve.cost.stage import StageScore, scratch_bytes, stage_score
from segsolve.plan.model import Pipeline, Plan
from segsolve.pool.model import Goal, PoolProblem
from segsolve.pool.plan import PoolPlan, Resident
from segsolve.problem import Problem


def device_scores(problems: Sequence[Problem], residents: Sequence[Sequence[int]]) -> tuple[StageScore, ...]:
    """Return the costs of stages that live on one device, in co-compilation order.

    `problems[i]` is that of the model of resident i on this kind of device, `residents[i]` its operations.
    """
    if not residents:
        return ()
    scratch = max(scratch_bytes(problem, ops) for problem, ops in zip(problems, residents, strict=True))
    room = max(0, min(problem.capacity_bytes for problem in problems) - scratch)
    found = []
    for problem, ops in zip(problems, residents, strict=True):
        score = stage_score(problem, ops, room_bytes=room)
        room -= score.onchip_bytes
        found.append(score)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class PoolScore:
    """What a plan of a pool costs.

    `stages` are the scores of each pipeline's stages; `foreign_ns` what other residents of its devices may make an
    inference wait for at each stage; `link_ns` what a period occupies each link for; `wanted` the latencies asked for.
    """

    problem: PoolProblem
    plan: PoolPlan
    stages: tuple[tuple[StageScore, ...], ...]

    @cached_property
    def period(self) -> Fraction:
        """The least time, in ns, in which every model does its weight of inferences."""
        return max((*self.device_loads, *self.link_loads, self.host_load))

    @property
    def period_ns(self) -> int:
        """The period, rounded up to whole ns."""
        return int(-(-self.period // 1))

    @property
    def scale_fps(self) -> Fraction:
        """Periods per second."""
        return 10**9 / max(Fraction(1), self.period)

    @property
    def value(self) -> Fraction:
        """What plans are compared by, in ns: the period, or the worst latency where the least of that is asked for."""
        rates = self.problem.workload.goal is Goal.RATES
        return self.period if rates else Fraction(self.worst_latency_ns)

    @property
    def makes_rates(self) -> bool:
        """Whether it makes the rates that were asked for, if any were."""
        wanted = self.problem.workload.scale_fps
        return wanted is None or self.scale_fps >= wanted

    def rate_fps(self, model: int) -> Fraction:
        """Return the inferences per second of a model."""
        return self.scale_fps * self.problem.workload.demands[model].weight

    @cached_property
    def shares(self) -> tuple[Fraction, ...]:
        """The part of its model's inferences that each pipeline does: as the plan says, else by its speed."""
        given = [pipeline.share for pipeline in self.plan.pipelines]
        if None not in given:
            return tuple(share for share in given if share is not None)
        speeds = [Fraction(1, max(1, self.bottleneck_ns(p))) for p in range(len(self.plan.pipelines))]
        totals = [sum(speeds[p] for p in self.plan.of_model(m)) for m in range(self.problem.models)]
        return tuple(
            speed / totals[pipeline.model] if pipeline.share is None else pipeline.share
            for speed, pipeline in zip(speeds, self.plan.pipelines, strict=True)
        )

    def bottleneck_ns(self, pipeline: int) -> int:
        """Return the largest share of the time per inference that a device of a pipeline has, foreign ones left out."""
        own = self.plan.pipelines[pipeline].stages
        return max(-(-s.time_ns // len(k.devices)) for s, k in zip(self.stages[pipeline], own, strict=True))

    @cached_property
    def device_loads(self) -> tuple[Fraction, ...]:
        """What a period occupies each device for, in ns."""
        weights = self.problem.workload.weights
        return tuple(
            sum(
                (weights[self.plan.model_of(r)] * self.shares[r.pipeline] * self._share_ns(r) for r in residents),
                Fraction(0),
            )
            for residents in self.plan.residents
        )

    @cached_property
    def loads_of_pipelines(self) -> NDArray[np.float64]:
        """What each pipeline loads devices, links, host and its cores with [r, p] if it does all of its model, in ns.

        A linear program over the shares of a fixed structure starts here; what it answers is priced in fractions.
        """
        alone = np.zeros((len(self.problem.pool.devices) + len(self.problem.pool.links) + 2, len(self.plan.pipelines)))
        for p, pipeline in enumerate(self.plan.pipelines):
            links, host, cores = self._shared_loads(p, Fraction(1))
            weight = self.problem.workload.weights[pipeline.model]
            for k, stage in enumerate(pipeline.stages):
                for device in stage.devices:
                    alone[device, p] += weight * self._share_ns(Resident(p, k))
            alone[len(self.problem.pool.devices) :, p] = [float(load) for load in (*links, host, cores)]
        return alone

    def _shared_loads(self, p: int, share: Fraction) -> tuple[list[Fraction], Fraction, Fraction]:
        """Return what a share of a pipeline loads links, the host, and each of its cores with."""
        pool, pipeline = self.problem.pool, self.plan.pipelines[p]
        often = self.problem.workload.weights[pipeline.model] * share
        kinds = [pool.devices[stage.devices[0]] for stage in pipeline.stages]
        links = []
        for name, link in pool.links:
            moved = sum(
                score.moved_bytes
                for kind, score in zip(kinds, self.stages[p], strict=True)
                if pool.kinds[kind].link == name
            )
            links.append(often * Fraction(moved * link.ns_per_mib, 2**20))
        hosts = [self.problem.host_ns(pipeline.model, kind) for kind in kinds]
        serial, (_, host, cores) = sum(serial for serial, _, _ in hosts), hosts[0]
        return links, often * (serial + host), often * (serial + cores) / max(1, self.problem.host_cores)

    @cached_property
    def _shared(self) -> tuple[list[Fraction], Fraction, Fraction]:
        found = [self._shared_loads(p, share) for p, share in enumerate(self.shares)]
        links = [sum(own, Fraction(0)) for own in zip(*(links for links, _, _ in found), strict=True)]
        return links, sum((host for _, host, _ in found), Fraction(0)), sum((c for _, _, c in found), Fraction(0))

    @cached_property
    def link_loads(self) -> tuple[Fraction, ...]:
        """What a period occupies each link of the pool for, in ns."""
        return tuple(self._shared[0])

    @property
    def host_load(self) -> Fraction:
        """What a period occupies the host for, in ns: stages one after the other, or what all its cores have to do."""
        return max(self._shared[1:])

    def own_latency_ns(self, model: int) -> int:
        """Return the time of an inference that finds every device free, in the model's slowest pipeline."""
        return max(sum(s.time_ns for s in self.stages[p]) for p in self.plan.of_model(model))

    def latency_ns(self, model: int) -> int:
        """Return the worst time of an inference that waits for none of its own model.

        Devices are not preempted and serve residents as they ask, each of which asks for one inference at a time: so at
        every stage all other residents of the device may come first, once.
        """
        return max(
            sum(s.time_ns + self._foreign_ns(p, k) for k, s in enumerate(self.stages[p]))
            for p in self.plan.of_model(model)
        )

    @cached_property
    def worst_latency_ns(self) -> int:
        """The largest of the models' worst latencies."""
        return max(self.latency_ns(m) for m in range(self.problem.models))

    @cached_property
    def late_ns(self) -> int:
        """By how much the models' worst latencies are above those that are kept, all together."""
        most = [demand.kept.most_latency_ns for demand in self.problem.workload.demands]
        return sum(max(0, self.latency_ns(m) - ns) for m, ns in enumerate(most) if ns is not None)

    def _foreign_ns(self, pipeline: int, stage: int) -> int:
        devices = self.plan.pipelines[pipeline].stages[stage].devices
        return max(
            sum(self.score(r).time_ns for r in self.plan.residents[d] if r != Resident(pipeline, stage))
            for d in devices
        )

    def score(self, resident: Resident) -> StageScore:
        """Return the score of a resident's stage."""
        return self.stages[resident.pipeline][resident.stage]

    def _share_ns(self, resident: Resident) -> int:
        return -(-self.score(resident).time_ns // len(self.plan.stage(resident).devices))


def score_pool(problem: PoolProblem, plan: PoolPlan) -> PoolScore:
    """Return the cost of a valid plan (`check_pool`)."""
    found: dict[Resident, StageScore] = {}
    for device, residents in enumerate(plan.residents):
        kind = problem.pool.devices[device]
        problems = [problem.costs[plan.model_of(r)][kind] for r in residents]
        scores = device_scores(problems, [plan.stage(r).ops for r in residents])
        found.update(zip(residents, scores, strict=True))
    stages = tuple(
        tuple(found[Resident(p, k)] for k in range(len(pipeline.stages))) for p, pipeline in enumerate(plan.pipelines)
    )
    return PoolScore(problem=problem, plan=plan, stages=stages)


def check_pool(problem: PoolProblem, plan: PoolPlan) -> tuple[str, ...]:
    """Return what is wrong with a plan, a sentence each; nothing for a valid one."""
    wrong: list[str] = []
    _pool, devices = problem.pool, problem.pool.devices
    names = [demand.model for demand in problem.workload.demands]
    for m, name in enumerate(names):
        if not plan.of_model(m):
            wrong.append(f"no pipeline runs {name}")
    if len(plan.residents) != len(devices):
        return (*wrong, f"the plan knows {len(plan.residents)} devices, there are {len(devices)}")
    placed = sorted(
        (d, Resident(p, k))
        for p, pipeline in enumerate(plan.pipelines)
        for k, stage in enumerate(pipeline.stages)
        for d in stage.devices
    )
    if any(not 0 <= d < len(devices) for d, _ in placed):
        return (*wrong, "a stage runs on a device that is not there")
    if sorted((d, r) for d, residents in enumerate(plan.residents) for r in residents) != placed:
        return (*wrong, "the residents of the devices are not the stages that run there")
    for p, pipeline in enumerate(plan.pipelines):
        kinds = [{devices[d] for d in stage.devices} for stage in pipeline.stages]
        if any(len(kind) != 1 for kind in kinds):
            wrong.append(f"a stage of pipeline {p} runs on no device, or on devices of several kinds")
            continue
        single = Pipeline(stages=tuple(stage.as_stage for stage in pipeline.stages))
        for k in {min(kind) for kind in kinds}:
            wrong += [f"pipeline {p}: {fault}" for fault in check_pipeline(problem.costs[pipeline.model][k], single)]
    wrong += _sharing_faults(problem, plan)
    if not wrong:
        wrong += _spills(problem, plan)
    if not wrong and not keeps(problem, plan):
        wrong.append(f"it does not keep what was asked for: {', '.join(problem.words)}")
    return tuple(dict.fromkeys(wrong))


def keeps(problem: PoolProblem, plan: PoolPlan) -> bool:
    """Whether a plan that is valid else keeps the constraints of every model."""
    for m, demand in enumerate(problem.workload.demands):
        stages = (tuple(stage.as_stage for stage in plan.pipelines[p].stages) for p in plan.of_model(m))
        if not demand.kept.allow_stages(Plan(pipelines=tuple(Pipeline(stages=own) for own in stages))):
            return False
        runs = ((stage, stage.devices[0]) for p in plan.of_model(m) for stage in plan.pipelines[p].stages)
        kinds = ((stage, problem.pool.kinds[problem.pool.devices[device]]) for stage, device in runs)
        if demand.pins and not all(demand.on(kind.name).holds(stage.ops) for stage, kind in kinds):
            return False
    is_timed = any(demand.kept.most_latency_ns is not None for demand in problem.workload.demands)
    return not (is_timed and score_pool(problem, plan).late_ns)


def _sharing_faults(problem: PoolProblem, plan: PoolPlan) -> list[str]:
    """A device has at most one stage of each model; replicas have devices of their own; copies that share, shares."""
    wrong = []
    for m, demand in enumerate(problem.workload.demands):
        shares = [plan.pipelines[p].share for p in plan.of_model(m)]
        given = [share for share in shares if share is not None]
        if given and (len(given) < len(shares) or min(given) <= 0 or sum(given) != 1):
            wrong.append(f"the shares of {demand.model}'s pipelines are not parts that make up a whole")
    for device, residents in enumerate(plan.residents):
        models = [plan.model_of(r) for r in residents]
        name = problem.pool.device_name(device)
        if len(set(models)) != len(models):
            wrong.append(f"{name} has two stages of one model")
        for r in residents if len(residents) > 1 else ():
            if len(plan.stage(r).devices) > 1:
                wrong.append(f"{name} is shared by a stage that has replicas")
            elif plan.pipelines[r.pipeline].share is None and len(plan.of_model(plan.model_of(r))) > 1:
                wrong.append(f"{name} is shared by a copy, and nothing says what part of its model it does")
    return wrong


def _spills(problem: PoolProblem, plan: PoolPlan) -> list[str]:
    if not any(p.no_spill for row in problem.costs for p in row):
        return []
    score = score_pool(problem, plan)
    return [
        f"stage {k} of pipeline {p} cannot hold the weights of all its operations"
        for p, stages in enumerate(score.stages)
        for k, stage in enumerate(stages)
        if stage.spilled_ops
    ]
