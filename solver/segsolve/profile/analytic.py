"""Costs predicted by a device description."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from segsolve.device.latency import compute_ns, streamed_ns, transfer_ns
from segsolve.device.memory import CACHED_KINDS, cache_key, scratch_bytes, stored_bytes, streamed_bytes
from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op
from segsolve.problem import OpCost, Problem, SharedLink, Transfer


@dataclass(frozen=True, kw_only=True)
class AnalyticCosts:
    """The cost source that knows a network and a device description."""

    graph: Graph
    device: Device

    def problem(self, *, tpus: int, no_spill: bool = False) -> Problem:
        """Return the problem for a number of TPUs; ns and bytes."""
        return Problem(
            name=self.graph.name,
            ops=self.op_costs,
            transfers=self.transfers,
            cuts=self.graph.cuts,
            tpus=tpus,
            capacity_bytes=max(0, self.device.memory_bytes - self.device.reserved_bytes),
            overhead_ns=round(self.device.invocation_ns),
            no_spill=no_spill,
            link=self._link,
        )

    @property
    def _link(self) -> SharedLink | None:
        rate = self.device.link_mib_per_s
        return None if rate is None else SharedLink(ns_per_mib=round(1e9 / rate))

    @cached_property
    def op_costs(self) -> tuple[OpCost, ...]:
        """The operations' costs, in execution order."""
        order = sorted(self.graph.ops, key=lambda op: cache_key(self.device, self.graph, op))
        rank = {op.position: r for r, op in enumerate(order)}
        return tuple(self._op_cost(op, rank[op.position]) for op in self.graph.ops)

    @cached_property
    def transfers(self) -> tuple[Transfer, ...]:
        """Every tensor that an operation or the host hands to another."""
        graph, device = self.graph, self.device
        return tuple(
            Transfer(
                name=graph.tensors[tensor].name,
                nbytes=graph.tensors[tensor].nbytes,
                producer=producer,
                consumers=graph.consumers.get(tensor, ()),
                is_output=tensor in graph.outputs and producer >= 0,
                input_ns=transfer_ns(device.input_ns_per_byte, graph.tensors[tensor].nbytes),
                output_ns=transfer_ns(device.output_ns_per_byte, graph.tensors[tensor].nbytes),
            )
            for tensor, producer in graph.producer.items()
        )

    def _op_cost(self, op: Op, cache_rank: int) -> OpCost:
        return OpCost(
            name=op.name,
            compute_ns=compute_ns(self.device, self.graph, op),
            streamed_ns=streamed_ns(self.device, self.graph, op),
            weight_bytes=stored_bytes(self.device, self.graph, op),
            streamed_bytes=streamed_bytes(self.device, self.graph, op),
            parameter_bytes=op.weight_bytes,
            cacheable=op.kind in CACHED_KINDS,
            cache_rank=cache_rank,
            scratch_bytes=scratch_bytes(self.device, self.graph, op),
        )
