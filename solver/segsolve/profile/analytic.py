"""Costs predicted by a device description."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from segsolve.device.latency import compute_ns, host_ns, input_ns, output_ns, streamed_ns
from segsolve.device.memory import (
    always_streams,
    cache_key,
    input_scratch_bytes,
    scratch_bytes,
    stored_bytes,
    streamed_bytes,
)
from segsolve.device.model import Device
from segsolve.device.operations import MappedPart, mapped_part
from segsolve.graph.model import Graph, Op
from segsolve.problem import Host, OpCost, Problem, SharedLink, Transfer


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
            cuts=tuple(cut for cut in self.graph.cuts if self.mapped.first < cut < self.mapped.end),
            tpus=tpus,
            capacity_bytes=max(0, self.device.memory_bytes - self.device.reserved_bytes),
            overhead_ns=round(self.device.invocation_ns),
            no_spill=no_spill,
            link=self._link,
            host=self._host,
        )

    @property
    def _link(self) -> SharedLink | None:
        rate = self.device.link_mib_per_s
        return None if rate is None else SharedLink(ns_per_mib=round(1e9 / rate))

    @property
    def _host(self) -> Host:
        outside = (op for op in self.graph.ops if not self.mapped.first <= op.position < self.mapped.end)
        return Host(
            cores=self.device.host_cores,
            serial_ns=round(self.device.host_serial_ns),
            work_ns=sum(host_ns(self.device, self.graph, op) for op in outside),
            frame_ns=round(self.device.host_frame_ns_per_byte * self._frame_bytes),
        )

    @property
    def _frame_bytes(self) -> int:
        """What devices take and give of an inference as a whole, wherever it is cut."""
        mapped = range(self.mapped.first, self.mapped.end)
        taken = (t for t in self.transfers if t.producer not in mapped and any(c in mapped for c in t.consumers))
        given = (
            t
            for t in self.transfers
            if t.producer in mapped and (t.is_output or any(c not in mapped for c in t.consumers))
        )
        return sum(t.nbytes for t in (*taken, *given))

    @cached_property
    def mapped(self) -> MappedPart:
        """The operations that the device takes; the others stay with the first and the last of them, on the host."""
        return mapped_part(self.graph, self.device.also_taken)

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
                input_ns=input_ns(device, graph, tensor),
                output_ns=output_ns(device, graph.tensors[tensor].nbytes),
                scratch_bytes=input_scratch_bytes(device, graph.tensors[tensor]),
            )
            for tensor, producer in graph.producer.items()
        )

    def _op_cost(self, op: Op, cache_rank: int) -> OpCost:
        if not self.mapped.first <= op.position < self.mapped.end:
            return self._on_host(op, cache_rank)
        return OpCost(
            name=op.name,
            compute_ns=compute_ns(self.device, self.graph, op),
            streamed_ns=streamed_ns(self.device, self.graph, op),
            weight_bytes=stored_bytes(self.device, self.graph, op),
            streamed_bytes=streamed_bytes(self.device, self.graph, op),
            parameter_bytes=op.weight_bytes,
            cacheable=not always_streams(self.device, self.graph, op),
            cache_rank=cache_rank,
            scratch_bytes=scratch_bytes(self.device, self.graph, op),
            cpu_ns=host_ns(self.device, self.graph, op),
            link_bytes=self.device.link_operation_bytes,
        )

    def _on_host(self, op: Op, cache_rank: int) -> OpCost:
        """Price an operation on the host's CPU: its weights take no memory of the device."""
        ns, back = host_ns(self.device, self.graph, op), 0
        if op.position == self.mapped.end:  # what the device made has to come back
            handed = [self.graph.tensors[t].nbytes for t in self.graph.crossing(op.position) if self._is_made(t)]
            ns, back = ns + sum(output_ns(self.device, nbytes) for nbytes in handed), sum(handed)
        return OpCost(
            name=op.name,
            compute_ns=ns,
            streamed_ns=ns,
            weight_bytes=0,
            streamed_bytes=0,
            parameter_bytes=op.weight_bytes,
            cacheable=False,
            cache_rank=cache_rank,
            scratch_bytes=0,
            cpu_ns=host_ns(self.device, self.graph, op),
            link_bytes=back,
        )

    def _is_made(self, tensor: int) -> bool:
        return self.graph.producer[tensor] >= 0
