"""A strategy as reports show it: its distinct pipelines, how many copies each has, and the TPUs of their stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from segsolve.cost.plan import PlanScore, Score, score_of
from segsolve.cost.stage import StageScore
from segsolve.problem import Shared
from segsolve_runtime.contract.wording import runs

Ranges = tuple[tuple[int, int], ...]
Part = tuple[Ranges, int, StageScore, bool]
"""A stage as it is found: its runs of operations (first and last, inclusive), its replicas, its cost, and whether it
runs on the host's CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """Operations on one TPU, or on each of several in turn, or on the host's CPU, and what an inference of them costs.

    `number` counts the stages of all distinct pipelines, `place` those of its own, `pipeline` the distinct pipelines.
    """

    number: int
    ranges: Ranges
    score: StageScore
    pipeline: int = 0
    place: int = 0
    replicas: int = 1
    is_cpu: bool = False

    @property
    def first(self) -> int:
        """Its first operation."""
        return self.ranges[0][0]

    @property
    def end(self) -> int:
        """The operation after its last."""
        return self.ranges[-1][1] + 1

    @property
    def ops(self) -> frozenset[int]:
        """Its operations."""
        return frozenset(i for first, last in self.ranges for i in range(first, last + 1))

    @property
    def weight_bytes(self) -> int:
        """Weights on chip and off chip together."""
        return self.score.onchip_bytes + self.score.offchip_bytes

    @property
    def spilled_ops(self) -> tuple[int, ...]:
        """Operations whose weights do not fit its TPU; none on the CPU."""
        return () if self.is_cpu else self.score.spilled_ops

    @property
    def share_ns(self) -> int:
        """Time per inference that passes it: its TPUs take turns."""
        return -(-self.score.time_ns // self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineView:
    """Stages that hold the whole network, and how many such pipelines there are."""

    number: int
    letter: str
    copies: int
    stages: tuple[StageView, ...]
    shared: Shared = field(default_factory=Shared)

    @property
    def tpus(self) -> int:
        """TPUs of one copy."""
        return sum(stage.replicas for stage in self.stages if not stage.is_cpu)

    @property
    def has_cpu(self) -> bool:
        """Whether a stage runs on the host's CPU."""
        return any(stage.is_cpu for stage in self.stages)

    @property
    def score(self) -> Score:
        """What one copy costs."""
        costs = tuple(stage.score for stage in self.stages)
        return score_of(self.shared, costs, tuple(stage.replicas for stage in self.stages))

    @property
    def slowest(self) -> StageView:
        """The stage that limits it; of several, the first."""
        return max(self.stages, key=lambda stage: stage.share_ns)

    @property
    def is_chain(self) -> bool:
        """Whether its stages are consecutive stretches of the execution order."""
        ends = [0, *(stage.end for stage in self.stages)]
        return all(len(s.ranges) == 1 and s.first == end for s, end in zip(self.stages, ends, strict=False))


@dataclass(frozen=True, kw_only=True)
class StrategyView:
    """A way to lay out the network, by the planner's name; `order` names the distinct pipeline of each pipeline.

    `shared` is what all pipelines share.
    """

    key: str
    stages: tuple[StageView, ...]
    order: tuple[int, ...] = (0,)
    shared: Shared = field(default_factory=Shared)

    @cached_property
    def pipelines(self) -> tuple[PipelineView, ...]:
        """The distinct pipelines."""
        kinds = sorted(set(self.order))
        return tuple(
            PipelineView(
                number=k,
                letter=chr(ord("A") + k) if len(kinds) > 1 else "",
                copies=self.order.count(k),
                stages=tuple(stage for stage in self.stages if stage.pipeline == k),
                shared=self.shared,
            )
            for k in kinds
        )

    @cached_property
    def score(self) -> PlanScore:
        """What all pipelines cost together."""
        return PlanScore(pipelines=tuple(self.pipelines[kind].score for kind in self.order))

    @property
    def throughput_fps(self) -> float:
        """Inferences per second of all pipelines together."""
        return self.score.throughput_fps

    @property
    def period_ns(self) -> int:
        """Time per inference of all pipelines together."""
        return self.score.period_ns

    @property
    def is_plain(self) -> bool:
        """Whether it is one pipeline of one TPU per stage, so that a stage's number is its TPU's."""
        return len(self.order) == 1 and all(stage.replicas == 1 and not stage.is_cpu for stage in self.stages)

    @property
    def is_chain(self) -> bool:
        """Whether it is one pipeline that cuts the execution order, one TPU per stage."""
        return self.is_plain and self.pipelines[0].is_chain

    @property
    def cuts(self) -> tuple[int, ...]:
        """Where its first pipeline cuts, if that cuts the execution order."""
        return tuple(stage.first for stage in self.pipelines[0].stages[1:])

    @property
    def slowest(self) -> StageView:
        """The bottleneck of the first pipeline; of several, the first."""
        return self.pipelines[0].slowest

    def limits(self, stage: StageView) -> bool:
        """Whether a stage is the bottleneck of its pipeline."""
        return stage is self.pipelines[stage.pipeline].slowest

    def part_ns(self, stage: StageView) -> int:
        """Return a stage's time per inference of the whole strategy; for a bottleneck, that is the strategy's own.

        Its TPUs take turns, and its pipeline takes a share of all inferences.
        """
        if self.is_plain:
            return stage.score.time_ns
        return round(stage.share_ns * self.period_ns / max(1, self.pipelines[stage.pipeline].slowest.share_ns))

    @property
    def rows(self) -> dict[tuple[int, int, int], int]:
        """The row of every pipeline, stage and replica in a drawing, in that order."""
        places = (
            (p, stage.place, r)
            for p, kind in enumerate(self.order)
            for stage in self.pipelines[kind].stages
            for r in range(stage.replicas)
        )
        return {place: number for number, place in enumerate(places)}

    @property
    def devices(self) -> dict[tuple[int, int, int], int]:
        """The TPU of every pipeline, stage and replica that is not on the CPU, numbered in that order."""
        on_tpus = (place for place in self.rows if not self.stage_of(*place[:2]).is_cpu)
        return {place: number for number, place in enumerate(on_tpus)}

    @property
    def row_names(self) -> tuple[str, ...]:
        """What each row is labelled with: the number of its TPU, or CPU."""
        devices = self.devices
        return tuple(str(devices[place]) if place in devices else "CPU" for place in self.rows)

    @property
    def has_cpu(self) -> bool:
        """Whether a stage runs on the host's CPU."""
        return any(stage.is_cpu for stage in self.stages)

    @property
    def hardware(self) -> str:
        """What runs it, in words: 4 TPUs, 3 TPUs and the CPU."""
        tpus = len(self.devices)
        words = f"{tpus} TPU" if tpus == 1 else f"{tpus} TPUs"
        return f"{words} and the CPU" if self.has_cpu else words

    def instances(self, stage: StageView) -> int:
        """Return how many devices run a stage, in all copies of its pipeline."""
        return stage.replicas * self.pipelines[stage.pipeline].copies

    def tpus(self, stage: StageView) -> tuple[int, ...]:
        """Return the TPUs that run a stage, in all copies of its pipeline; none for one on the CPU."""
        return tuple(
            number
            for (p, place, _), number in self.devices.items()
            if (self.order[p], place) == (stage.pipeline, stage.place)
        )

    def runs_on(self, stage: StageView) -> str:
        """Return what runs a stage, in words: TPU 3, TPUs 0-2, CPU."""
        return "CPU" if stage.is_cpu else tpus_text(self.tpus(stage))

    def tag(self, stage: StageView) -> str:
        """Return a stage's number, after its pipeline's letter if there are several: 2, A0."""
        return f"{self.pipelines[stage.pipeline].letter}{stage.place}"

    def name(self, stage: StageView) -> str:
        """Return what a stage is called in a sentence: its TPU if it has just one."""
        if self.is_plain:
            return f"TPU {stage.number}"
        return f"CPU stage {self.tag(stage)}" if stage.is_cpu else f"stage {self.tag(stage)}"

    def stage_of(self, pipeline: int, place: int) -> StageView:
        """Return the stage at a place of the plan's pipeline of a number."""
        return self.pipelines[self.order[pipeline]].stages[place]

    def full_name(self, stage: StageView) -> str:
        """Return a stage's name, and its TPUs if the name does not say them: stage A0 (TPUs 0-3)."""
        says_all = self.is_plain or stage.is_cpu
        return self.name(stage) if says_all else f"{self.name(stage)} ({self.runs_on(stage)})"


def make_strategy(key: str, pipelines: Iterable[Sequence[Part]], shared: Shared | None = None) -> StrategyView:
    """Return a strategy in which pipelines that are alike are shown once."""
    found = [tuple(stages) for stages in pipelines]
    kinds = list(dict.fromkeys(found))
    parts = [(kind, place, part) for kind, stages in enumerate(kinds) for place, part in enumerate(stages)]
    return StrategyView(
        key=key,
        shared=shared or Shared(),
        order=tuple(kinds.index(stages) for stages in found),
        stages=tuple(
            StageView(
                number=number, pipeline=kind, place=place, ranges=ranges, replicas=replicas, score=score, is_cpu=is_cpu
            )
            for number, (kind, place, (ranges, replicas, score, is_cpu)) in enumerate(parts)
        ),
    )


def tpus_text(numbers: Sequence[int]) -> str:
    """Return TPUs in words, neighbours joined: TPU 3, TPUs 0-2, 5."""
    text = ", ".join(f"{a}–{b}" if a != b else str(a) for a, b in runs(numbers))
    return f"TPU {text}" if len(numbers) == 1 else f"TPUs {text}"
