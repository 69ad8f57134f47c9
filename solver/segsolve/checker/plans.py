"""Plans with the checker's own prices: whether they are valid, keep what was asked for, and what they are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.costs import PipelineCost, StageCost, pipeline_cost, rate, stage_cost
from segsolve.checker.document import Certificate, Problem, Steps
from segsolve.checker.failure import need
from segsolve.checker.kept import Constraints
from segsolve_runtime.contract.plan import Plan


@dataclass(frozen=True, slots=True)
class Piece:
    """A stage: its operations, ascending, and the devices that run it in turn."""

    ops: tuple[int, ...]
    replicas: int
    processor: str = "edgetpu"


Pieces = tuple[tuple[Piece, ...], ...]  # by pipeline


@dataclass(frozen=True, slots=True)
class Priced:
    """A plan with the costs of its stages, by pipeline, and of its pipelines."""

    pieces: Pieces
    stages: tuple[tuple[StageCost, ...], ...]
    pipelines: tuple[PipelineCost, ...]

    @property
    def tpus(self) -> int:
        """The devices that it occupies."""
        return sum(piece.replicas for pipeline in self.pieces for piece in pipeline)

    @property
    def latency_ns(self) -> int:
        """The time of one inference through the slowest pipeline."""
        return max(pipeline.latency_ns for pipeline in self.pipelines)

    @property
    def rate(self) -> Fraction:
        """Inferences per ns."""
        return rate(self.pipelines)


class Prices:
    """The costs of a problem's stages; equal ones are priced once."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._known: dict[tuple[int, ...], StageCost] = {}

    def priced(self, pieces: Pieces) -> Priced:
        """Return a plan with its prices."""
        stages = tuple(tuple(self._stage(piece.ops) for piece in pipeline) for pipeline in pieces)
        costs = (
            pipeline_cost(self._problem, [(cost, piece.replicas) for cost, piece in zip(own, pipeline, strict=True)])
            for own, pipeline in zip(stages, pieces, strict=True)
        )
        return Priced(pieces, stages, tuple(costs))

    def _stage(self, ops: tuple[int, ...]) -> StageCost:
        if ops not in self._known:
            self._known[ops] = stage_cost(self._problem, ops)
        return self._known[ops]


def pieces_of(plan: Plan) -> Pieces:
    """Return the stages of a plan's file."""
    return tuple(tuple(Piece(s.ops, s.replicas, s.processor) for s in pipeline.stages) for pipeline in plan.pipelines)


def pieces_along(certificate: Certificate, pipelines: Sequence[Steps]) -> Pieces:
    """Return the stages of pipelines that are ways through the states of a certificate.

    Raises:
        CertificateFault: a way leads to no state, or not from each to a larger one.
    """
    return tuple(tuple(_along([int(text, 16) for text in certificate.states], steps)) for steps in pipelines)


def check_valid(found: Priced, certificate: Certificate) -> None:
    """Check that a plan is one for the certificate's problem and question.

    Raises:
        CertificateFault: it is not.
    """
    problem, question = certificate.problem, certificate.question
    need(found.tpus <= problem.tpus, f"the plan needs {found.tpus} TPUs, there are {problem.tpus}")
    need(question.layout == "any" or len(found.pieces) == 1, "the plan has more than the one pipeline allowed")
    for number, (pipeline, costs) in enumerate(zip(found.pieces, found.stages, strict=True)):
        where = f"pipeline {number}: " if len(found.pieces) > 1 else ""
        wrong = (*_faults(pipeline, costs, certificate), *_broken(pipeline, question.constraints))
        need(not wrong, where + (wrong[0] if wrong else ""))
    limit, least = question.constraints.most_latency_ns, question.constraints.least_fps
    need(limit is None or found.latency_ns <= limit, f"its latency is {found.latency_ns} ns, {limit} are allowed")
    need(question.constraints.allow_rate(found.rate), f"it makes less than {float(least or 0)} fps")


def _along(states: Sequence[int], steps: Steps) -> Iterator[Piece]:
    before = 0
    for state, replicas in steps:
        need(state < len(states), f"there is no state {state}")
        after = states[state]
        need(before & ~after == 0 and before != after, f"no stage ends at state {state}")
        held = after & ~before
        yield Piece(tuple(op for op in range(held.bit_length()) if held >> op & 1), replicas)
        before = after


def _faults(pipeline: Sequence[Piece], costs: Sequence[StageCost], certificate: Certificate) -> Iterator[str]:
    """Yield what makes a pipeline none of the problem."""
    problem = certificate.problem
    held = sorted(op for piece in pipeline for op in piece.ops)
    if held != list(range(len(problem.ops))):
        yield "the stages do not hold every operation exactly once"
        return
    at = _stage_numbers(pipeline)
    for tensor in problem.transfers:
        if tensor.producer >= 0 and any(at[reader] < at[tensor.producer] for reader in tensor.consumers):
            yield f"tensor {tensor.name!r} is read in an earlier stage than the one that makes it"
    legal = set(problem.cuts)
    torn = [op for op in range(1, len(at)) if op not in legal and at[op] != at[op - 1]]
    yield from (f"operations {op - 1} and {op} cannot be in different stages" for op in torn)
    for k, (piece, cost) in enumerate(zip(pipeline, costs, strict=True)):
        if piece.processor != "edgetpu" or any(not problem.ops[op].on_accelerator for op in piece.ops):
            yield f"stage {k} does not run on an Edge TPU, which the certificate says nothing about"
        if piece.replicas > 1 and not (certificate.replicate and certificate.question.layout == "any"):
            yield f"stage {k} has replicas, which were not allowed"
        if problem.no_spill and cost.spilled_ops:
            yield f"stage {k} cannot hold the weights of operation {cost.spilled_ops[0]}"


def _broken(pipeline: Sequence[Piece], asked: Constraints) -> Iterator[str]:
    """Yield which constraints a pipeline breaks."""
    if asked.most_stages is not None and len(pipeline) > asked.most_stages:
        yield f"it has {len(pipeline)} stages, at most {asked.most_stages} are allowed"
    at = _stage_numbers(pipeline)
    for constraint in asked.all:
        yield from constraint.broken(at)


def _stage_numbers(pipeline: Sequence[Piece]) -> dict[int, int]:
    return {op: k for k, piece in enumerate(pipeline) for op in piece.ops}
