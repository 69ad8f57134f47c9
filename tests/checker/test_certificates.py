"""Certificates of true optima are accepted, whatever was asked; those of anything else are not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, reject, settings
from hypothesis import strategies as st

from generators.dags import random_dag, spilling_dag
from generators.drawn import problems, questions
from generators.plan_files import plan_file
from generators.problems import chain, large_chain, op_cost
from segsolve.checker.check import Report
from segsolve.checker.document import parse
from segsolve.checker.failure import CertificateFault
from segsolve.checker.least import is_least
from segsolve.checker.proof import prove
from segsolve.plan.model import Plan
from segsolve.problem import Host, Problem
from segsolve.question import Constraints, Cuts, Layout, Objective, Question

from ..trying import all_values
from .cases import Case, solved

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
NS = st.integers(0, 60)
HOSTS = st.builds(Host, cores=st.integers(1, 4), serial_ns=NS, work_ns=st.integers(0, 200), frame_ns=NS)
ORDERED = [o for o in Objective if o is not Objective.PARETO]


@st.composite
def cases(
    draw: Any, max_ops: int = 7, max_tpus: int = 4, objectives: Sequence[Objective] = tuple(Objective)
) -> tuple[Case, Question, bool]:
    problem = draw(problems(max_ops=max_ops, max_tpus=max_tpus).filter(_costs_something))
    host = draw(st.none() | HOSTS)
    if host and not problem.cpus:
        problem = replace(problem, measured=(), host=host)
    question = draw(questions(problem, objectives))
    graph = draw(st.booleans())
    case = solved(problem, question, graph=graph)
    if case is None:
        reject()
    return case, question, graph


def _costs_something(problem: Problem) -> bool:
    """Pipelines that take no time at all are told apart from those that take 1 ns by some objectives only."""
    return problem.overhead_ns > 0 and all(m.time_ns > 0 for m in problem.measured)


def failed(report: Report, step: str) -> bool:
    return not report.is_certified and report.steps[-1].name == step


@given(cases())
@relaxed
def test_true_optima_are_certified(found: tuple[Case, Question, bool]) -> None:
    report = found[0].check()
    assert report.is_certified, report.steps[-1]
    assert [step.name for step in report.steps] == ["files", "plan", "costs", "states", "claims", "optimum"]


@given(cases(max_ops=4, max_tpus=3, objectives=ORDERED))
@relaxed
def test_what_is_certified_is_the_best_of_all_plans(found: tuple[Case, Question, bool]) -> None:
    case, question, graph = found
    kept = question.constraints.restricted(case.problem)
    best = min(value for value, _ in all_values(kept, question, graph=graph))
    assert Fraction(*case.document["value"]) == best


@given(cases(objectives=ORDERED))
@relaxed
def test_the_value_is_that_of_the_plan(found: tuple[Case, Question, bool]) -> None:
    """One unit less would be a better plan than there is."""
    case, _, _ = found
    for change in (-1, 1):
        document = case.document
        document["value"][0] += change * document["value"][1]
        if document["value"][0] >= 0:
            assert failed(case.check(document), "costs")


@given(cases(objectives=ORDERED))
@relaxed
def test_the_claims_prove_nothing_worse(found: tuple[Case, Question, bool]) -> None:
    case, question, _ = found
    document = case.document
    numerator, denominator = document["value"]
    more = 1 if question.objective is not Objective.THROUGHPUT else Fraction(1, 1000)
    worse = Fraction(numerator, denominator) + more
    document["value"] = [worse.numerator, worse.denominator]
    if question.objective is Objective.DEVICES and worse > case.problem.tpus:
        return
    with pytest.raises(CertificateFault, match=r"room|rule out"):
        prove(parse(_text(document)))


@given(cases(max_ops=5, max_tpus=3, objectives=ORDERED), st.data())
@relaxed
def test_a_worse_plan_is_not_certified(found: tuple[Case, Question, bool], data: st.DataObject) -> None:
    """With its own value, and with claims that were bent until they would prove it."""
    case, question, graph = found
    kept = question.constraints.restricted(case.problem)
    best = Fraction(*case.document["value"])
    worse = [(value, plan) for value, plan in all_values(kept, question, graph=graph) if value > best]
    assume(worse)
    value, plan = data.draw(st.sampled_from(worse))
    other = _worse(case, kept, plan, question, value)
    assert failed(other.check(), "optimum")
    document = other.document
    for claim in document["claims"]:
        if data.draw(st.booleans()) or claim["cost"] is None:
            claim["below_ns"] = data.draw(st.none() | st.just(10**6))
        if claim["at_least"] is not None:
            claim["at_least"] = 10**6 if data.draw(st.booleans()) else claim["at_least"]
        if claim["most_stages"] is not None:
            claim["most_stages"] = data.draw(st.none() | st.integers(1, 5))
        if data.draw(st.booleans()):
            claim["potentials"] = _bent(claim["potentials"], claim, data)
    assert not other.check(document).is_certified


def _worse(case: Case, kept: Problem, plan: Plan, question: Question, value: Fraction) -> Case:
    document = case.document
    document["value"] = [value.numerator, value.denominator]
    return Case(case.problem, plan_file(kept, plan, question, value), _text(document))


def _bent(potentials: Any, claim: dict[str, Any], data: st.DataObject) -> Any:
    """Raise potentials until the start has enough, here and there."""
    bent = copy.deepcopy(potentials)
    enough = claim["tpus"] + 1 if claim["at_least"] is None else claim["at_least"]
    raised = data.draw(st.sampled_from(["start", "all", "some"]))
    for layer in bent:
        for row in layer:
            for state in range(len(row) - 1):
                if raised == "all" or state == 0 or (raised == "some" and data.draw(st.booleans())):
                    row[state] = enough
    return bent


def _text(document: Any) -> str:
    return json.dumps(document)


@given(cases(objectives=[Objective.THROUGHPUT, Objective.DEVICES, Objective.LATENCY, Objective.PARETO]))
@relaxed
def test_without_its_claims_nothing_is_proven(found: tuple[Case, Question, bool]) -> None:
    case, question, _ = found
    document = case.document
    document["claims"] = []
    report = case.check(document)
    # A pipeline takes 1 ns per inference at least, also one of stages that cost nothing, and each has a TPU.
    most = Fraction(1, case.problem.tpus)
    by_nature = {
        Objective.THROUGHPUT: (1, most),
        Objective.LATENCY: (0,),
        Objective.DEVICES: (1,),
        Objective.PARETO: (),
    }
    value = Fraction(*document["value"])
    if value not in by_nature[question.objective] and not is_least(parse(_text(document))):
        assert failed(report, "optimum")


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("seed", range(3))
def test_every_claim_is_needed_or_implied(objective: Objective, layout: Layout, seed: int) -> None:
    """A claim may go only if what is left still proves the value: then the next better value is still refuted."""
    problem = spilling_dag(8, 3, seed)
    limit = Constraints.of(min_fps=5e6) if objective is Objective.DEVICES else Constraints()
    case = solved(problem, Question(objective=objective, layout=layout, batch=7, constraints=limit), graph=True)
    if case is None:
        return
    needed = 0
    for k in range(len(case.document["claims"])):
        document = case.document
        del document["claims"][k]
        needed += failed(case.check(document), "optimum")
    assert needed or not case.document["claims"] or case.document["value"] == [1, 1]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("objective", list(Objective))
def test_larger_problems(objective: Objective, graph: bool) -> None:
    limit = Constraints.of(min_fps=1e6) if objective is Objective.DEVICES else Constraints()
    problem = replace(random_dag(24, 6, 1, width=2), overhead_ns=3) if graph else large_chain(60, 6, 1)
    if not graph:
        limit = Constraints.of(min_fps=100.0) if limit else limit
    # Claims prove a batch where no stage has replicas.
    layout = Layout.PIPELINE if objective is Objective.BATCH else Layout.ANY
    case = solved(problem, Question(objective=objective, layout=layout, constraints=limit), graph=graph)
    assert case is not None
    report = case.check()
    assert report.is_certified, report.steps[-1]


@example(1)
@given(st.integers(1, 3))
@relaxed
def test_stages_of_a_single_nanosecond(ns: int) -> None:
    """Bottlenecks at the smallest that there are need no proof below them."""
    problem = chain(op_cost(ns), op_cost(ns), tpus=4, ns=0)
    for objective in (Objective.THROUGHPUT, Objective.PARETO, Objective.BATCH, Objective.LATENCY):
        layout = Layout.PIPELINE if objective is Objective.BATCH else Layout.ANY
        case = solved(problem, Question(objective=objective, layout=layout))
        assert case is not None and case.check().is_certified


def test_prefixes_of_a_graph_with_branches_prove_less() -> None:
    problem = spilling_dag(8, 3, 1)
    order = solved(problem, Question())
    graph = solved(problem, Question(), graph=True)
    assert order is not None and graph is not None
    assert len(order.document["states"]) < len(graph.document["states"])
    assert (order.check().cuts, graph.check().cuts) == ("chain", "dag")
    said = order.plan.solution.model_copy(update={"proof": "potentials: nothing is better over all cuts of its graph"})
    boasting = Case(problem, order.plan.model_copy(update={"solution": said}), order.text)
    assert failed(boasting.check(), "optimum")


def test_one_device_proves_its_plan_for_all_cuts() -> None:
    order = solved(spilling_dag(8, 1, 1), Question())
    assert order is not None and (order.check().is_certified, order.check().cuts) == (True, "dag")


def test_states_that_are_missing_or_made_up() -> None:
    case = solved(spilling_dag(8, 3, 1), Question(cuts=Cuts.DAG), graph=True)
    assert case is not None
    changes: tuple[Callable[[Any], object], ...] = (
        lambda states: states.pop(3),
        lambda states: states.insert(3, states[3]),
        lambda states: states.__setitem__(3, "fe"),  # all but the first operation
        lambda states: states.__setitem__(3, "f" * 400),
        lambda states: states.reverse(),
        lambda states: states.clear(),
    )
    for change in changes:
        document = case.document
        change(document["states"])
        assert not case.check(document).is_certified


def test_the_work_that_nothing_avoids_proves_more_than_the_states() -> None:
    """Two equal operations side by side on two TPUs, no transfers: both are always busy."""
    problem = chain(op_cost(10), op_cost(10), tpus=2, ns=0, transfers=())
    case = solved(problem, Question())
    assert case is not None and len(case.document["states"]) == 3
    report = case.check()
    assert report.is_certified and report.cuts == "dag"
