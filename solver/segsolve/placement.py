"""Which weights of a stage stay on chip, layer by layer: the evaluator's choice with what led to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from segsolve.evaluate import stage_capacity
from segsolve.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What becomes of an operation's weights; bytes and ns.

    `left_bytes` was the room when its turn came; `cost_ns` is what streaming adds to its time, 0 for cached ones.
    """

    op: int
    weight_bytes: int
    streamed_bytes: int
    left_bytes: int
    cached: bool
    cacheable: bool
    cost_ns: int


def placements(problem: Problem, stage: Collection[int]) -> tuple[Placement, ...]:
    """Return what becomes of a stage's weights, in the order in which they are considered; the never cached last."""
    free, found = stage_capacity(problem, stage), []
    held = frozenset(stage)
    never = (i for i in sorted(held) if not problem.ops[i].cacheable and problem.ops[i].weight_bytes)
    for i in (*(i for i in problem.cache_order if i in held), *never):
        op = problem.ops[i]
        cached = op.cacheable and op.weight_bytes <= free
        found.append(
            Placement(
                op=i,
                weight_bytes=op.weight_bytes,
                streamed_bytes=0 if cached else op.streamed_bytes,
                left_bytes=free,
                cached=cached,
                cacheable=op.cacheable,
                cost_ns=0 if cached else op.streamed_ns - op.compute_ns,
            )
        )
        free -= op.weight_bytes if cached else 0
    return tuple(found)
