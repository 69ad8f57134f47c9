"""The loop against a compiler whose memory is known: the device model's with another size."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from benchmarks.simulated_compiler import Oracle, solver
from segsolve.compiler.refine import End, Refinement, refine
from segsolve.compiler.truth import AGREEMENT_BYTES, corrected, corrected_score, truth_of
from segsolve.cost.plan import score_plan
from segsolve.cost.stage import stage_score
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import OpCost, Problem, Transfer
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve

MIB = 2**20
RATE = 2.0  # ns per byte


def chain(seed: int, tpus: int = 3, operations: int = 24) -> Problem:
    """A chain whose weights are about what the TPUs hold."""
    rng = Random(seed)
    ops = []
    for i in range(operations):
        nbytes = rng.randrange(1, 12) * MIB // 10
        compute = rng.randrange(50_000, 200_000)
        ops.append(
            OpCost(
                name=f"op{i}",
                compute_ns=compute,
                streamed_ns=compute + round(nbytes * RATE),
                weight_bytes=nbytes,
                streamed_bytes=nbytes,
                parameter_bytes=nbytes,
                cacheable=True,
                cache_rank=i,
                scratch_bytes=0,
            )
        )
    transfers = [
        Transfer(
            name=f"t{i}", nbytes=1000, producer=i, consumers=(i + 1,), is_output=False, input_ns=500, output_ns=500
        )
        for i in range(operations - 1)
    ]
    capacity = sum(op.weight_bytes for op in ops) * 11 // (10 * tpus)
    return Problem(
        name="chain",
        ops=tuple(ops),
        transfers=tuple(transfers),
        cuts=tuple(range(1, operations)),
        tpus=tpus,
        capacity_bytes=capacity,
        overhead_ns=300_000,
    )


def refined(problem: Problem, error: int, most_rounds: int = 20) -> tuple[Refinement, Oracle]:
    oracle = Oracle(problem, RATE, error)
    plan = solver(problem).plan
    assert plan is not None
    return refine(problem, plan, oracle, solver, most_rounds=most_rounds), oracle


@pytest.mark.parametrize("seed", range(6))
def test_a_compiler_that_agrees_changes_nothing(seed: int) -> None:
    problem = chain(seed)
    done, oracle = refined(problem, 0)
    assert (done.end, len(done.rounds), done.problem) == (End.STANDS, 1, problem)
    assert done.best.predicted == done.best.corrected
    assert len(oracle.asked) == len(done.best.plan.pipelines[0].stages)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("error", [-1.0, -0.3, 0.5])
def test_the_plan_that_stands_is_the_real_optimum(seed: int, error: float) -> None:
    """What the compiler has less or more for every stage, the loop finds out, and so the best plan for that memory."""
    problem = chain(seed)
    done, oracle = refined(problem, round(error * MIB))
    assert done.end is End.STANDS
    best = solve(oracle.real(), planner="dp")
    assert done.best.corrected.period_ns == score_plan(oracle.real(), done.best.plan).period_ns == best.objective_ns
    assert done.best.corrected.period_ns <= done.rounds[0].corrected.period_ns
    assert len(oracle.asked) == len(set(oracle.asked)) == sum(r.compiled for r in done.rounds)


def test_some_plan_gets_better() -> None:
    gains = []
    for seed in range(12):
        done, _ = refined(chain(seed), -MIB // 2)
        gains.append(done.rounds[0].corrected.period_ns / done.best.corrected.period_ns)
    assert max(gains) > 1.3 and min(gains) == 1.0


def test_the_limit_of_rounds() -> None:
    problem = next(p for seed in range(50) if len(refined(p := chain(seed), -MIB, most_rounds=9)[0].rounds) > 1)
    done, _ = refined(problem, -MIB, most_rounds=1)
    assert (done.end, len(done.rounds)) == (End.LIMIT, 1)


def test_a_plan_that_is_not_solved_again() -> None:
    """Two pipelines, a stage with gaps, one with replicas, one on the CPU: each is corrected by its own report."""
    problem = chain(1, tpus=8)
    problem = replace(problem, cpus=1, ops=tuple(replace(op, cpu_ns=9 * op.compute_ns) for op in problem.ops))
    gaps = tuple(i for i in range(12) if i not in (5, 6))
    first = Pipeline(stages=(Stage(ops=gaps), Stage(ops=(5, 6, *range(12, 24)), replicas=2)))
    second = Pipeline(stages=(Stage(ops=tuple(range(12))), Stage(ops=tuple(range(12, 24)), processor=Processor.CPU)))
    plan = Plan(pipelines=(first, second, first))
    oracle = Oracle(problem, RATE, -MIB)
    done = refine(problem, plan, oracle, None)
    assert done.end is End.NOT_ASKED and done.answer is None
    assert oracle.asked == [gaps, (5, 6, *range(12, 24)), tuple(range(12))]
    expected = score_plan(oracle.real(), plan)
    for pipeline, cost in zip(done.best.corrected.pipelines, expected.pipelines, strict=True):
        for k, stage in enumerate(pipeline.stages):
            if (pipeline, k) != (done.best.corrected.pipelines[1], 1):
                assert stage.time_ns == cost.stages[k].time_ns
    assert done.best.corrected.period_ns > done.best.predicted.period_ns


def test_a_plan_with_gaps_that_the_solver_cannot_be_told_about() -> None:
    """It comes back with it although it is slow, and is then asked for one without."""
    problem = chain(1, tpus=2)
    odd, rest = (0, *range(2, 12)), (1, *range(12, 24))
    gappy = Plan(pipelines=(Pipeline(stages=(Stage(ops=odd), Stage(ops=rest))),))
    asked = []

    def stubborn(corrected_problem: Problem, gaps: bool) -> Answer:
        asked.append(gaps)
        found = solver(corrected_problem)
        if not gaps:
            return found
        return replace(found, plan=gappy, score=score_plan(replace(problem, overhead_ns=0), gappy))

    slow = Oracle(problem, RATE, -MIB)
    first = solver(problem).plan
    assert first is not None
    done = refine(problem, first, slow, stubborn)
    assert done.end is End.WITHOUT_GAPS and False in asked
    assert done.best.plan != gappy
    best = solve(slow.real(), planner="dp").objective_ns
    assert done.best.corrected.period_ns == best


def test_differences_within_the_compilers_digits_are_none() -> None:
    problem, ops = chain(2), tuple(range(9))
    predicted = stage_score(problem, ops)
    report = replace(Oracle(problem, RATE, 0).report(ops), offchip_bytes=predicted.offchip_bytes + AGREEMENT_BYTES)
    truth = truth_of(problem, ops, report, RATE)
    assert truth.time_ns == predicted.time_ns
    more = truth_of(problem, ops, replace(report, offchip_bytes=predicted.offchip_bytes + MIB), RATE)
    assert more.time_ns == predicted.time_ns + round(MIB * RATE)
    silent = truth_of(problem, ops, replace(report, offchip_bytes=None, onchip_free_bytes=None), RATE)
    assert (silent.time_ns, silent.capacity_error) == (predicted.time_ns, None)


def test_measurements_that_were_there_stay() -> None:
    from segsolve.problem import MeasuredStage

    problem = replace(chain(3), measured=(MeasuredStage(first=0, end=4, time_ns=77),))
    oracle = Oracle(problem, RATE, -MIB)
    ops = tuple(range(12))
    truths = oracle([ops])
    assert corrected(problem, truths).measured_ns[0, 4] == 77
    plan = Plan(pipelines=(Pipeline(stages=(Stage(ops=ops), Stage(ops=tuple(range(12, 24))))),))
    assert corrected_score(problem, plan, truths).pipelines[0].stages[0].time_ns == truths[ops].time_ns
