"""Constraint builder for stages that were measured as a whole: those take their measured time, and no other."""

from __future__ import annotations

from typing import Any

from segsolve.solvers.cpsat.ladder import Ladder, Literal, negated


def measured_stages(model: Ladder) -> list[list[tuple[Literal, int]]]:
    """Return for each stage the literals that it is exactly a measured one, each with the time in ns."""
    dag = model.dag
    found: list[list[tuple[Literal, int]]] = [[] for _ in model.stages]
    for number, stage in enumerate(dag.problem.measured):
        groups = {dag.group_of[i] for i in range(stage.first, stage.end)}
        if sum(len(dag.groups[g]) for g in groups) != stage.end - stage.first:
            continue  # it ends within a group, so no stage is exactly this one
        for k in model.stages:
            if all(model.may_be_in(g, k) for g in groups):
                found[k].append((_is_exactly(model, groups, k, f"measured_{number}_{k}"), stage.time_ns))
    return found


def _is_exactly(model: Ladder, groups: set[int], k: int, name: str) -> Any:
    """Return the literal that a stage holds just these groups, equivalent both ways."""
    exactly = model.program.new_bool_var(name)
    missing: list[Literal] = [exactly]
    for g in range(len(model.dag)):
        inside = _in_stage(model, g, k)
        wanted = inside if g in groups else negated(inside)
        model.clause([negated(exactly), wanted])
        missing.append(negated(wanted))
    model.clause(missing)
    return exactly


def _in_stage(model: Ladder, group: int, k: int) -> Literal:
    """Return a literal that a group is in a stage."""
    if not model.may_be_in(group, k):
        return False
    here, before = model.reached(group, k), model.reached(group, k - 1)
    if before is False:
        return here
    if here is True:
        return negated(before)
    inside = model.program.new_bool_var(f"in_{group}_{k}")
    model.program.add_implication(inside, here)
    model.program.add_implication(inside, before.negated())
    model.clause([inside, negated(here), before])
    return inside
