"""A plan as a model that is served: its pipeline, how much may wait for it, and what was asked of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from pathlib import PurePath
from typing import Any

from segsolve_runtime.contract.arrays import Array, ArraySpec, array_specs, select
from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.result import Result
from segsolve_runtime.errors import ClosedError, DevicesLeftError, InputError, OutageError, RuntimeFault, StageError
from segsolve_runtime.pipeline import Pipeline, State
from segsolve_runtime.serve.tensors import tensor_metadata

VERSION = "1"
PLATFORM = "segsolve_plan"
_LONGEST_MESSAGE = 1000  # gRPC sends it as metadata, of which clients take 16 KB: a character may have nine there
_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """Why a request has no result: a status of HTTP, which `rpc` translates, and a sentence."""

    status: int
    message: str
    retry_after_s: int | None = None

    def __post_init__(self) -> None:
        if len(self.message) > _LONGEST_MESSAGE:  # it may quote what was asked for
            object.__setattr__(self, "message", f"{self.message[:_LONGEST_MESSAGE]}...")

    def __str__(self) -> str:
        return self.message


@dataclass(slots=True)
class Tally:
    """Counts requests and their time by outcome; `buckets` are cumulative, in seconds, of those that succeeded."""

    done: int = 0
    done_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    by_status: dict[int, int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * len(_BUCKETS_S))
    latest_ms: int = 0

    def add(self, status: int, ns: int) -> None:
        """Count a request."""
        self.by_status[status] = self.by_status.get(status, 0) + 1
        if status != 200:
            self.failed, self.failed_ns = self.failed + 1, self.failed_ns + ns
            return
        self.done, self.done_ns, self.latest_ms = self.done + 1, self.done_ns + ns, int(time.time() * 1e3)
        for k, bound in enumerate(_BUCKETS_S):
            self.buckets[k] += ns <= bound * 1e9

    def histogram(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper bound in seconds."""
        return [*((str(bound), n) for bound, n in zip(_BUCKETS_S, self.buckets, strict=True)), ("+Inf", self.done)]


class ServedModel:
    """One plan, by the name that clients call it."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        *,
        most_waiting: int,
        timeout_s: float | None,
        homes: Mapping[Place, str] | None = None,
    ) -> None:
        """Take an open pipeline, which is closed by the caller.

        At most `most_waiting` requests are under way; one has a result within `timeout_s`, or an error. `homes` are the
        names of the devices that run the places, for the metrics; else those of the pipeline, if it has any.
        """
        self.name, self.pipeline, self.tally = name, pipeline, Tally()
        self.homes = dict(homes or pipeline.devices)
        self._most_waiting, self._timeout_s = most_waiting, timeout_s
        self._under_way = 0
        specs = array_specs(self.plan)
        self.inputs: dict[str, ArraySpec] = {spec.name: spec for spec in select(specs, self.plan.inputs)}
        self.outputs: dict[str, ArraySpec] = {spec.name: spec for spec in select(specs, self.plan.outputs)}

    @property
    def plan(self) -> Plan:
        """What it runs."""
        return self.pipeline.plan

    @property
    def is_ready(self) -> bool:
        """Whether it takes requests."""
        return self.pipeline.state in (State.READY, State.DEGRADED)

    @property
    def under_way(self) -> int:
        """Requests that have no answer yet."""
        return self._under_way

    async def infer(self, inputs: Mapping[str, Array], timeout_s: float | None = None) -> Result:
        """Return the outputs for one frame; to cancel it takes the frame back as far as it has not begun.

        Raises:
            Refusal: there is no result, and why.
        """
        begin, status = time.perf_counter_ns(), 499  # as nginx has it: the client went
        try:
            result = await self._infer(inputs, timeout_s)
            status = 200
        except Refusal as refusal:
            status = refusal.status
            raise
        finally:
            self.tally.add(status, time.perf_counter_ns() - begin)
        return result

    async def _infer(self, inputs: Mapping[str, Array], timeout_s: float | None) -> Result:
        if not self.is_ready:
            raise Refusal(503, f"the model {self.name!r} is {self.pipeline.state.value}: {self.reason()}")
        if self._under_way >= self._most_waiting:
            raise Refusal(429, f"{self._under_way} requests for {self.name!r} are under way", self._retry_after_s())
        limits = [limit for limit in (timeout_s, self._timeout_s) if limit is not None]
        self._under_way += 1
        try:
            async with asyncio.timeout(min(limits, default=None)):
                return await self.pipeline.infer(inputs, copy=False)
        except TimeoutError:
            raise Refusal(504, f"no result of {self.name!r} within {min(limits):g} s") from None
        except InputError as error:
            raise Refusal(400, str(error)) from None
        except StageError as error:
            is_frames = self.is_ready and not isinstance(error.__cause__, OutageError)
            raise Refusal(500 if is_frames else 503, str(error)) from None
        except (DevicesLeftError, ClosedError) as error:
            raise Refusal(503, str(error)) from None
        except RuntimeFault as error:
            raise Refusal(500, str(error)) from None
        finally:
            self._under_way -= 1

    def reason(self) -> str:
        """Return what was lost."""
        return "; ".join(self.pipeline.lost.values()) or "it is being closed"

    def _retry_after_s(self) -> int:
        """Return when a place should be free, by the plan's own rate."""
        rate = self.plan.solution.throughput_fps
        return max(1, ceil(self._under_way / rate) if rate > 0 else 1)

    def indexed(self) -> dict[str, str]:
        """Return how it stands, as an index of models has it."""
        state, reason = ("READY", "") if self.is_ready else ("UNAVAILABLE", self.reason())
        return {"name": self.name, "version": VERSION, "state": state, "reason": reason}

    def metadata(self) -> dict[str, Any]:
        """Return the model's description."""
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": PLATFORM,
            "inputs": [tensor_metadata(spec) for spec in self.inputs.values()],
            "outputs": [tensor_metadata(spec) for spec in self.outputs.values()],
        }

    def config(self) -> dict[str, Any]:
        """Return the model's configuration: no batches, and a place for each device."""
        return {
            "name": self.name,
            "platform": PLATFORM,
            "backend": "segsolve",
            "max_batch_size": 0,
            "input": [_config(spec) for spec in self.inputs.values()],
            "output": [_config(spec) for spec in self.outputs.values()],
            "instance_group": [{"name": self.name, "count": len(self.plan.pipelines), "kind": "KIND_MODEL"}],
            "parameters": {
                "layout": {"string_value": self.plan.solution.layout},
                "device": {"string_value": self.plan.device.name},
            },
        }

    def statistics(self) -> dict[str, Any]:
        """Return what was asked of it so far, as Triton has it."""
        tally = self.tally
        success, fail = {"count": tally.done, "ns": tally.done_ns}, {"count": tally.failed, "ns": tally.failed_ns}
        nothing = {"count": 0, "ns": 0}
        return {
            "name": self.name,
            "version": VERSION,
            "last_inference": tally.latest_ms,
            "inference_count": tally.done,
            "execution_count": tally.done,
            "inference_stats": {
                "success": success,
                "fail": fail,
                "queue": nothing,
                "compute_input": nothing,
                "compute_infer": success,
                "compute_output": nothing,
            },
            "batch_stats": [],
        }


def model_name(plan: Plan) -> str:
    """Return the name that a plan's model has unless the user gives another: its file's, as far as it fits a URL."""
    return url_name(PurePath(plan.model.name).stem)


def url_name(name: str) -> str:
    """Return a name as far as it fits a URL."""
    return re.sub(r"[^\w.-]+", "-", name) or "model"


def _config(spec: ArraySpec) -> dict[str, Any]:
    described = tensor_metadata(spec)
    return {"name": spec.name, "data_type": f"TYPE_{described['datatype']}", "dims": described["shape"]}


class Models:
    """All models of a server."""

    def __init__(self, models: Mapping[str, ServedModel]) -> None:
        self._models = dict(models)
        self.is_open = True
        """Whether it takes requests: not any more when it is about to end."""

    def __iter__(self) -> Any:
        return iter(self._models.values())

    @property
    def is_ready(self) -> bool:
        """Whether every model takes requests."""
        return self.is_open and all(model.is_ready for model in self)

    def get(self, name: str, version: str = "") -> ServedModel:
        """Return a model.

        Raises:
            Refusal: there is none of this name and version, or the server is about to end.
        """
        if name not in self._models:
            raise Refusal(404, f"there is no model {name!r}; known are: {', '.join(self._models)}")
        if version not in ("", VERSION):
            raise Refusal(404, f"the model {name!r} has no version {version!r}, only {VERSION}")
        return self._models[name]
