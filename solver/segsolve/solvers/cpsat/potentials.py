"""The linear program behind the pattern bound, for GLOP: potentials under which known patterns are worth little.

maximise    sum over m of pi_m(end)
subject to  sum over stages (m, a, b) of p of pi_m(b) - pi_m(a) <= z_kind(p)    for every pattern p
            sum over kinds of n_c z_c = 1,   pi_m(0) = 0,   pi_m does not fall

It is solved as its dual, whose columns are the patterns: how many TPUs have each, so that all models are covered, at
the least part t of all TPUs. That begins where the last one ended: patterns come, and some are left aside.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pattern = tuple[int, frozenset[tuple[int, int, int]]]
"""A kind of TPU, and stages: (model, first state, last state)."""

_MOST = 100.0  # of a potential: the program is bounded before patterns are known for all states
_IDLE = 4  # times as many patterns as are used: beyond, the program is made anew


class Program:
    """The program for models of so many states each, and so many TPUs of each kind."""

    def __init__(self, states: Sequence[int], counts: Sequence[int]) -> None:
        self._counts = counts
        self._starts = [0, *accumulate(n - 1 for n in states)]  # of each model's potentials but for the first, 0
        self._columns: dict[Pattern, Any] = {}
        self._used: dict[Pattern, None] = {}
        self._states: list[Any] = []
        self._begin()

    def solve(self, patterns: Collection[Pattern]) -> tuple[float, list[Floats], Floats, Floats]:
        """Return the largest sum of ends, potentials [states] of models, patterns' distances from their kinds, amounts.

        The amounts say how many TPUs have each pattern in the answer, where all there are have the sum of ends.
        """
        if len(self._columns) > _IDLE * (len(patterns) + 100):
            self._begin()
        used = dict.fromkeys(patterns)
        for pattern in self._used.keys() - used.keys():
            self._columns[pattern].SetUb(0.0)
        for pattern in used:
            if pattern not in self._columns:
                self._columns[pattern] = self._column(pattern)
            elif pattern not in self._used:
                self._columns[pattern].SetUb(self._solver.infinity())
        self._used = used
        if self._solver.Solve(self._parameters) != self._solver.OPTIMAL:
            raise ArithmeticError("GLOP found no potentials")
        worths = np.array([row.dual_value() for row in self._states])
        potentials = [np.concatenate(([0.0], worths[low:high])) for low, high in pairwise(self._starts)]
        columns = [self._columns[pattern] for pattern in patterns]
        slack = np.array([column.reduced_cost() for column in columns])
        amounts = np.array([column.solution_value() for column in columns])
        return float(self._solver.Objective().Value()), potentials, slack, amounts

    def _begin(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of SWIG's; as an error, it ends the process
            from ortools.linear_solver import pywraplp

        solver: Any = pywraplp.Solver.CreateSolver("GLOP")
        self._solver, self._parameters = solver, pywraplp.MPSolverParameters()
        # without presolve it goes on from the last basis, in an eighth of the time
        self._parameters.SetIntegerParam(self._parameters.PRESOLVE, self._parameters.PRESOLVE_OFF)
        self._parameters.SetIntegerParam(self._parameters.LP_ALGORITHM, self._parameters.PRIMAL)
        self._columns, self._used = {}, {}
        infinity, ends = solver.infinity(), {start - 1 for start in self._starts[1:]}
        self._states = [solver.Constraint(float(i in ends), infinity) for i in range(self._starts[-1])]
        self._kinds = [solver.Constraint(0.0, infinity) for _ in self._counts]
        for i, row in enumerate(self._states):
            self._enter(_MOST, {row: 1.0})
            if i not in ends:
                row.SetBounds(0.0, 0.0)
                self._enter(0.0, {row: 1.0, self._states[i + 1]: -1.0})
        for start in self._starts[:-1]:
            self._enter(0.0, {self._states[start]: -1.0})
        self._enter(1.0, dict(zip(self._kinds, map(float, self._counts), strict=True)))

    def _column(self, pattern: Pattern) -> Any:
        kind, stages = pattern
        rows: dict[Any, float] = {self._kinds[kind]: -1.0}
        for m, a, b in stages:
            rows[self._states[self._starts[m] + b - 1]] = 1.0
            if a:
                rows[self._states[self._starts[m] + a - 1]] = -1.0
        return self._enter(0.0, rows)

    def _enter(self, cost: float, rows: dict[Any, float]) -> Any:
        """Return a new column."""
        column = self._solver.NumVar(0.0, self._solver.infinity(), "")
        self._solver.Objective().SetCoefficient(column, cost)
        for row, value in rows.items():
            row.SetCoefficient(column, value)
        return column
