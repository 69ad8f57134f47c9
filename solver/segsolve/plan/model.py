"""A plan in full: pipelines that share the devices, their stages, and how many devices run each stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from segsolve_runtime.contract.wording import runs

if TYPE_CHECKING:
    from segsolve_runtime.contract import plan as planfile


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
        return runs(self.ops)


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
    def cuts(self) -> tuple[int, ...] | None:
        """The positions before which the execution order is cut; None unless it is one pipeline of a TPU per stage."""
        stages = self.pipelines[0].stages
        is_plain = all(len(s.op_ranges) == 1 and s.replicas == 1 and s.processor is Processor.EDGETPU for s in stages)
        return tuple(stage.ops[0] for stage in stages[1:]) if is_plain and len(self.pipelines) == 1 else None

    @property
    def layout(self) -> str:
        """The pipelines' sizes, equal ones counted: ``3+3+2`` is written ``2x3+2``, one pipeline of eight ``8``."""
        counted = Counter(pipeline.notation for pipeline in self.pipelines)
        return "+".join(name if count == 1 else f"{count}x{name}" for name, count in counted.items())


def plan_of(document: planfile.Plan) -> Plan:
    """Return the solver's form of a plan's file."""
    return Plan(
        pipelines=tuple(
            Pipeline(
                stages=tuple(
                    Stage(ops=stage.ops, replicas=stage.replicas, processor=Processor(stage.processor))
                    for stage in pipeline.stages
                )
            )
            for pipeline in document.pipelines
        )
    )


def cut_at(cuts: Iterable[int], operations: int) -> Plan:
    """Return one pipeline of a TPU per stage: so many operations in their order, cut before ascending positions."""
    return Plan(pipelines=(pipeline_of(range(a, b) for a, b in pairwise((0, *cuts, operations))),))


def pipeline_of(stages: Iterable[Iterable[int]]) -> Pipeline:
    """Return a pipeline of one TPU per stage, given each stage's operations in ascending order."""
    return Pipeline(stages=tuple(Stage(ops=tuple(ops)) for ops in stages))
