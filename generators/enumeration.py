"""Every plan of a small problem, tried one by one with nothing but the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, combinations_with_replacement, product

from segsolve.cost.plan import PlanScore, check_pipeline, score_pipeline
from segsolve.cost.stage import cannot_run, stage_score
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import Problem
from segsolve.question import Constraints, Layout, Objective, Question

Stages = tuple[tuple[int, ...], ...]


def best(problem: Problem, question: Question, *, dag: bool) -> Fraction | None:
    """Return the best value of a question's objective, None if no plan keeps the constraints."""
    kept = question.constraints
    values = [
        worth(score, plan, question)
        for plan, score in plans(problem, question, dag=dag)
        if (kept.max_latency_ns is None or score.latency_ns <= kept.max_latency_ns)
        and (kept.min_fps is None or score.rate * 10**9 >= Fraction(kept.min_fps))
    ]
    return min(values, default=None)


def worth(score: PlanScore, plan: Plan, question: Question) -> Fraction:
    match question.objective:
        case Objective.LATENCY:
            return Fraction(score.latency_ns)
        case Objective.BATCH:
            return Fraction(score.batch_ns(question.batch))
        case Objective.DEVICES:
            return Fraction(plan.tpus)
        case _:
            return 1 / score.rate


def plans(problem: Problem, question: Question, *, dag: bool) -> Iterator[tuple[Plan, PlanScore]]:
    single = question.layout is Layout.PIPELINE
    scored = [(p, score_pipeline(problem, p)) for p in pipelines(problem, question.constraints, dag=dag, single=single)]
    for count in range(1, 2 if single else problem.tpus + 1):
        for chosen in combinations_with_replacement(scored, count):
            if sum(pipeline.tpus for pipeline, _ in chosen) <= problem.tpus:
                yield (
                    Plan(pipelines=tuple(pipeline for pipeline, _ in chosen)),
                    PlanScore(pipelines=tuple(score for _, score in chosen)),
                )


def pipelines(problem: Problem, kept: Constraints, *, dag: bool, single: bool) -> Iterator[Pipeline]:
    most = min(problem.tpus, len(problem.ops))
    for stages in _divisions(frozenset(range(len(problem.ops))), most, dag=dag):
        if not _keeps(stages, kept):
            continue
        for replicas in _replicas(len(stages), problem.tpus, single=single):
            pipeline = Pipeline(
                stages=tuple(Stage(ops=ops, replicas=r) for ops, r in zip(stages, replicas, strict=True))
            )
            if not check_pipeline(problem, pipeline):
                yield pipeline


def _divisions(left: frozenset[int], most: int, *, dag: bool) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Every ordered division into at most so many stages; invalid ones are for the evaluator to refuse."""
    if not left:
        yield ()
        return
    if not most:
        return
    ops = sorted(left)
    for size in range(1, len(ops) + 1):
        for first in combinations(ops, size) if dag else [tuple(ops[:size])]:
            for rest in _divisions(left - set(first), most - 1, dag=dag):
                yield (first, *rest)


def _replicas(stages: int, tpus: int, *, single: bool) -> Iterator[tuple[int, ...]]:
    if single:
        yield (1,) * stages
        return
    if not stages:
        yield ()
        return
    for first in range(1, tpus - stages + 2):
        for rest in _replicas(stages - 1, tpus - first, single=False):
            yield (first, *rest)


def _keeps(stages: tuple[tuple[int, ...], ...], kept: Constraints) -> bool:
    where = {op: k for k, ops in enumerate(stages) for op in ops}
    return (
        (kept.max_stages is None or len(stages) <= kept.max_stages)
        and all(where[op] == stage for op, stage in kept.pins)
        and all(len({where[op] for op in group}) == 1 for group in kept.keep_together)
        and _keeps_cuts(where, kept)
    )


def _keeps_cuts(where: dict[int, int], kept: Constraints) -> bool:
    """A stage begins at some operations: whatever comes before them in the order is in earlier stages."""
    begins = all(
        max((where[i] for i in where if i < op), default=-1) < min(where[i] for i in where if i >= op)
        for op in kept.cut_before
    )
    return begins and all(where[op] == where[op - 1] for op in kept.no_cut_before if op)


def all_values(problem: Problem, question: Question, *, graph: bool) -> Iterator[tuple[Fraction, Plan]]:
    """Yield the value of every plan that is allowed."""
    limit, least = question.constraints.max_latency_ns, question.constraints.min_fps
    for plan, score in plans(problem, question, dag=graph):
        is_slow = least is not None and score.rate * 10**9 < Fraction(least)
        if not is_slow and (limit is None or score.latency_ns <= limit):
            yield worth(score, plan, question), plan


def best_by_trying(problem: Problem, tpus: int) -> int | None:
    """The smallest bottleneck of all assignments of operations to stages, accelerators and cores in any order."""
    best: int | None = None
    for kinds in _kinds(tpus, problem.cpus):
        for stages in assignments(problem, len(kinds)):
            value = bottleneck(problem, stages, kinds)
            if value is not None and (best is None or value < best):
                best = value
    return best


def assignments(problem: Problem, count: int) -> list[Stages]:
    """All ways to spread the operations over `count` stages in order, some of them empty."""
    found = []
    for chosen in product(range(count), repeat=len(problem.ops)):
        if all(chosen[t.producer] <= chosen[c] for t in problem.transfers if t.producer >= 0 for c in t.consumers):
            found.append(tuple(tuple(i for i, k in enumerate(chosen) if k == s) for s in range(count)))
    return found


def bottleneck(problem: Problem, stages: Stages, kinds: str) -> int | None:
    """The slowest stage by the evaluator, `kinds` being a or c for accelerator or core; None if not allowed."""
    slowest = 0
    for ops, kind in zip(stages, kinds, strict=True):
        if not ops:
            continue
        processor = Processor.CPU if kind == "c" else Processor.EDGETPU
        if cannot_run(problem, ops, processor):
            return None
        score = stage_score(problem, ops, processor)
        if problem.no_spill and score.spilled_ops:
            return None
        slowest = max(slowest, score.time_ns)
    return slowest


def _kinds(tpus: int, cpus: int) -> set[str]:
    count = tpus + cpus
    return {"".join(k) for k in product("ac", repeat=count) if k.count("c") == cpus}
