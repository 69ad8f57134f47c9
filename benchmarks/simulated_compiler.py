"""A compiler whose memory is the device model's with another size: what it would report of any stage is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from segsolve.compiler.log import Report
from segsolve.compiler.truth import Ops, StageTruth, truth_of
from segsolve.cost.stage import stage_score
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.single import certified


class Oracle:
    """Reports stages as a compiler does that has `error` bytes more for weights, evenly up to `noise` more or less."""

    def __init__(self, problem: Problem, stream_ns_per_byte: float, error: int, noise: int = 0) -> None:
        self.problem, self._rate, self._error, self._noise = problem, stream_ns_per_byte, error, noise
        self.asked: list[Ops] = []

    def __call__(self, stages: Sequence[Ops]) -> dict[Ops, StageTruth]:
        self.asked += stages
        return {ops: truth_of(self.problem, ops, self.report(ops), self._rate) for ops in stages}

    def real(self, ops: Ops = ()) -> Problem:
        """Return the problem as it is for the stage `ops`; without noise it is the same for all."""
        noise = Random(f"{ops}").randint(-self._noise, self._noise)
        return replace(self.problem, capacity_bytes=max(0, self.problem.capacity_bytes + self._error + noise))

    def report(self, ops: Ops) -> Report:
        """Return what the compiler says of a stage."""
        made = stage_score(self.real(ops), ops)
        return Report(
            version="16",
            failure=None,
            onchip_bytes=made.onchip_bytes,
            onchip_free_bytes=made.capacity_bytes - made.onchip_bytes,
            offchip_bytes=made.offchip_bytes,
            subgraphs=1,
            total_operations=len(ops),
            operations=(),
        )


def solver(problem: Problem, gaps: bool = True) -> Answer:
    """Return the best chain of stages."""
    return certified(problem, solve(problem, planner="dp"))
