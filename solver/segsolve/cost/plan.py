"""What plans cost, which are valid, and when what happens in them: the specification. Knows no solver.

A stage with replicas serves that many inferences at once, so that it takes its share of the time per inference.
Pipelines side by side add up their rates, as far as the link and the host that they share carry them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import inf, nextafter

from segsolve.cost.stage import StageScore, cannot_run, stage_score
from segsolve.plan.model import Pipeline, Plan, Stage, cut_at
from segsolve.problem import Problem, Shared
from segsolve_runtime.flow.makespan import makespan_ns
from segsolve_runtime.flow.schedule import QUEUE_SIZE, Lane, Slot, schedule_lanes
from segsolve_runtime.flow.shared import Load, needed, total_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a pipeline costs. `replicas` are the devices of each stage, one each if not given.

    `link_ns` and `host_ns` are how long an inference occupies the link and the host that all pipelines share.
    """

    stages: tuple[StageScore, ...]
    replicas: tuple[int, ...] = ()
    link_ns: int = 0
    host_ns: int = 0

    @property
    def bottleneck_ns(self) -> int:
        """Time per inference of the stage that limits a full pipeline, shared among its replicas."""
        return max(-(-stage.time_ns // count) for stage, count in zip(self.stages, self._counts, strict=True))

    @property
    def period_ns(self) -> int:
        """Time per inference of the pipeline alone: that of its bottleneck, or of what it shares, if that is longer."""
        return max(self.bottleneck_ns, self.link_ns, self.host_ns)

    @property
    def latency_ns(self) -> int:
        """Time of one inference through all stages."""
        return sum(stage.time_ns for stage in self.stages)

    @property
    def throughput_fps(self) -> float:
        """Inferences per second of the pipeline alone if it is full; one that costs nothing counts as 1 ns."""
        return 1e9 / max(1, self.period_ns)

    @property
    def offchip_bytes(self) -> int:
        """Weights that are streamed at every inference, over all stages."""
        return sum(stage.offchip_bytes for stage in self.stages)

    def batch_ns(self, inferences: int) -> int:
        """Time of `inferences` that all wait at the start, by the runtime's schedule."""
        return PlanScore(pipelines=(self,)).batch_ns(inferences)

    @property
    def lane(self) -> Lane:
        """The pipeline as the schedule sees it."""
        return Lane(
            stage_ns=tuple(stage.time_ns for stage in self.stages),
            replicas=self._counts,
            link_ns=self.link_ns,
            host_ns=self.host_ns,
        )

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.replicas or (1,) * len(self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanScore:
    """What a plan of one or more pipelines costs."""

    pipelines: tuple[Score, ...]

    @property
    def rate(self) -> Fraction:
        """Inferences per ns of all pipelines together, within what they share (`flow.shared` says who gets how much).

        With one shared thing that is the most that there can be: with one constraint, the greedy fill of a fractional
        knapsack is optimal.
        """
        return total_rate(self._loads)

    @property
    def needed(self) -> dict[str, Fraction]:
        """The part of "link" and "host" that all pipelines at full rate need; above 1 it is what limits them."""
        return needed(self._loads)

    @property
    def limited_by(self) -> tuple[str, ...]:
        """Which of "link" and "host" all pipelines at full rate need more of than there is."""
        return tuple(name for name, part in self.needed.items() if part > 1)

    @property
    def full_rate(self) -> Fraction:
        """Inferences per ns of all pipelines if they shared nothing."""
        return sum((count * load.rate for load, count in Counter(self._loads).items()), Fraction(0))

    @property
    def period_ns(self) -> int:
        """Time per inference of all pipelines together, rounded up to whole ns."""
        return int(-(-1 // self.rate))

    @property
    def throughput_fps(self) -> float:
        """Inferences per second, rounded down: a plan makes at least as many."""
        return rounded_down(self.rate * 10**9)

    @property
    def latency_ns(self) -> int:
        """Time of one inference through the slowest pipeline."""
        return max(pipeline.latency_ns for pipeline in self._once.values())

    @property
    def offchip_bytes(self) -> int:
        """Weights that are streamed per inference, in the pipeline that streams most."""
        return max(pipeline.offchip_bytes for pipeline in self.pipelines)

    @property
    def _once(self) -> dict[int, Score]:
        """The pipelines without copies, which are one object each."""
        return {id(pipeline): pipeline for pipeline in self.pipelines}

    @property
    def _loads(self) -> list[Load]:
        known = {key: pipeline.lane.load for key, pipeline in self._once.items()}
        return [known[id(pipeline)] for pipeline in self.pipelines]

    def batch_ns(self, inferences: int) -> int:
        """Time of `inferences` that all wait at the start, by the runtime's schedule."""
        return makespan_ns([pipeline.lane for pipeline in self.pipelines], inferences, QUEUE_SIZE)


def rounded_down(exact: Fraction) -> float:
    """Return the largest float that is not above a fraction."""
    nearest = float(exact)
    return nearest if Fraction(nearest) <= exact else nextafter(nearest, -inf)


def score_cut(problem: Problem, cuts: Iterable[int]) -> Score:
    """Return the cost of one pipeline of a TPU per stage, cut before these positions; without any, of one TPU."""
    return score_pipeline(problem, cut_at(cuts, len(problem.ops)).pipelines[0])


def score_pipeline(problem: Problem, pipeline: Pipeline) -> Score:
    """Return the cost of a pipeline of any stages, contiguous or not, with replicas."""
    stages = tuple(stage_score(problem, stage.ops, stage.processor) for stage in pipeline.stages)
    return score_of(problem.shared, stages, tuple(stage.replicas for stage in pipeline.stages))


def score_of(shared: Shared, stages: tuple[StageScore, ...], replicas: tuple[int, ...] = ()) -> Score:
    """Return the cost of a pipeline whose stages cost so much."""
    link, host = shared.load_ns(sum(stage.moved_bytes for stage in stages), len(stages))
    return Score(stages=stages, replicas=replicas, link_ns=link, host_ns=host)


def score_plan(problem: Problem, plan: Plan) -> PlanScore:
    """Return the cost of a plan of pipelines."""
    known: dict[Pipeline, Score] = {}
    for pipeline in plan.pipelines:
        if pipeline not in known:
            known[pipeline] = score_pipeline(problem, pipeline)
    return PlanScore(pipelines=tuple(known[pipeline] for pipeline in plan.pipelines))


def check_plan(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Return what is wrong with a plan of pipelines, a sentence each; nothing for a valid one."""
    wrong = []
    if plan.tpus > problem.tpus:
        wrong.append(f"the plan needs {plan.tpus} TPUs, there are {problem.tpus}")
    if plan.cores > problem.cpus:
        wrong.append(f"the plan needs {plan.cores} CPU cores, there are {problem.cpus}")
    for pipeline in dict.fromkeys(plan.pipelines):
        wrong += check_pipeline(problem, pipeline)
    return tuple(wrong)


def check_pipeline(problem: Problem, pipeline: Pipeline) -> list[str]:
    """Return what is wrong with a pipeline, whatever the number of devices."""
    stage_of = {op: k for k, stage in enumerate(pipeline.stages) for op in stage.ops}
    held = sum(len(stage.ops) for stage in pipeline.stages)
    if held != len(stage_of) or stage_of.keys() != set(range(len(problem.ops))):
        return ["the stages do not hold every operation exactly once"]
    if any(not stage.ops or stage.replicas < 1 for stage in pipeline.stages):
        return ["a stage has no operations, or no device"]
    wrong = [
        f"tensor {t.name!r} is read in stage {stage_of[c]}, before stage {stage_of[t.producer]} makes it"
        for t in problem.transfers
        if t.producer >= 0
        for c in t.consumers
        if stage_of[c] < stage_of[t.producer]
    ]
    legal = set(problem.cuts)
    wrong += [
        f"operations {op - 1} and {op} must stay together"
        for op in range(1, len(problem.ops))
        if op not in legal and stage_of[op] != stage_of[op - 1]
    ]
    for k, stage in enumerate(pipeline.stages):
        wrong += _stage_faults(problem, k, stage)
    return wrong


def _stage_faults(problem: Problem, number: int, stage: Stage) -> list[str]:
    if missing := cannot_run(problem, stage.ops, stage.processor):
        return [f"stage {number} runs on {stage.processor}, which cannot run {problem.ops[missing[0]].name!r}"]
    spilled = stage_score(problem, stage.ops, stage.processor).spilled_ops if problem.no_spill else ()
    return [f"stage {number} cannot hold the weights of {problem.ops[i].name!r}" for i in spilled]


def plan_timeline(costs: PlanScore, inferences: int, queue_size: int = QUEUE_SIZE) -> tuple[Slot, ...]:
    """Return which inference runs where when in a plan of these costs; full, it runs at `costs.rate`.

    Where the r devices of a stage share a time that r does not divide, at most 1 ns per inference faster.
    """
    return schedule_lanes([pipeline.lane for pipeline in costs.pipelines], inferences, queue_size)
