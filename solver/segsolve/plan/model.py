"""A plan in full: pipelines that share the devices, their stages, and how many devices run each stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from segsolve.problem import Segmentation


class Processor(StrEnum):
    """What runs a stage."""

    EDGETPU = "edgetpu"
    CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The operations `ops` (ascending positions in the execution order), run by `replicas` devices in turn."""

    ops: tuple[int, ...]
    replicas: int = 1
    processor: Processor = Processor.EDGETPU

    @property
    def op_ranges(self) -> tuple[tuple[int, int], ...]:
        """The maximal runs of consecutive operations, as (first, last), both inclusive."""
        runs: list[tuple[int, int]] = []
        for op in self.ops:
            if runs and runs[-1][1] == op - 1:
                runs[-1] = (runs[-1][0], op)
            else:
                runs.append((op, op))
        return tuple(runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Stages in an order in which every tensor is made before it is read."""

    stages: tuple[Stage, ...]

    @property
    def tpus(self) -> int:
        """The number of Edge TPUs that it occupies."""
        return sum(stage.replicas for stage in self.stages if stage.processor is Processor.EDGETPU)

    @property
    def cores(self) -> int:
        """The number of CPU cores that it occupies."""
        return sum(stage.replicas for stage in self.stages if stage.processor is Processor.CPU)

    @property
    def notation(self) -> str:
        """Its TPUs, and in brackets the replicas of each stage if any stage has more than one: ``4[1,2,1]``."""
        replicas = [stage.replicas for stage in self.stages]
        detail = f"[{','.join(map(str, replicas))}]" if max(replicas) > 1 else ""
        return f"{self.tpus}{detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Pipelines that each hold the whole model and together serve one stream of inferences."""

    pipelines: tuple[Pipeline, ...]

    @property
    def tpus(self) -> int:
        """The number of Edge TPUs that it occupies."""
        return sum(pipeline.tpus for pipeline in self.pipelines)

    @property
    def cores(self) -> int:
        """The number of CPU cores that it occupies."""
        return sum(pipeline.cores for pipeline in self.pipelines)

    @property
    def layout(self) -> str:
        """The pipelines' sizes, equal ones counted: ``3+3+2`` is written ``2x3+2``, one pipeline of eight ``8``."""
        counted = Counter(pipeline.notation for pipeline in self.pipelines)
        return "+".join(name if count == 1 else f"{count}x{name}" for name, count in counted.items())


def single_pipeline(segmentation: Segmentation, operations: int) -> Plan:
    """Return a chain's segmentation as a plan: one pipeline, one TPU per stage."""
    return Plan(pipelines=(pipeline_of(range(a, b) for a, b in segmentation.ranges(operations)),))


def pipeline_of(stages: Iterable[Iterable[int]]) -> Pipeline:
    """Return a pipeline of one TPU per stage, given each stage's operations in ascending order."""
    return Pipeline(stages=tuple(Stage(ops=tuple(ops)) for ops in stages))


def segmentation_of(plan: Plan) -> Segmentation | None:
    """Return the bare form of a plan that is one pipeline of contiguous stages without replicas, else None."""
    if len(plan.pipelines) != 1:
        return None
    stages = plan.pipelines[0].stages
    if any(len(s.op_ranges) > 1 or s.replicas > 1 or s.processor is not Processor.EDGETPU for s in stages):
        return None
    return Segmentation(cuts=tuple(stage.ops[0] for stage in stages[1:]))
