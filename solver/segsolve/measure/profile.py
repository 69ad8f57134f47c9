"""Makes the profile of a model from what was measured of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from segsolve.graph.model import Graph
from segsolve.measure.operations import Effort, OperationTimes
from segsolve.measure.samples import Summary
from segsolve.profile.format import Device, Edge, Environment, Layer, Model, Profile, Segment

DEVICE = "litert-cpu"
_PACKAGES = ("segsolve", "ai-edge-litert", "numpy")


def profile_of(
    graph: Graph, times: OperationTimes, segments: Mapping[tuple[int, int], Summary], *, effort: Effort, seed: int
) -> Profile:
    """Return the profile of a model; `segments` are further ranges (half-open) that were measured as a whole.

    Operations that must stay together were measured together: the first has their time, the others none.
    """
    unit = {segment.ops[0]: summary for segment, summary in times.units}
    known = {(0, len(graph.ops)): times.whole, **segments}
    return Profile(
        model=Model(name=graph.name, sha256=graph.sha256),
        device=Device(name=DEVICE, overhead_ns=times.invocation_ns),
        layers=[_layer(graph, position, unit.get(position), times.invocation_ns) for position in range(len(graph.ops))],
        edges=list(_edges(graph, times)),
        segments=measured_segments(known),
        environment=environment(effort, seed),
    )


def measured_segments(segments: Mapping[tuple[int, int], Summary]) -> list[Segment]:
    """Return the profile's entries for measured ranges (half-open)."""
    return [
        Segment(first_op=first, last_op=end - 1, time_ns=s.time_ns, statistics=s.statistics)
        for (first, end), s in sorted(segments.items())
    ]


def environment(effort: Effort, seed: int) -> Environment:
    """Return what a profile says of the machine and the measurement."""
    return Environment(
        machine=f"{processor()}, {os.cpu_count()} cores",
        system=f"{platform.system()} {platform.release()}",
        date=datetime.now(UTC).date().isoformat(),
        backend="litert",
        clock="CPU time of the calling thread, lower quartile",
        threads=1,
        runs=effort.runs,
        warm_up=effort.warm_up,
        seed=seed,
        versions={package: version(package) for package in _PACKAGES} | {"python": platform.python_version()},
    )


def _layer(graph: Graph, position: int, measured: Summary | None, invocation_ns: int) -> Layer:
    op = graph.ops[position]
    return Layer(
        name=op.name,
        time_ns=max(0, measured.time_ns - invocation_ns) if measured else 0,
        param_bytes=op.weight_bytes,
        streamed_time_ns=None,
        with_previous=measured is None,
        statistics=measured.statistics if measured else None,
    )


def _edges(graph: Graph, times: OperationTimes) -> Iterable[Edge]:
    for tensor, producer in graph.producer.items():
        readers: list[str | None] = [graph.ops[i].name for i in graph.consumers.get(tensor, ())]
        if tensor in graph.outputs and producer >= 0:
            readers.append(None)
        taken, given = times.inputs.get(tensor), times.outputs.get(tensor)
        for reader in readers:
            yield Edge(
                source=graph.ops[producer].name if producer >= 0 else None,
                to=reader,
                tensor=graph.tensors[tensor].name,
                bytes=graph.tensors[tensor].nbytes,
                time_ns=taken.time_ns if taken else 0,
                output_ns=given.time_ns if given else 0,
            )


def processor() -> str:
    """Return what this machine's processor is called."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
