"""The checker's own prices are the evaluator's, one stage at a time and row by row."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from generators.dags import spilling_dag
from generators.drawn import Draw, problems
from segsolve.checker import costs, document
from segsolve.checker.failure import CertificateFault
from segsolve.checker.least import least_work_ns
from segsolve.checker.objectives.batch import _ended, _turned
from segsolve.checker.rows import FORBIDDEN, Rows
from segsolve.checker.schedule import makespan_ns
from segsolve.checker.states import Scope, States
from segsolve.cost import plan as evaluate
from segsolve.cost.stage import stage_score
from segsolve.cost.states import ideals
from segsolve.cost.table import IMPOSSIBLE
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.plan.model import Pipeline, Stage
from segsolve.problem import Problem, SharedLink
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.chain.table import segment_table
from segsolve_runtime.flow.schedule import Lane, schedule_lanes
from tests.shared import real_models

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ours(problem: Problem) -> document.Problem:
    return document.Problem.model_validate(json.loads(json.dumps(asdict(problem))))


def agree(problem: Problem, read: document.Problem, stage: tuple[int, ...]) -> costs.StageCost:
    cost, score = costs.stage_cost(read, stage), stage_score(problem, stage)
    said = {name: getattr(score, name) for name in costs.StageCost.__dataclass_fields__}
    assert asdict(cost) == said
    return cost


@unhurried
@given(problems(), st.data())
def test_a_stage_costs_what_the_evaluator_says(problem: Problem, data: st.DataObject) -> None:
    ops = data.draw(st.sets(st.integers(0, len(problem.ops) - 1), min_size=1))
    agree(problem, ours(problem), tuple(sorted(ops)))


def rows_agree(problem: Problem, members: NDArray[np.bool_], *, every: int = 1) -> None:
    read = ours(problem)
    states = States(members, Scope.GRAPH)
    rows = Rows(read, states)
    stages = [(a, rows.above(a)) for a in range(0, len(members), every)]
    for (a, columns), time, moved in zip(stages, rows.times(stages), rows.moved_bytes(stages), strict=True):
        least = rows.least_time(a, columns)
        assert list(columns) == [b for b in range(len(members)) if b != a and (members[a] <= members[b]).all()]
        for k, b in list(enumerate(columns))[::every]:
            cost = costs.stage_cost(read, np.flatnonzero(members[b] & ~members[a]).tolist())
            forbidden = problem.no_spill and cost.spilled_ops
            assert time[k] == (FORBIDDEN if forbidden else cost.time_ns)
            assert (moved[k], least[k] <= cost.time_ns) == (cost.moved_bytes, True)


@unhurried
@given(problems())
def test_rows_on_generated_problems(problem: Problem) -> None:
    members = ideals(problem)
    assert members is not None
    rows_agree(problem, members.members)


@pytest.mark.parametrize("seed", range(12))
def test_rows_where_weights_stream(seed: int) -> None:
    members = ideals(spilling_dag(10, 3, seed))
    assert members is not None
    rows_agree(spilling_dag(10, 3, seed), members.members)


@pytest.mark.parametrize("path", real_models())
def test_real_networks(path: Path) -> None:
    problem = AnalyticCosts(graph=read_graph(path), device=load_device("edgetpu-usb")).problem(tpus=4)
    read, n = ours(problem), len(problem.ops)
    for first in range(0, n, 7):
        for end in range(first + 1, n + 1, 11):
            agree(problem, read, tuple(range(first, end)))
            agree(problem, read, tuple(range(first, end, 3)))
    table = segment_table(problem)
    rows = Rows(read, States(table.members, Scope.ORDER))
    stages = [(a, rows.above(a)) for a in range(table.end)]
    for (a, _), time in zip(stages, rows.times(stages), strict=True):
        assert np.array_equal(time, table.time[a][table.time[a] < IMPOSSIBLE])


@unhurried
@given(problems(), st.integers(1, 10**6), st.data())
def test_plans_cost_what_the_evaluator_says(problem: Problem, ns_per_mib: int, data: st.DataObject) -> None:
    linked = replace(problem, link=SharedLink(ns_per_mib=ns_per_mib))
    read, n = ours(linked), len(problem.ops)
    scores, mine = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        end = data.draw(st.integers(1, n))
        stages = [tuple(range(end)), *([tuple(range(end, n))] if end < n else [])]
        replicas = [data.draw(st.integers(1, 3)) for _ in stages]
        made = tuple(Stage(ops=ops, replicas=r) for ops, r in zip(stages, replicas, strict=True))
        scores.append(evaluate.score_pipeline(linked, Pipeline(stages=made)))
        priced = [(costs.stage_cost(read, ops), r) for ops, r in zip(stages, replicas, strict=True)]
        mine.append(costs.pipeline_cost(read, priced))
    plan = evaluate.PlanScore(pipelines=tuple(scores))
    assert [p.bottleneck_ns for p in mine] == [p.bottleneck_ns for p in scores]
    assert [p.latency_ns for p in mine] == [p.latency_ns for p in scores]
    assert costs.rate(mine) == plan.rate
    assert [makespan_ns(mine, n) for n in (1, 2, 7)] == [plan.batch_ns(n) for n in (1, 2, 7)]


@st.composite
def pipelines(draw: Draw) -> list[costs.PipelineCost]:
    stage = st.tuples(st.integers(0, 30), st.integers(1, 3))
    link = st.integers(0, 40) if draw(st.booleans()) else st.just(0)
    found = []
    for stages in draw(st.lists(st.lists(stage, min_size=1, max_size=4), min_size=1, max_size=3)):
        times, devices = zip(*stages, strict=True)
        found.append(costs.PipelineCost(times_ns=times, devices=devices, link_ns=draw(link)))
    return found


@unhurried
@given(pipelines(), st.integers(1, 30))
def test_a_batch_ends_when_the_runtimes_schedule_says(mine: list[costs.PipelineCost], inferences: int) -> None:
    lanes = [Lane(stage_ns=p.times_ns, replicas=p.devices, link_ns=p.link_ns) for p in mine]
    slots = schedule_lanes(lanes, inferences, queue_size=2)
    assert makespan_ns(mine, inferences) == max(slot.end_ns for slot in slots)


def test_a_batch_that_is_too_large_to_follow() -> None:
    with pytest.raises(CertificateFault, match="too large"):
        makespan_ns([costs.PipelineCost(times_ns=(1, 2), devices=(1, 1), link_ns=0)], 10**8)


@unhurried
@given(problems())
def test_no_plan_does_less_than_the_least_work(problem: Problem) -> None:
    least = least_work_ns(ours(problem))
    for cuts in ((), problem.cuts, problem.cuts[::2]):
        assert least <= evaluate.score_cut(problem, cuts).latency_ns


@unhurried
@given(pipelines(), st.integers(1, 30))
def test_no_pipeline_ends_more_of_a_batch_than_its_corner_allows(
    mine: list[costs.PipelineCost], inferences: int
) -> None:
    one = mine[0]
    time_ns, count = makespan_ns([one], inferences), sum(one.devices)
    corner = (one.bottleneck_ns, one.latency_ns)
    assert _turned(corner, time_ns, count, 99) >= inferences
    assert max(_ended(corner, time_ns, r, 99) for r in range(1, count + 1)) >= inferences
