"""Constraint builders for the memory of the accelerators: as a hard limit, or with whole layers that stream.

A stage caches whole layers, in the problem's order, each that still fits what its activations leave. The evaluator
says so; here it is an equivalence per layer and stage: cached exactly if what is cached before it leaves room.
"""

from __future__ import annotations

from typing import Any

from ortools.sat.python import cp_model

from segsolve.solvers.cpsat.ladder import Ladder, Load, negated
from segsolve.solvers.ladder.dag import Tensor


def memory(model: Ladder, loads: list[Load]) -> None:
    """Add the builder that the problem asks for."""
    if model.dag.fits_anyway:
        return
    if model.dag.problem.no_spill:
        weights_fit(model)
    else:
        weights_stream(model, loads)


def weights_fit(model: Ladder) -> None:
    """All weights of an accelerator's stage fit beside its activations."""
    dag, capacity = model.dag, model.dag.problem.capacity_bytes
    for k in model.stages:
        inside = [g for g in range(len(dag)) if model.may_be_in(g, k)]
        if _fits(model, k, inside):
            continue
        held = Load()
        for g in inside:
            model.add_if_in(held, g, k, dag.weight_bytes[g])
        constraint = model.program.add(held.expression() + _scratch(model, k, inside) <= capacity)
        if not isinstance(model.on_cpu[k], bool):
            constraint.only_enforce_if(model.on_cpu[k].negated())


def weights_stream(model: Ladder, loads: list[Load]) -> None:
    """What does not fit streams, and costs its stage time."""
    dag, problem = model.dag, model.dag.problem
    cached: dict[int, Any] = {}
    for i in problem.cache_order:
        g = dag.group_of[i]
        if problem.ops[i].weight_bytes > problem.capacity_bytes - _capped(model, dag.scratch_bytes[g]):
            cached[i] = False
        elif any(not _fits(model, k, _inside(model, k)) for k in model.stages if model.may_be_in(g, k)):
            cached[i] = model.program.new_bool_var(f"cached_{i}")
        else:
            cached[i] = True
    for k in model.stages:
        _stage_streams(model, k, cached, loads[k])


def _stage_streams(model: Ladder, k: int, cached: dict[int, Any], load: Load) -> None:
    """Walk the layers in caching order; each that is cached takes room from those that follow."""
    dag, problem = model.dag, model.dag.problem
    inside = _inside(model, k)
    spills = not _fits(model, k, inside)
    scratch = _scratch(model, k, inside, exact=True) if spills else 0
    taken = Load()
    for i in problem.cache_order:
        op, g = problem.ops[i], dag.group_of[i]
        if not model.may_be_in(g, k) or cached[i] is True:
            if model.may_be_in(g, k):
                model.add_if_in(taken, g, k, op.weight_bytes)
            continue
        model.add_if_in(load, g, k, op.streamed_ns - op.compute_ns)
        if cached[i] is False:
            continue
        here = _cached_here(model, i, k, cached[i])
        load.add(here, op.compute_ns - op.streamed_ns)
        if spills:
            room = taken.expression() + op.weight_bytes + scratch
            model.program.add(room <= problem.capacity_bytes).only_enforce_if(here)
            streams = [model.reached(g, k), negated(model.reached(g, k - 1)), cached[i].negated()]
            full = model.program.add(room > problem.capacity_bytes)
            full.only_enforce_if([literal for literal in streams if literal is not True])
        else:
            model.clause([here, negated(model.reached(g, k)), model.reached(g, k - 1)])
        taken.add(here, op.weight_bytes)


def _cached_here(model: Ladder, op: int, k: int, cached: Any) -> Any:
    """Return the literal that a layer is in a stage and cached."""
    g = model.dag.group_of[op]
    here = model.program.new_bool_var(f"cached_{op}_{k}")
    inside = [model.reached(g, k), negated(model.reached(g, k - 1)), cached]
    for literal in inside:
        model.clause([negated(here), literal])
    model.clause([here, *(negated(literal) for literal in inside)])
    return here


def _inside(model: Ladder, k: int) -> list[int]:
    return [g for g in range(len(model.dag)) if model.may_be_in(g, k)]


def _fits(model: Ladder, k: int, groups: list[int]) -> bool:
    """Whether a stage holds all its weights, whichever of the groups are in it."""
    weights = sum(model.dag.weight_bytes[g] for g in groups)
    needs = [_capped(model, model.dag.scratch_bytes[g]) for g in groups]
    needs += [_capped(model, tensor.scratch_bytes) for tensor, _ in _entering(model, k)]
    return weights + max(needs, default=0) <= model.dag.problem.capacity_bytes


def _capped(model: Ladder, scratch: int) -> int:
    """Return scratch memory; more than there is leaves no less than nothing for weights."""
    return min(scratch, model.dag.problem.capacity_bytes)


def _entering(model: Ladder, k: int) -> list[tuple[Tensor, int]]:
    """Return the large tensors that a stage may bring in, each with a reader that may be in the stage."""
    return [
        (tensor, reader)
        for tensor in model.dag.large_inputs
        for reader in tensor.consumers
        if model.may_be_in(reader, k) and model.reached(tensor.producer, k - 1) is not False
    ]


def _scratch(model: Ladder, k: int, groups: list[int], *, exact: bool = False) -> Any:
    """Return the most scratch memory of a stage's groups and inputs; without `exact`, something not below it."""
    terms = [term for g in groups if (term := _of_group(model, g, k)).largest]
    terms += [_of_tensor(model, tensor, reader, k) for tensor, reader in _entering(model, k)]
    if not terms:
        return 0
    most = model.program.new_int_var(0, max(term.largest for term in terms), f"scratch_{k}")
    needs = [term.expression() for term in terms]
    if exact:
        model.program.add_max_equality(most, [*needs, cp_model.LinearExpr.sum([])])
    else:
        for need in needs:
            model.program.add(most >= need)
    return most


def _of_group(model: Ladder, group: int, k: int) -> Load:
    """Return a group's scratch memory if it is in a stage, else nothing."""
    term = Load()
    model.add_if_in(term, group, k, _capped(model, model.dag.scratch_bytes[group]))
    return term


def _of_tensor(model: Ladder, tensor: Tensor, reader: int, k: int) -> Load:
    """Return a tensor's scratch memory if it was made before a stage that has the reader, else nothing or less."""
    need = _capped(model, tensor.scratch_bytes)
    term = Load(constant=-need)
    term.add(model.reached(tensor.producer, k - 1), need)
    model.add_if_in(term, reader, k, need)
    return term
