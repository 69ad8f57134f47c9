"""What a device description says of a whole model beside its time: range, compiled bytes, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from segsolve.cost.plan import Score
from segsolve.cost.stage import stage_score
from segsolve.device.activations import TILE_BYTES, tile_bytes
from segsolve.device.memory import image_scratch_bytes, packed_bytes
from segsolve.device.ranges import time_range
from segsolve.profile.analytic import AnalyticCosts
from segsolve.report.ranges import regime_of
from segsolve.report.units import mib, ms

_BECAUSE = {
    "spilling": "weights stream",
    "transfers": "transfers take much of it",
    "host": "the host limits",
    "small": "a small network",
    "plain": "most of it is work on the chip",
}


def inspected_facts(costs: AnalyticCosts, one_tpu: Score) -> Iterable[tuple[str, str]]:
    """Yield what to show below the predicted time, a name and a sentence each."""
    found = inspected_document(costs, one_tpu)
    if found["range_ns"]:
        low, high = found["range_ns"]
        why = _BECAUSE[found["regime"]]
        yield "range", f"{ms(low)} to {ms(high)} ms: 80 % of measurements of such times ({why})"
    yield "compiled file", f"{found['packed_bytes']:,} bytes of weights (predicted)"
    used, most = found["activation_bytes"], TILE_BYTES * costs.device.tiles
    beyond = ": the first layers run in stripes, and tensors may be kept in the host's memory" if used > most else ""
    yield "activations", f"{mib(used)} of {mib(most)} MiB on chip (predicted){beyond}"
    safe, optimistic = found["capacity_bytes"]["safe"], found["capacity_bytes"]["optimistic"]
    if safe != optimistic:
        yield (
            "room for weights",
            f"{mib(safe)} to {mib(optimistic)} MiB on chip: no rule is known for images this large; "
            f"plans are made with {mib(safe)}",
        )


def inspected_document(costs: AnalyticCosts, one_tpu: Score) -> dict[str, Any]:
    """Return the same as part of a JSON document; ns and bytes."""
    graph, device, (stage,) = costs.graph, costs.device, one_tpu.stages
    kind = regime_of(stage)
    mapped = graph.ops[costs.mapped.first : costs.mapped.end]
    other = AnalyticCosts(graph=graph, device=device.optimistic()).problem(tpus=1)
    return {
        "regime": str(kind),
        "range_ns": time_range(device.ranges, kind, stage.time_ns),
        "packed_bytes": sum(packed_bytes(device, graph, op) for op in mapped),
        "activation_bytes": device.tiles * tile_bytes(device, graph, costs.mapped.first, costs.mapped.end),
        "capacity_bytes": {
            "safe": stage.capacity_bytes,
            "optimistic": stage_score(other, range(len(graph.ops))).capacity_bytes
            if image_scratch_bytes(device, graph)
            else stage.capacity_bytes,
        },
    }
