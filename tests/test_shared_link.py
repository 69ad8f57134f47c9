"""A plan that link or host limit: evaluator, schedule and the pipeline on the virtual clock say the same of it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.drawn import problems
from generators.plan_files import plan_file
from generators.problems import chain, op_cost
from segsolve.cost.plan import PlanScore, plan_timeline, score_plan
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.plan.model import Pipeline as PlannedPipeline
from segsolve.plan.model import Plan, Stage, cut_at, pipeline_of
from segsolve.problem import Host, Problem, SharedLink
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Question
from segsolve.search.strategies import get_planner
from segsolve.solvers.base import Limits, ignore
from segsolve.zoo.files import write_network
from segsolve_runtime.backends import simulated
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.flow.lanes import limited_by
from segsolve_runtime.flow.shared import intervals
from segsolve_runtime.pipeline import Pipeline

LINKS = st.builds(SharedLink, ns_per_mib=st.integers(0, 10**7))
NS = st.integers(0, 60)
HOSTS = st.builds(Host, cores=st.integers(1, 4), serial_ns=NS, work_ns=st.integers(0, 200), frame_ns=NS)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Problem, Plan]:
    problem = replace(draw(problems(max_ops=4)), link=draw(st.none() | LINKS), host=draw(st.none() | HOSTS))
    return problem, Plan(pipelines=tuple(draw(st.lists(_pipelines(problem), min_size=1, max_size=3))))


@st.composite
def _pipelines(draw: st.DrawFn, problem: Problem) -> PlannedPipeline:
    cuts = draw(st.sets(st.sampled_from(problem.cuts))) if problem.cuts else set()
    ranges = itertools.pairwise((0, *sorted(cuts), len(problem.ops)))
    return PlannedPipeline(
        stages=tuple(Stage(ops=tuple(range(a, b)), replicas=draw(st.integers(1, 3))) for a, b in ranges)
    )


@settings(deadline=None, max_examples=150)
@given(plans())
def test_the_intervals_add_up_to_the_evaluators_rate(drawn: tuple[Problem, Plan]) -> None:
    costs = score_plan(*drawn)
    granted = intervals([pipeline.lane.load for pipeline in costs.pipelines])
    assert any(granted) == bool(costs.limited_by)
    if costs.limited_by:
        assert sum((1 / each for each in granted if each), Fraction(0)) == costs.rate


@settings(deadline=None, max_examples=80)
@given(plans())
def test_a_limited_schedule_begins_at_the_evaluators_rate(drawn: tuple[Problem, Plan]) -> None:
    costs = score_plan(*drawn)
    if not costs.limited_by:
        return
    granted = intervals([pipeline.lane.load for pipeline in costs.pipelines])
    slots = plan_timeline(costs, 40)
    for p, each in enumerate(granted):
        starts = [slot.start_ns for slot in slots if (slot.pipeline, slot.stage) == (p, 0)]
        # Never late by a whole ns, so that no more than that is lost however long the run is.
        assert starts == [ceil(n * each) for n in range(len(starts))] if each else not starts
        ends = [
            slot.end_ns for slot in slots if slot.pipeline == p and slot.stage == len(costs.pipelines[p].stages) - 1
        ]
        assert all(end - start >= costs.pipelines[p].latency_ns for start, end in zip(starts, ends, strict=True))


def _simulated(problem: Problem, plan: Plan, count: int) -> tuple[PlanScore, list[int]]:
    """Run a plan on the virtual clock; return what the evaluator says and when each inference had its result."""
    costs = score_plan(problem, plan)
    written = plan_file(problem, plan, Question(), 1 / costs.rate)
    assert limited_by(written) == costs.limited_by
    assert written.solution.throughput_fps == pytest.approx(costs.throughput_fps)
    stages = simulated.stages_of(written)
    with Pipeline(written, stages.runners, clocks=stages.clocks, record=True) as pipeline:
        for _ in pipeline.map(random_frames(written, count, seed=0)):
            pass
        slots = pipeline.metrics().timeline
    assert slots == plan_timeline(costs, count)
    ends: dict[int, int] = {}
    for slot in slots:
        ends[slot.inference] = max(slot.end_ns, ends.get(slot.inference, 0))
    return costs, [ends[n] for n in range(count)]


@pytest.fixture(scope="module")
def on_card(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """ResNet-50 on a card of more Edge TPUs than its slot carries, were each to hold the whole network."""
    graph = read_graph(write_network("resnet50", tmp_path_factory.mktemp("zoo")))
    return AnalyticCosts(graph=graph, device=load_device("edgetpu-pcie-card")).problem(tpus=64)


def test_many_copies_on_a_card(on_card: Problem) -> None:
    """ResNet-50 streams at every inference; 64 copies on one card ask for more than its slot carries."""
    whole = pipeline_of([range(len(on_card.ops))])
    costs, ends = _simulated(on_card, Plan(pipelines=(whole,) * 64), 64 * 4)
    assert "link" in costs.limited_by
    assert costs.throughput_fps < 64 * costs.pipelines[0].throughput_fps
    # All begin at once, so that whole rounds are what comes in a time.
    assert (ends[-1] - ends[0]) * costs.rate == pytest.approx(len(ends) - 64, rel=1e-6)


def test_unlike_pipelines_on_a_card(on_card: Problem) -> None:
    """Those that stream less have their full rate, as the evaluator says, and the others what is left."""
    n = len(on_card.ops)
    whole = pipeline_of([range(n)])
    half = pipeline_of([range(on_card.cuts[len(on_card.cuts) // 2]), range(on_card.cuts[len(on_card.cuts) // 2], n)])
    problem = replace(on_card, link=SharedLink(ns_per_mib=10**6))
    costs, ends = _simulated(problem, Plan(pipelines=(whole, half, whole)), 400)
    assert "link" in costs.limited_by
    steady = slice(100, 300)
    period = (ends[steady][-1] - ends[steady][0]) / 199
    assert period * costs.rate == pytest.approx(1, rel=0.02)


def test_the_vendors_cut_on_a_hub(on_card: Problem) -> None:
    """One pipeline: its period is what the link takes per inference, to the ns."""
    hub = replace(on_card, link=SharedLink(ns_per_mib=10**7), tpus=8)
    found = get_planner("compiler").solve(hub, Limits(), ignore)
    assert found.plan is not None
    slots = plan_timeline(score_plan(hub, found.plan), 20)
    starts = [slot.start_ns for slot in slots if slot.stage == 0]
    costs, ends = _simulated(hub, found.plan, 20)
    assert "link" in costs.limited_by
    assert {b - a for a, b in itertools.pairwise(starts)} == {costs.period_ns}
    assert {b - a for a, b in itertools.pairwise(ends)} == {costs.period_ns}


def test_without_a_limit_the_link_changes_nothing() -> None:
    problem = chain(op_cost(10), op_cost(20), tpus=2)
    plan = cut_at((1,), 2)
    free = replace(problem, link=SharedLink(ns_per_mib=1))
    assert plan_timeline(score_plan(free, plan), 10) == plan_timeline(score_plan(problem, plan), 10)


def test_a_link_carries_instructions_wherever_a_network_is_cut() -> None:
    ops = tuple(op_cost(10, link_bytes=700) for _ in range(3))
    problem = chain(*ops, tpus=3, link=SharedLink(ns_per_mib=2**20))
    whole, cut = (score_plan(problem, cut_at(cuts, 3)).pipelines[0] for cuts in ((), (1, 2)))
    assert (whole.link_ns, cut.link_ns) == (2 + 3 * 700, 6 + 3 * 700)


def test_the_hub_carries_what_public_files_show_of_instructions() -> None:
    hub = load_device("edgetpu-usb-hub")
    assert hub.link_operation_bytes == 2700
    assert load_device("edgetpu-usb").link_operation_bytes == 0
