"""Variables, constraints and objectives of the constraint program, one builder each.

Cut positions are the decisions. Stage k is one of the ranges that its window allows: a range of operations that is
contiguous, whose weights fit if they must, and whose time, spilled weights and transfers included, is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ortools.sat.python import cp_model

from segsolve.solvers.cpsat.windows import Arc, Windows

Literal = Any  # OR-Tools' BoolVarT


@dataclass(frozen=True, kw_only=True)
class Model:
    """The program and its variables.

    `cut[k]` is the position index at which stage k begins, k = 0..K; `begins[k][p]` says that it is p.
    `is_range[k]` pairs each arc of stage k with the literal that it is the stage's range.
    """

    program: cp_model.CpModel
    cut: Sequence[cp_model.IntVar]
    begins: Sequence[dict[int, Literal]]
    is_range: Sequence[Sequence[tuple[Arc, Literal]]]


def build(windows: Windows) -> Model:
    """Return the program of all plans within the windows, without an objective."""
    program = cp_model.CpModel()
    cut, begins = _cut_positions(program, windows)
    is_range = _stage_ranges(program, windows)
    model = Model(program=program, cut=cut, begins=begins, is_range=is_range)
    for k in range(len(windows.stages)):
        _stage_is_one_range(model, k)
        _range_begins_at_cut(model, k)
        _range_ends_at_next_cut(model, k)
    return model


def minimise_bottleneck(model: Model, lower_bound_ns: int, upper_bound_ns: int) -> None:
    """Minimise the time of the slowest stage, which lies between the bounds."""
    bottleneck = model.program.new_int_var(lower_bound_ns, upper_bound_ns, "bottleneck")
    for stage in model.is_range:
        for (_, _, time_ns), literal in stage:
            if time_ns > lower_bound_ns:
                model.program.add(bottleneck >= time_ns).only_enforce_if(literal)
    model.program.minimize(bottleneck)


def minimise_latency(model: Model) -> None:
    """Minimise the sum of the stage times."""
    terms = [time_ns * literal for stage in model.is_range for (_, _, time_ns), literal in stage]
    model.program.minimize(cp_model.LinearExpr.sum(terms))


def hint_path(model: Model, path: Sequence[int]) -> None:
    """Suggest a plan to begin with: the position indices at which its stages end."""
    starts = [0, *path, *[path[-1]] * (len(model.cut) - 1 - len(path))]
    for variable, position in zip(model.cut, starts, strict=True):
        model.program.add_hint(variable, position)


def _cut_positions(
    program: cp_model.CpModel, windows: Windows
) -> tuple[list[cp_model.IntVar], list[dict[int, Literal]]]:
    """A cut is a position of its window; a literal says which."""
    cuts, begins = [], []
    for k, window in enumerate(windows.positions):
        cut = program.new_int_var_from_domain(cp_model.Domain.from_values(list(window)), f"cut_{k}")
        literals = {p: program.new_bool_var(f"cut_{k}_is_{p}") for p in window}
        program.add_exactly_one(literals.values())
        program.add(cut == cp_model.LinearExpr.weighted_sum(list(literals.values()), list(literals)))
        cuts.append(cut)
        begins.append(literals)
    return cuts, begins


def _stage_ranges(program: cp_model.CpModel, windows: Windows) -> list[list[tuple[Arc, Literal]]]:
    return [
        [(arc, program.new_bool_var(f"stage_{k}_is_{arc[0]}_to_{arc[1]}")) for arc in arcs]
        for k, arcs in enumerate(windows.stages)
    ]


def _stage_is_one_range(model: Model, k: int) -> None:
    model.program.add_exactly_one(literal for _, literal in model.is_range[k])


def _range_begins_at_cut(model: Model, k: int) -> None:
    _exactly_one_agrees(model, model.begins[k], [(arc[0], literal) for arc, literal in model.is_range[k]])


def _range_ends_at_next_cut(model: Model, k: int) -> None:
    _exactly_one_agrees(model, model.begins[k + 1], [(arc[1], literal) for arc, literal in model.is_range[k]])


def _exactly_one_agrees(model: Model, positions: dict[int, Literal], ranges: Sequence[tuple[int, Literal]]) -> None:
    """A cut is at a position exactly when one of the ranges that touch the position there is chosen."""
    touching = defaultdict(list)
    for position, literal in ranges:
        touching[position].append(literal)
    for position, here in positions.items():
        model.program.add_exactly_one([*touching[position], here.negated()])
