"""A problem as the ladder model sees it: groups of operations that stay together, and the tensors between them.

Costs that a group pays wherever it is placed, such as those of the model's inputs and outputs, are part of its own
cost; what is left depends on which groups share a stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from segsolve.graph.order import topological
from segsolve.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What one group makes and others read; `producer` is -1 for an input of the model that several groups read.

    An accelerator pays `out_ns` once if it holds the producer and not all consumers, and `in_ns` once if it holds a
    consumer and not the producer; then it has `scratch_bytes` less for weights, if they are more than its groups'.
    """

    producer: int
    consumers: tuple[int, ...]
    in_ns: int
    out_ns: int
    scratch_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Dag:
    """Groups in a topological order, each with its cost in ns.

    `groups` are the operations of each, ascending; `compute_ns` is the cost on an accelerator with weights on chip,
    `cpu_ns` on a core (None: impossible), `accelerated` whether an accelerator can run it at all.
    """

    problem: Problem
    groups: tuple[tuple[int, ...], ...]
    compute_ns: tuple[int, ...]
    cpu_ns: tuple[int | None, ...]
    accelerated: tuple[bool, ...]
    tensors: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.groups)

    @cached_property
    def group_of(self) -> dict[int, int]:
        """The group of each operation."""
        return {op: g for g, ops in enumerate(self.groups) for op in ops}

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """The pairs of groups of which the second reads what the first makes, ascending."""
        return tuple(sorted({(t.producer, c) for t in self.tensors if t.producer >= 0 for c in t.consumers}))

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        """For each group those that read from it."""
        return _adjacent(len(self), self.edges)

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        """For each group those that it reads from."""
        return _adjacent(len(self), ((b, a) for a, b in self.edges))

    @cached_property
    def ancestors(self) -> tuple[int, ...]:
        """For each group a bit set of itself and all that it depends on."""
        found: list[int] = []
        for g, before in enumerate(self.predecessors):
            found.append((1 << g) | _union(found[p] for p in before))
        return tuple(found)

    @cached_property
    def descendants(self) -> tuple[int, ...]:
        """For each group a bit set of itself and all that depends on it."""
        found = [0] * len(self)
        for g in reversed(range(len(self))):
            found[g] = (1 << g) | _union(found[s] for s in self.successors[g])
        return tuple(found)

    @cached_property
    def reduced_edges(self) -> tuple[tuple[int, int], ...]:
        """The edges that no longer path implies."""
        longer = [_union(self.descendants[s] & ~(1 << s) for s in after) for after in self.successors]
        return tuple((a, b) for a, b in self.edges if not longer[a] >> b & 1)

    @cached_property
    def weight_bytes(self) -> tuple[int, ...]:
        """The bytes of cacheable weights of each group."""
        ops = self.problem.ops
        return tuple(sum(ops[i].weight_bytes for i in group if ops[i].cacheable) for group in self.groups)

    @cached_property
    def scratch_bytes(self) -> tuple[int, ...]:
        """The scratch memory of each group, with that of the model's inputs, which come in wherever it is placed."""
        needs = [op.scratch_bytes for op in self.problem.ops]
        for transfer in self.problem.large_inputs:
            if transfer.producer < 0:
                for reader in transfer.consumers:
                    needs[reader] = max(needs[reader], transfer.scratch_bytes)
        return tuple(max(needs[i] for i in group) for group in self.groups)

    @cached_property
    def large_inputs(self) -> tuple[Tensor, ...]:
        """The tensors between groups that may take memory from a stage beyond what its groups take."""
        return tuple(
            t
            for t in self.tensors
            if t.producer >= 0 and t.scratch_bytes > min(self.scratch_bytes[c] for c in t.consumers)
        )

    @property
    def fits_anyway(self) -> bool:
        """Whether all weights fit a single device, whatever shares it: then memory decides nothing."""
        scratch = max((*self.scratch_bytes, *(t.scratch_bytes for t in self.large_inputs)))
        return sum(self.weight_bytes) + scratch <= self.problem.capacity_bytes

    def members(self, groups: Iterable[int]) -> tuple[int, ...]:
        """Return the operations of some groups, ascending."""
        return tuple(sorted(op for g in groups for op in self.groups[g]))


def dag_of(problem: Problem) -> Dag:
    """Return the DAG of the operations between a problem's legal cuts, which stay together."""
    bounds = (0, *problem.cuts, len(problem.ops))
    return build(problem, [range(a, b) for a, b in pairwise(bounds)])


def build(problem: Problem, parts: Sequence[Sequence[int]]) -> Dag:
    """Return the DAG of groups of operations, which must not depend on each other in circles."""
    groups = tuple(tuple(sorted(parts[g])) for g in _topological(problem, parts))
    group_of = {op: g for g, ops in enumerate(groups) for op in ops}
    fixed, tensors = _tensors(problem, group_of, len(groups))
    ops = problem.ops
    for g, members in enumerate(groups):
        fixed[g] += sum(ops[i].compute_ns if _may_cache(problem, i) else ops[i].streamed_ns for i in members)
    return Dag(
        problem=problem,
        groups=groups,
        compute_ns=tuple(fixed),
        cpu_ns=tuple(_sum([ops[i].cpu_ns for i in members]) for members in groups),
        accelerated=tuple(all(ops[i].on_accelerator for i in members) for members in groups),
        tensors=tensors,
    )


def _may_cache(problem: Problem, op: int) -> bool:
    """Whether an operation's weights are ever on chip; without weights, nothing streams."""
    return problem.ops[op].cacheable or not problem.ops[op].weight_bytes


def _tensors(problem: Problem, group_of: dict[int, int], count: int) -> tuple[list[int], tuple[Tensor, ...]]:
    """Return what each group pays for tensors in any case, and the tensors whose cost depends on the stages."""
    fixed = [0] * count
    merged: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for transfer in problem.transfers:
        producer = group_of[transfer.producer] if transfer.producer >= 0 else -1
        consumers = tuple(sorted({group_of[c] for c in transfer.consumers} - {producer}))
        out_ns = transfer.output_ns if producer >= 0 else 0
        if producer >= 0 and transfer.is_output:
            fixed[producer] += out_ns
            out_ns = 0
        if producer < 0 and len(consumers) == 1:
            fixed[consumers[0]] += transfer.input_ns
        elif consumers:
            costs = merged.setdefault((producer, consumers), [0, 0, 0])
            costs[0] += transfer.input_ns
            costs[1] += out_ns
            costs[2] = max(costs[2], transfer.scratch_bytes)
    return fixed, tuple(
        Tensor(producer=p, consumers=c, in_ns=costs[0], out_ns=costs[1], scratch_bytes=costs[2])
        for (p, c), costs in sorted(merged.items())
    )


def _topological(problem: Problem, groups: Sequence[Sequence[int]]) -> list[int]:
    """Order the groups so that each comes after all that it reads from; ties by their first operation."""
    group_of = {op: g for g, ops in enumerate(groups) for op in ops}
    after: list[set[int]] = [set() for _ in groups]
    for transfer in problem.transfers:
        if transfer.producer >= 0:
            after[group_of[transfer.producer]] |= {group_of[c] for c in transfer.consumers}
    for g, followers in enumerate(after):
        followers.discard(g)
    order = topological(dict(enumerate(after)), {g: min(ops) for g, ops in enumerate(groups)})
    if len(order) < len(groups):
        raise ValueError("operations that must stay together depend on each other in a circle")
    return order


def _adjacent(count: int, edges: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    found: list[list[int]] = [[] for _ in range(count)]
    for a, b in edges:
        found[a].append(b)
    return tuple(map(tuple, found))


def _union(sets: Iterable[int]) -> int:
    union = 0
    for bits in sets:
        union |= bits
    return union


def _sum(times: Sequence[int | None]) -> int | None:
    known = [time for time in times if time is not None]
    return sum(known) if len(known) == len(times) else None
