"""Which tensors a stage takes, and which live on after it."""

from __future__ import annotations

from dataclasses import dataclass

from segsolve_runtime.contract.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The names that matter to one stage."""

    takes: tuple[str, ...]
    keeps: tuple[str, ...]
    """Tensors that a later stage takes or that the model returns, made here or before."""


def routes(plan: Plan, pipeline: int = 0) -> tuple[Route, ...]:
    """Return the route of each stage of one of a plan's pipelines."""
    stages = plan.pipelines[pipeline].stages
    needed = set(plan.outputs)
    needed_after = []
    for stage in reversed(stages):
        needed_after.append(frozenset(needed))
        needed |= set(stage.inputs)
    available = dict.fromkeys(plan.inputs)
    found = []
    for stage, needs in zip(stages, reversed(needed_after), strict=True):
        available |= dict.fromkeys(stage.outputs)
        keeps = tuple(name for name in available if name in needs)
        found.append(Route(takes=tuple(stage.inputs), keeps=keeps))
    return tuple(found)
