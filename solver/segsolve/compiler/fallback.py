"""What operations cost that the compiler leaves to the host's CPU, where the device model had them on the Edge TPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from segsolve.compiler.log import Mapping
from segsolve.device.latency import host_ns, output_ns
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.source import CostSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallbacks:
    """Prices operations that fall back. Costs that were measured do not say what an operation takes on the host."""

    graph: Graph
    costs: CostSource

    def more_ns(self, ops: tuple[int, ...], fallen: Iterable[Mapping]) -> int:
        """Return what a stage takes longer, in ns, because operations fell back that were predicted on the device.

        A report counts them by kind. As the mapped part is one that ends where the first falls back, they are the last
        ones of their kind. No operation is counted as faster on the host than on the device.
        """
        if not isinstance(self.costs, AnalyticCosts):
            return 0
        positions = sorted({i for mapping in fallen for i in self._last(ops, mapping)})
        return sum(self._more_ns(self.costs, i) for i in positions) + self._handed_ns(self.costs, ops, positions)

    def _last(self, ops: tuple[int, ...], fallen: Mapping) -> list[int]:
        alike = [i for i in ops if self.graph.ops[i].kind == fallen.kind]
        return [i for i in alike[max(0, len(alike) - fallen.count) :] if self._is_mapped(i)]

    def _is_mapped(self, position: int) -> bool:
        """Whether the device model has an operation on the device."""
        mapped = self.costs.mapped if isinstance(self.costs, AnalyticCosts) else None
        return mapped is not None and mapped.first <= position < mapped.end

    def _more_ns(self, costs: AnalyticCosts, position: int) -> int:
        on_host = host_ns(costs.device, self.graph, self.graph.ops[position])
        return max(0, on_host - costs.op_costs[position].compute_ns)

    def _handed_ns(self, costs: AnalyticCosts, ops: tuple[int, ...], fallen: list[int]) -> int:
        """Return what it costs to bring back what the device made and operations read that fell back."""
        on_device = set(ops) - set(fallen)
        read = {t for i in fallen for t in self.graph.ops[i].inputs if self.graph.producer.get(t, -1) in on_device}
        return sum(output_ns(costs.device, self.graph.tensors[t].nbytes) for t in read)
