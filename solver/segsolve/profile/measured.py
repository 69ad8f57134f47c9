"""Costs that were measured, from a profile file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segsolve.errors import DeviceError
from segsolve.graph.model import Graph
from segsolve.problem import Host, MeasuredStage, OpCost, Problem, Transfer
from segsolve.profile.format import Edge, Layer, Profile
from segsolve_runtime.contract.start import Start


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredDevice:
    """What a profile says of the device."""

    name: str
    memory_bytes: int
    is_optimistic: bool = False
    start: Start | None = None
    ranges: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class MeasuredCosts:
    """The cost source that knows a profile; the network itself says only where it may be cut, if it is at hand.

    `memory_bytes` is the devices' memory instead of the profile's, `name` the problem's where nothing else names it,
    `cpus` the number of CPU cores that may take layers over, `host_cores` those of the host instead of the profile's.
    """

    profile: Profile
    graph: Graph | None = None
    memory_bytes: int | None = None
    name: str = "profile"
    cpus: int = 0
    host_cores: int | None = None

    @cached_property
    def device(self) -> MeasuredDevice:
        """The measured device; without a limit to its memory, it has as much as all layers together need."""
        given = self.profile.device.memory_bytes if self.memory_bytes is None else self.memory_bytes
        memory = self._all_bytes() if given is None else given
        return MeasuredDevice(name=self.profile.device.name, memory_bytes=memory)

    def problem(self, *, tpus: int, no_spill: bool = False) -> Problem:
        """Return the problem for a number of TPUs; ns and bytes.

        Raises:
            DeviceError: a layer needs a CPU core, and there is none.
        """
        alone = next((layer for layer in self.profile.layers if not layer.on_accelerator), None)
        if alone is not None and not self.cpus:
            raise DeviceError(f"layer {alone.name!r} of the profile runs on no accelerator", "give CPU cores: --cpus 1")
        return Problem(
            name=self._title(),
            ops=tuple(self._op_cost(position, layer) for position, layer in enumerate(self.profile.layers)),
            transfers=tuple(self._transfers()),
            cuts=self._cuts(),
            tpus=tpus,
            cpus=self.cpus,
            capacity_bytes=self.device.memory_bytes,
            overhead_ns=self._scaled(self.profile.device.overhead_ns),
            no_spill=no_spill,
            host=self._host(),
            measured=tuple(
                MeasuredStage(first=s.first_op, end=s.last_op + 1, time_ns=s.time_ns) for s in self.profile.segments
            ),
        )

    def _host(self) -> Host | None:
        """Return the profile's host; None where its cores are devices themselves."""
        host = self.profile.device.host
        if host is None or self.cpus:
            return None
        return Host(
            cores=host.cores if self.host_cores is None else self.host_cores,
            serial_ns=self._scaled(host.serial_ns),
            work_ns=self._scaled(host.work_ns),
            frame_ns=self._scaled(host.frame_ns),
        )

    def _title(self) -> str:
        if self.graph is not None:
            return self.graph.name
        return self.profile.model.name if self.profile.model else self.name

    def _cuts(self) -> tuple[int, ...]:
        positions = range(1, len(self.profile.layers)) if self.graph is None else self.graph.cuts
        return tuple(p for p in positions if not self.profile.layers[p].with_previous)

    def _all_bytes(self) -> int:
        layers = self.profile.layers
        scratch = [layer.scratch_bytes for layer in layers] + [edge.scratch_bytes for edge in self.profile.edges]
        return sum(_stored(layer) for layer in layers) + max(scratch)

    def _op_cost(self, position: int, layer: Layer) -> OpCost:
        stream_ns = round(_stored(layer) * self.profile.device.stream_ns_per_byte)
        streamed = layer.time_ns + stream_ns if layer.streamed_time_ns is None else layer.streamed_time_ns
        return OpCost(
            name=layer.name,
            compute_ns=self._scaled(layer.time_ns),
            streamed_ns=self._scaled(streamed),
            weight_bytes=_stored(layer),
            streamed_bytes=_stored(layer),
            parameter_bytes=layer.param_bytes,
            cacheable=layer.cacheable,
            cache_rank=position if layer.cache_rank is None else layer.cache_rank,
            scratch_bytes=layer.scratch_bytes,
            cpu_ns=None if layer.cpu_time_ns is None else self._scaled(layer.cpu_time_ns),
            on_accelerator=layer.on_accelerator,
        )

    def _transfers(self) -> Iterable[Transfer]:
        position = {layer.name: i for i, layer in enumerate(self.profile.layers)}
        edges: dict[tuple[str | None, str | None], list[Edge]] = {}
        for edge in self.profile.edges:
            edges.setdefault(edge.key, []).append(edge)
        for (source, tensor), same in edges.items():
            one = same[0]
            yield Transfer(
                name=tensor or source or "input",
                nbytes=one.bytes,
                producer=-1 if source is None else position[source],
                consumers=tuple(sorted({position[e.to] for e in same if e.to is not None})),
                is_output=any(e.to is None for e in same),
                input_ns=self._scaled(one.time_ns),
                output_ns=self._scaled(one.time_ns if one.output_ns is None else one.output_ns),
                scratch_bytes=one.scratch_bytes,
            )

    def _scaled(self, ns: int) -> int:
        return round(ns * self.profile.scale)


def check_profile_of(profile: Profile, graph: Graph, path: str | Path) -> None:
    """Raise a DeviceError if a profile is of another network: by its digest if it has one, else by its layers."""
    hint = f"measure this one: segsolve profile {graph.name} -o profile.json"
    known = profile.model
    if known is not None and known.sha256 not in (None, graph.sha256):
        raise DeviceError(f"{path} was measured for {known.name}, which is not the same file as {graph.name}", hint)
    if len(profile.layers) != len(graph.ops):
        found, wanted = len(profile.layers), len(graph.ops)
        raise DeviceError(f"{path} has {found} layers, but {graph.name} has {wanted} operations", hint)
    for op, layer in zip(graph.ops, profile.layers, strict=True):
        if op.name != layer.name:
            where = f"layer {op.position} of {path} is {layer.name!r}"
            raise DeviceError(f"{where}, but {graph.name} has {op.name!r} there", hint)


def _stored(layer: Layer) -> int:
    return layer.param_bytes if layer.stored_bytes is None else layer.stored_bytes
