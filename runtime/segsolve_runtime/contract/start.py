"""From nothing to the first result: opening the devices, loading the weights that they keep, one inference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from segsolve_runtime.contract.plan import Plan

_MOST = 2**62
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStart:
    """What a stage's start depends on: its time, the weights that its TPUs keep, and how many these are (CPU: none)."""

    time_ns: int
    onchip_bytes: int
    tpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstResult:
    """The predicted time to the first result, in ns: all devices are opened, run once, and then an inference passes.

    `swap_ns` is what the stage with the most on chip takes to get its weights back after another network's.
    """

    open_ns: int
    load_ns: int
    latency_ns: int
    swap_ns: int

    @property
    def total_ns(self) -> int:
        """All three together."""
        return self.open_ns + self.load_ns + self.latency_ns


class Start(BaseModel):
    """What a device takes before its first result.

    The first inference of a network takes ``C + k E + k I + c``: its usual time ``C + k E``, E being what it streams,
    and the loading of the I bytes that stay on chip at the same rate k, with a fixed part c. A swap, by which another
    network's weights take their place, costs the second half again.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    open_ns: int = Field(ge=0, le=_MOST, description="to open a device and make its interpreter")
    load_ns: int = Field(ge=0, le=_MOST, description="fixed part of loading the weights that stay on chip")
    load_ns_per_mib: int = Field(ge=0, le=_MOST, description="to load a MiB of them")
    at_once: int = Field(ge=1, le=_MOST, description="devices that are opened side by side")

    def swap_ns(self, onchip_bytes: int) -> int:
        """Return what it takes to load weights that stay on chip, or to put them in the place of others."""
        return self.load_ns + self.load_ns_per_mib * onchip_bytes // _MIB

    def first_result(self, pipelines: Iterable[Sequence[StageStart]]) -> FirstResult:
        """Return the time to the first result of a plan, whose stages all run once before the first frame is taken."""
        listed = [*pipelines]
        stages = [stage for pipeline in listed for stage in pipeline]
        devices = sum(stage.tpus for stage in stages)
        swaps = [self.swap_ns(stage.onchip_bytes) if stage.tpus else 0 for stage in stages]
        return FirstResult(
            open_ns=-(-devices // self.at_once) * self.open_ns,
            load_ns=max(stage.time_ns + swap for stage, swap in zip(stages, swaps, strict=True)),
            swap_ns=max(swaps),
            latency_ns=min(sum(stage.time_ns for stage in pipeline) for pipeline in listed),
        )


def first_result(plan: Plan) -> FirstResult | None:
    """Return the predicted time to a plan's first result, if its device's description says enough."""
    if plan.device.start is None:
        return None
    return plan.device.start.first_result(
        [
            StageStart(
                time_ns=stage.prediction.time_ns,
                onchip_bytes=stage.prediction.onchip_bytes,
                tpus=stage.replicas if stage.processor == "edgetpu" else 0,
            )
            for stage in pipeline.stages
        ]
        for pipeline in plan.pipelines
    )
