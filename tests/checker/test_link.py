"""Pipelines that share a link and a host: answers are the best, or say that they may not be; proofs are accepted."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.certificates import checked
from generators.dags import spilling_dag
from generators.drawn import problems
from generators.problems import chain, large_chain, op_cost
from segsolve.checker.shared import most_rate_sharing
from segsolve.cost.plan import score_plan
from segsolve.cost.table import IMPOSSIBLE, lattice_table
from segsolve.deadline import deadline
from segsolve.problem import Host, Problem, SharedLink
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.ask import answer
from segsolve.search.claims import by_stages, corners
from segsolve.search.inquiry import Inquiry
from segsolve.search.limited import front_sharing
from segsolve.solvers.base import Limits, Status
from segsolve.solvers.cpsat.claims import refute
from segsolve.solvers.dynamic.pipelines import Pipelines
from tests.trying import all_values

from .cases import solved

few = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
LINKS = st.integers(0, 10**7)
LAYOUTS = st.sampled_from(list(Layout))


def linked(problem: Problem, ns_per_mib: int) -> Problem:
    return replace(problem, overhead_ns=problem.overhead_ns + 1, measured=(), link=SharedLink(ns_per_mib=ns_per_mib))


@given(problems(max_ops=4, max_tpus=3), LINKS, LAYOUTS, st.booleans())
@few
def test_throughput_is_certified(problem: Problem, ns_per_mib: int, layout: Layout, graph: bool) -> None:
    question = Question(layout=layout, cuts=Cuts.DAG if graph else Cuts.CHAIN)
    found = answer(linked(problem, ns_per_mib), question, planner="dp")
    if found.plan is not None:
        assert found.status is Status.OPTIMAL
        report = checked(linked(problem, ns_per_mib), found)
        assert report.is_certified, report.steps[-1]


@given(problems(max_ops=4, max_tpus=3), LINKS, LAYOUTS, st.floats(1e6, 1e8))
@few
def test_the_fewest_devices(problem: Problem, ns_per_mib: int, layout: Layout, fps: float) -> None:
    question = Question(
        objective=Objective.DEVICES, layout=layout, cuts=Cuts.CHAIN, constraints=Constraints.of(min_fps=fps)
    )
    found = answer(linked(problem, ns_per_mib), question, planner="dp")
    wanted = min((value for value, _ in all_values(linked(problem, ns_per_mib), question, graph=False)), default=None)
    assert found.value == wanted
    if found.plan is not None:
        report = checked(linked(problem, ns_per_mib), found)
        assert report.is_certified, report.steps[-1]


@given(problems(max_ops=4, max_tpus=3), LINKS, st.integers(20, 300), st.none() | st.floats(1e6, 1e8))
@few
def test_constraints_are_kept(problem: Problem, ns_per_mib: int, latency_ns: int, fps: float | None) -> None:
    """Throughput within a latency: the best, or a plan that keeps it and is not called the best."""
    question = Question(cuts=Cuts.CHAIN, constraints=Constraints.of(max_latency_ns=latency_ns, min_fps=fps))
    found = answer(linked(problem, ns_per_mib), question, planner="dp")
    values = [value for value, _ in all_values(linked(problem, ns_per_mib), question, graph=False)]
    if found.plan is not None and found.score is not None:
        assert found.score.latency_ns <= latency_ns and found.value in values and found.bound <= min(values)
        assert fps is None or found.score.rate * 10**9 >= Fraction(fps)
    if found.status is Status.OPTIMAL:
        assert found.value == min(values)
    if found.status is Status.INFEASIBLE:
        assert not values


NS = st.integers(0, 60)
HOSTS = st.builds(Host, cores=st.integers(1, 4), serial_ns=NS, work_ns=st.integers(0, 200), frame_ns=NS)


@given(problems(max_ops=4, max_tpus=3), HOSTS, LAYOUTS, st.booleans())
@few
def test_throughput_on_a_host_is_certified(problem: Problem, host: Host, layout: Layout, graph: bool) -> None:
    """The best of all plans, whatever limits it, and the checker agrees."""
    question = Question(layout=layout, cuts=Cuts.DAG if graph else Cuts.CHAIN)
    hosted = replace(problem, overhead_ns=problem.overhead_ns + 1, measured=(), host=host)
    found = answer(hosted, question, planner="dp")
    values = [value for value, _ in all_values(hosted, question, graph=graph)]
    assert found.value == min(values, default=None)
    if found.plan is not None:
        assert found.status is Status.OPTIMAL
        report = checked(hosted, found)
        assert report.is_certified, report.steps[-1]


def test_a_claim_about_few_stages_is_not_one_about_more() -> None:
    ops = (op_cost(ns, weight_bytes=60, streamed_ns=ns + 600) for ns in (100, 90, 120, 70, 110, 80))
    hosted = chain(*ops, tpus=7, capacity_bytes=75, overhead_ns=7, host=Host(cores=1, serial_ns=160, work_ns=0))
    found = answer(hosted, Question(), planner="dp")
    document = found.certificate
    assert document is not None and checked(hosted, found).is_certified
    stretched = 0
    for claim in document["claims"]:
        if claim["most_stages"] is not None:
            for more in (claim["most_stages"] + 1, None):
                changed = [other | {"most_stages": more} if other is claim else other for other in document["claims"]]
                report = checked(hosted, replace(found, certificate=document | {"claims": changed}))
                assert report.steps[-1].name == "claims" and not report.is_certified
                stretched += 1
    assert stretched


@given(problems(max_ops=4, max_tpus=3), HOSTS, LAYOUTS, st.floats(1e6, 1e8))
@few
def test_the_fewest_devices_on_a_host(problem: Problem, host: Host, layout: Layout, fps: float) -> None:
    kept = Constraints.of(min_fps=fps)
    question = Question(objective=Objective.DEVICES, layout=layout, cuts=Cuts.CHAIN, constraints=kept)
    hosted = replace(problem, overhead_ns=problem.overhead_ns + 1, measured=(), host=host)
    found = answer(hosted, question, planner="dp")
    assert found.value == min((value for value, _ in all_values(hosted, question, graph=False)), default=None)
    if found.plan is not None:
        report = checked(hosted, found)
        assert report.is_certified, report.steps[-1]


@given(
    problems(max_ops=4, max_tpus=3),
    st.none() | LINKS,
    HOSTS,
    st.sampled_from([Objective.THROUGHPUT, Objective.LATENCY, Objective.DEVICES, Objective.PARETO]),
    st.none() | st.integers(20, 300),
    st.floats(1e6, 1e8),
)
@few
def test_on_a_link_and_a_host(
    problem: Problem,
    ns_per_mib: int | None,
    host: Host,
    objective: Objective,
    latency_ns: int | None,
    fps: float,
) -> None:
    """The best, or a plan that keeps the constraints and is not called the best; what is certified is optimal."""
    kept = Constraints.of(max_latency_ns=latency_ns, min_fps=fps)
    question = Question(objective=objective, cuts=Cuts.CHAIN, constraints=kept)
    link = None if ns_per_mib is None else SharedLink(ns_per_mib=ns_per_mib)
    hosted = replace(problem, overhead_ns=problem.overhead_ns + 1, measured=(), host=host, link=link)
    found = answer(hosted, question, planner="dp")
    values = [value for value, _ in all_values(hosted, question, graph=False)]
    if found.score is not None:
        assert latency_ns is None or found.score.latency_ns <= latency_ns
        assert found.score.rate * 10**9 >= Fraction(fps)
    if link is None:  # what the host leaves is found and proven, whatever else counts
        wanted = Status.OPTIMAL if values else Status.INFEASIBLE
        assert (found.status, found.certificate is not None) == (wanted, bool(values))
    if objective is Objective.PARETO:
        assert (found.plan is not None) <= bool(values)
        if found.status is Status.OPTIMAL:
            assert [(p.plan.tpus, p.score.latency_ns, p.score.rate) for p in found.points] == front(hosted, question)
            assert found.certificate is None or checked(hosted, found).is_certified
        return
    if found.plan is not None:
        assert found.value in values and found.bound <= min(values)
    if found.status is Status.OPTIMAL:
        assert found.value == min(values)
        if found.certificate is not None:
            assert checked(hosted, found).is_certified
    if found.status is Status.INFEASIBLE:
        assert not values


def front(problem: Problem, question: Question) -> list[tuple[int, int, Fraction]]:
    """Return the devices, latency and rate of all plans that no other is as good as, of all plans there are."""
    plans = [(plan.tpus, score_plan(problem, plan)) for _, plan in all_values(problem, question, graph=False)]
    found = {(tpus, score.latency_ns, score.rate) for tpus, score in plans}
    return sorted(
        one
        for one in found
        if not any(o != one and o[0] <= one[0] and o[1] <= one[1] and o[2] >= one[2] for o in found)
    )


def narrow(tpus: int) -> Problem:
    """Streams 1 MiB per inference in 10 ns, where the link carries one in 1000 ns."""
    whole = chain(op_cost(10, weight_bytes=2**20), tpus=tpus, capacity_bytes=0, overhead_ns=1)
    return replace(whole, link=SharedLink(ns_per_mib=1000))


def test_a_front_on_a_link_has_no_certificate() -> None:
    """Its pipelines are listed, which is exact; nothing but the evaluator says so again."""
    found = answer(narrow(4), Question(objective=Objective.PARETO))
    assert (found.status, found.certificate) == (Status.OPTIMAL, None)
    assert found.proof is not None and found.proof.startswith("enumeration: ")
    assert len(found.points) == 1  # more devices are no faster


def test_what_the_link_cannot_carry() -> None:
    fast = Constraints.of(min_fps=2e6)
    assert answer(narrow(4), Question(objective=Objective.DEVICES, constraints=fast)).status is Status.INFEASIBLE
    assert answer(narrow(4), Question(constraints=fast)).status is Status.INFEASIBLE
    assert answer(narrow(4), Question(objective=Objective.LATENCY, constraints=fast)).status is Status.INFEASIBLE


def test_the_bound_on_the_link_by_example() -> None:
    """Two pipelines of 10 ns that occupy the link for 8: one runs at full rate, the other at a quarter of it."""
    one = [(10, 8)]
    assert most_rate_sharing([[], one], single=False) == Fraction(1, 10)
    assert most_rate_sharing([[], one, one], single=False) == Fraction(1, 10) + Fraction(1, 5) / 8
    assert most_rate_sharing([[], one, one], single=True) == Fraction(1, 10)


FED = [(0, 4, 40), (1, 5, 20), (4, 5, 20), (9, 5, 20)]
"""Seed, TPUs, and ns of the host per stage: fronts whose proofs need claims about pipelines of few stages."""


def fed(seed: int, tpus: int, serial_ns: int) -> Problem:
    return replace(spilling_dag(8, tpus, seed), host=Host(cores=2, serial_ns=serial_ns, work_ns=10))


@pytest.mark.parametrize(("seed", "tpus", "serial_ns"), FED)
def test_claims_about_few_stages_say_no_more(seed: int, tpus: int, serial_ns: int) -> None:
    """They are needed, are refused where they say more, and prove nothing of pipelines of more stages."""
    case = solved(fed(seed, tpus, serial_ns), Question(objective=Objective.PARETO), graph=True)
    assert case is not None and case.check().is_certified
    numbers = [i for i, claim in enumerate(case.document["claims"]) if claim["most_stages"] is not None]
    needed = 0
    for i in numbers:
        claim = case.document["claims"][i]
        for member, value in (
            *(("most_stages", more) for more in (None, claim["most_stages"] + 1)),
            *((name, claim[name] + 1) for name in ("below_ns", "at_least") if claim[name] is not None),
        ):
            document = case.document
            document["claims"][i][member] = value
            assert not case.check(document).is_certified, (claim["tpus"], claim["most_stages"], member)
        document = case.document
        del document["claims"][i]
        needed += not case.check(document).is_certified
    assert needed


def test_no_time_to_list_pipelines() -> None:
    """A front is not listed when time is up; whoever asks makes a plan of what is at hand."""
    table = lattice_table(fed(0, 4, 40))
    assert table is not None
    question = Question(objective=Objective.PARETO)
    asked = Inquiry(table=table, question=question, planner="dp", limits=Limits(), cuts="dag")
    assert front_sharing(asked, ["host"]) is not None
    with deadline(0):
        again = Inquiry(table=table, question=question, planner="dp", limits=Limits(), cuts="dag")
        assert front_sharing(again, ["host"]) is None


@pytest.mark.parametrize(("seed", "tpus", "serial_ns"), FED)
def test_cp_sat_looks_at_as_few_stages(seed: int, tpus: int, serial_ns: int) -> None:
    """It refutes claims about few stages that say more, and none as it stands, though longer pipelines break some."""
    table = lattice_table(fed(seed, tpus, serial_ns))
    assert table is not None
    pipelines = Pipelines(table, Constraints(), tpus)
    found = [s for s in by_stages(pipelines, lambda p: corners(p, p.fronts, "latency")) if s.most_stages is not None]
    broken = 0
    for statement in found:
        said = refute([statement], Limits())
        assert said.finished and not said.contradicted
        if statement.below_ns < IMPOSSIBLE:
            assert refute([replace(statement, below_ns=statement.below_ns + 1)], Limits()).contradicted
        longer = replace(statement, paths=replace(statement.paths, max_stages=None))
        broken += refute([longer], Limits()).contradicted
    assert found and broken


HOSTS = st.builds(Host, cores=st.integers(1, 3), serial_ns=st.integers(0, 40), frame_ns=st.integers(0, 20))


@given(problems(max_ops=4, max_tpus=3), HOSTS, st.none() | LINKS, LAYOUTS, st.integers(1, 40))
@few
def test_a_batch_has_a_certified_bound(
    problem: Problem, host: Host, ns_per_mib: int | None, layout: Layout, inferences: int
) -> None:
    """What is proven of a batch that host or link limit is no more than the best of all plans takes."""
    link = None if ns_per_mib is None else SharedLink(ns_per_mib=ns_per_mib)
    problem = replace(problem, overhead_ns=problem.overhead_ns + 1, cpus=0, measured=(), host=host, link=link)
    question = Question(objective=Objective.BATCH, layout=layout, batch=inferences, cuts=Cuts.CHAIN)
    found = answer(problem, question, planner="dp")
    if found.certificate is not None:
        report = checked(problem, found)
        assert report.is_certified, report.steps[-1]
        proven = Fraction(*found.certificate.get("bound", found.certificate["value"]))
        assert proven <= min(value for value, _ in all_values(problem, question, graph=False))


def test_a_batch_of_more_than_the_search_follows_has_a_bound() -> None:
    problem, question = large_chain(30, 6, 7), Question(objective=Objective.BATCH, batch=200, cuts=Cuts.CHAIN)
    problem = replace(problem, host=Host(cores=1, serial_ns=2_000_000))
    case = solved(problem, question)
    assert case is not None and case.plan.solution.status == "feasible"
    report, document = case.check(), case.document
    assert report.is_certified and report.verdict is not None and not report.verdict.is_optimal
    assert 0 < report.verdict.gap < 0.1 and " % of its time from the best at most, over" in str(report.verdict)
    more, rest = Fraction(*document["bound"]) + 1, {k: v for k, v in document.items() if k != "bound"}
    assert not case.check(document | {"bound": [int(more), 1]}).is_certified
    assert not case.check(rest).is_certified  # the value itself is not proven
    assert not case.check(document | {"bound": document["value"]}).is_certified
    assert not case.check(document | {"claims": document["claims"][1:]}).is_certified
    called = case.plan.solution.model_copy(update={"status": "optimal", "bound_ns": case.plan.solution.objective_ns})
    called = called.model_copy(update={"gap": 0.0})
    assert not replace(case, plan=case.plan.model_copy(update={"solution": called})).check().is_certified
