"""The ladder as a mixed-integer program for HiGHS: a plan whose every stage keeps a bound, or the best."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from segsolve.solvers.ladder.bounds import Windows
from segsolve.solvers.ladder.dag import Dag, Tensor
from segsolve.solvers.ladder.intervals import Part

Terms = dict[int, float]  # coefficient by column
Sum = tuple[float, Terms]  # a constant and terms

_STATUS = {0: "feasible", 1: "limit", 2: "infeasible"}


class MixedInteger:
    """Rows and columns; ladder literals are columns, costs of tensors continuous ones that costs press down.

    With `minimise`, the largest share of the bound that a stage takes is made as small as possible.
    """

    def __init__(self, dag: Dag, windows: Windows, tpus: int, bound_ns: int, *, minimise: bool = False) -> None:
        self._dag, self._windows, self._bound = dag, windows, bound_ns
        self._integer: list[bool] = []
        self._rows: list[Terms] = []
        self._least: list[float] = []
        self._share: Terms = {self._new(integer=False): 1.0} if minimise else {}
        self._column = {
            (g, k): self._new(integer=True)
            for g in range(len(dag))
            for k in range(windows.earliest[g], windows.latest[g])
        }
        cores = windows.stages - tpus
        self._core = [self._new(integer=True) for _ in range(windows.stages)] if cores else []
        if cores:
            self._row(dict.fromkeys(self._core, 1.0), cores)
            self._row(dict.fromkeys(self._core, -1.0), -cores)
            self._processors()
        self._order()
        for k in range(windows.stages):
            self._stage(k)

    def solve(self, time_limit_s: float) -> tuple[str, tuple[Part, ...] | None]:
        """Return whether the program is feasible, infeasible or undecided, and the plan if it is feasible."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_array

        count = len(self._integer)
        objective = np.zeros(count)
        objective[list(self._share)] = 1.0
        data = [(row, column, value) for row, terms in enumerate(self._rows) for column, value in terms.items()]
        rows, columns, values = (np.array(part) for part in zip(*data, strict=True)) if data else ((), (), ())
        matrix = csr_array((values, (rows, columns)), shape=(len(self._rows), count))
        found = milp(
            objective,
            integrality=np.array(self._integer, dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, lb=np.array(self._least)),
            options={"time_limit": time_limit_s},
        )
        status = _STATUS.get(int(found.status), "limit")
        return status, self._parts(found.x) if found.x is not None else None

    def _new(self, *, integer: bool) -> int:
        self._integer.append(integer)
        return len(self._integer) - 1

    def _row(self, terms: Terms, least: float) -> None:
        """Demand that a sum is at least something."""
        self._rows.append(terms)
        self._least.append(least)

    def _reached(self, g: int, k: int) -> Sum:
        if k < self._windows.earliest[g]:
            return 0.0, {}
        return (1.0, {}) if k >= self._windows.latest[g] else (0.0, {self._column[g, k]: 1.0})

    def _inside(self, g: int, k: int) -> Sum:
        return _add([(1.0, self._reached(g, k)), (-1.0, self._reached(g, k - 1))])

    def _at_least(self, left: Sum, right: Sum) -> None:
        """Demand left >= right, unless constants decide it."""
        constant, terms = _add([(1.0, left), (-1.0, right)])
        if sum(min(0.0, value) for value in terms.values()) + constant < 0:
            self._row(terms, -constant)

    def _order(self) -> None:
        for (g, k), column in self._column.items():
            if (g, k + 1) in self._column:
                self._row({self._column[g, k + 1]: 1.0, column: -1.0}, 0.0)
        for maker, reader in self._dag.reduced_edges:
            for k in range(self._windows.stages):
                self._at_least(self._reached(maker, k), self._reached(reader, k))

    def _processors(self) -> None:
        for g in range(len(self._dag)):
            for k, core in enumerate(self._core):
                if self._dag.cpu_ns[g] is None:
                    self._at_least((1.0, {core: -1.0}), self._inside(g, k))
                if not self._dag.accelerated[g]:
                    self._at_least((0.0, {core: 1.0}), self._inside(g, k))

    def _stage(self, k: int) -> None:
        """A stage keeps the bound on what runs it; as shares of the bound, so that rows are of a size."""
        dag = self._dag
        inside = [g for g in range(len(dag)) if self._windows.earliest[g] <= k <= self._windows.latest[g]]
        load = [(float(dag.compute_ns[g]), self._inside(g, k)) for g in inside if dag.compute_ns[g]]
        load.append((float(dag.problem.overhead_ns), self._used(inside, k)))
        for tensor in dag.tensors:
            load += self._tensor(tensor, k)
        load += self._memory(inside, k)
        self._keep(load, [(1.0, (0.0, {self._core[k]: 1.0}))] if self._core else [])
        if self._core:
            slow = [(float(dag.cpu_ns[g] or 0), self._inside(g, k)) for g in inside]
            self._keep(slow, [(1.0, (1.0, {self._core[k]: -1.0}))])

    def _keep(self, load: list[tuple[float, Sum]], unless: list[tuple[float, Sum]]) -> None:
        """Demand load <= bound, unless a literal says that another processor runs the stage."""
        constant, terms = _add([(factor / max(1, self._bound), part) for factor, part in load])
        most = constant + sum(max(0.0, value) for value in terms.values())
        room = float(min(1, self._bound))
        if most > room or self._share:
            relief = [(max(0.0, most - room * (not self._share)) * factor, part) for factor, part in unless]
            limit: Sum = (0.0, self._share) if self._share else (room, {})
            self._at_least(_add([(1.0, limit), *relief]), (constant, terms))

    def _used(self, inside: list[int], k: int) -> Sum:
        """Whether a stage is used; without cores, an empty one may pay too, since no bound is below the overhead."""
        if not self._core or not self._dag.problem.overhead_ns:
            return 1.0, {}
        used = {self._new(integer=False): 1.0}
        for g in inside:
            self._at_least((0.0, used), self._inside(g, k))
        return 0.0, used

    def _tensor(self, tensor: Tensor, k: int) -> list[tuple[float, Sum]]:
        """Return what a stage pays for a tensor."""
        if tensor.producer < 0:
            before: Sum = (1.0, {})
            made: Sum = (0.0, {})
        else:
            before, made = self._reached(tensor.producer, k - 1), self._inside(tensor.producer, k)
        paid = []
        if tensor.out_ns and made != (0.0, {}):
            column = (0.0, {self._new(integer=False): 1.0})
            for reader in tensor.consumers:
                self._at_least(column, _add([(1.0, made), (-1.0, self._reached(reader, k))]))
            paid.append((float(tensor.out_ns), column))
        if tensor.in_ns and before != (0.0, {}):
            column = (0.0, {self._new(integer=False): 1.0})
            for reader in tensor.consumers:
                late = _add([(1.0, before), (-1.0, (1.0, {}))])
                self._at_least(column, _add([(1.0, late), (1.0, self._inside(reader, k))]))
            paid.append((float(tensor.in_ns), column))
        return paid

    def _memory(self, inside: list[int], k: int) -> list[tuple[float, Sum]]:
        """Keep the memory of a stage, and return what it pays for weights that stream."""
        dag, problem = self._dag, self._dag.problem
        if dag.fits_anyway or not problem.capacity_bytes:
            return self._all_stream(inside, k) if not dag.fits_anyway else []
        held: list[tuple[float, Sum]] = []
        paid: list[tuple[float, Sum]] = []
        if problem.no_spill:
            held = [(float(dag.weight_bytes[g]), self._inside(g, k)) for g in inside if dag.weight_bytes[g]]
        else:
            for i in problem.cache_order:
                op, g = problem.ops[i], dag.group_of[i]
                if g in inside:
                    cached: Sum = (0.0, {self._new(integer=True): 1.0})
                    self._at_least(self._inside(g, k), cached)
                    held.append((float(op.weight_bytes), cached))
                    extra = float(op.streamed_ns - op.compute_ns)
                    paid += [(extra, self._inside(g, k)), (-extra, cached)]
        self._fit(held, inside, k)
        return paid

    def _all_stream(self, inside: list[int], k: int) -> list[tuple[float, Sum]]:
        """Without any memory no weights are cached; where they must be, their groups are on no accelerator."""
        dag, problem = self._dag, self._dag.problem
        paid = []
        for i in problem.cache_order:
            op, g = problem.ops[i], dag.group_of[i]
            if g in inside:
                extra = 2.0 * self._bound + 2.0 if problem.no_spill else float(op.streamed_ns - op.compute_ns)
                paid.append((extra, self._inside(g, k)))
        return paid

    def _fit(self, held: list[tuple[float, Sum]], inside: list[int], k: int) -> None:
        """Demand that weights fit beside the scratch memory of all groups and inputs, in shares of the memory."""
        capacity = self._dag.problem.capacity_bytes
        needs = [(g, min(self._dag.scratch_bytes[g], capacity)) for g in inside if self._dag.scratch_bytes[g]]
        entering = [
            (tensor, reader) for tensor in self._dag.large_inputs for reader in tensor.consumers if reader in inside
        ]
        share = [(weight / capacity, part) for weight, part in held]
        if needs or entering:
            scratch: Sum = (0.0, {self._new(integer=False): 1.0})
            for g, need in needs:
                self._at_least(scratch, _add([(need / capacity, self._inside(g, k))]))
            for tensor, reader in entering:
                made = _add([(1.0, self._reached(tensor.producer, k - 1)), (-1.0, (1.0, {}))])
                need = min(tensor.scratch_bytes, capacity)
                self._at_least(scratch, _add([(need / capacity, made), (need / capacity, self._inside(reader, k))]))
            share.append((1.0, scratch))
        room: list[tuple[float, Sum]] = [(1.0, (1.0, {}))]
        if self._core and self._dag.problem.no_spill:
            most = sum(weight for weight, _ in share)
            room.append((max(0.0, most - 1.0), (0.0, {self._core[k]: 1.0})))
        self._at_least(_add(room), _add(share))

    def _parts(self, values: Iterable[float]) -> tuple[Part, ...]:
        rounded = [round(value) for value in values]
        members: dict[int, list[int]] = {}
        for g in range(len(self._dag)):
            steps = range(self._windows.earliest[g], self._windows.latest[g])
            members.setdefault(self._windows.latest[g] - sum(rounded[self._column[g, k]] for k in steps), []).append(g)
        return tuple(
            Part(groups=tuple(groups), on_cpu=bool(self._core and rounded[self._core[k]]))
            for k, groups in sorted(members.items())
        )


def _add(parts: Iterable[tuple[float, Sum]]) -> Sum:
    """Return a weighted sum."""
    constant = 0.0
    terms: Terms = {}
    for factor, (own, others) in parts:
        constant += factor * own
        for column, value in others.items():
            terms[column] = terms.get(column, 0.0) + factor * value
    return constant, {column: value for column, value in terms.items() if value}
