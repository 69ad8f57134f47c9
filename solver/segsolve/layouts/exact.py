"""The exact answer over the stages of one table, a chain's or a lattice's, confirmed and certified."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from segsolve.errors import SolverFault, UsageError
from segsolve.evaluate import PlanScore, check_plan, score_plan
from segsolve.layouts import objectives
from segsolve.layouts.answer import Answer, ParetoPoint
from segsolve.layouts.bounds import least_period
from segsolve.layouts.certificate import certificate
from segsolve.layouts.confirm import confirm
from segsolve.layouts.link import best_on_link
from segsolve.layouts.objectives import Choice, Finding
from segsolve.layouts.pipelines import Pipelines
from segsolve.plan import Plan
from segsolve.planners.base import Limits, Status
from segsolve.planners.stage_table import StageTable
from segsolve.question import Layout, Objective, Question

MOST_TPUS = 64  # of one pipeline; the search grows with the square
_MOST_TIES = 20  # equally good layouts that are told apart by their plans


def exact_answer(table: StageTable, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return the best plan over the stages of a table.

    Raises:
        UsageError: the question is not answered for devices that share a link.
        SolverFault: the evaluator, CP-SAT or the certificate disagrees with the dynamic program.
    """
    problem, single = table.problem, question.layout is Layout.PIPELINE
    pipelines = Pipelines(table, question.constraints, min(problem.tpus, MOST_TPUS), replicate=not single)
    if question.objective is Objective.PARETO:
        return _front(pipelines, question, planner, limits, cuts)
    finding = _find(pipelines, question)
    if not finding.layouts:
        return _nothing(question, planner, limits, cuts)
    plan, score = _preferred(pipelines, finding, question)
    if score.is_link_bound and question.objective is Objective.THROUGHPUT:
        return _on_link(pipelines, question, planner, limits, cuts, plan)
    if score.is_link_bound and not _is_fast_enough(score, question):
        return _fewest_on_link(pipelines, question, planner, limits, cuts)
    _check_value(finding.value, plan, score, question)
    spent = confirm(pipelines, plan, limits) if planner == "cpsat" else 0.0
    found = Answer(
        question=question,
        planner=planner,
        status=Status.OPTIMAL,
        plan=plan,
        score=score,
        value=finding.value,
        bound=finding.value,
        cuts=cuts,
        proof=_proof(question, problem.tpus, cuts),
        deterministic_s=spent,
        seed=limits.seed,
    )
    if problem.tpus > MOST_TPUS:
        return _beyond_search(found, least_period(problem))
    return replace(found, certificate=certificate(pipelines, question, finding.value, problem.tpus))


def _beyond_search(found: Answer, bound: Fraction) -> Answer:
    """Return an answer on more TPUs than one pipeline was tried with: proven only where it meets the least period."""
    is_throughput = found.question.objective is Objective.THROUGHPUT
    if is_throughput and found.value == bound:
        return replace(found, proof="lower bound: all TPUs work all the time on what every plan must do")
    return replace(
        found,
        status=Status.FEASIBLE,
        bound=bound if is_throughput else Fraction(0),
        proof=None,
        note=f"pipelines of more than {MOST_TPUS} TPUs were not tried",
    )


def _find(pipelines: Pipelines, question: Question) -> Finding:
    single = question.layout is Layout.PIPELINE
    tpus = pipelines.table.problem.tpus
    match question.objective:
        case Objective.LATENCY:
            return objectives.latency(pipelines, tpus, single=single)
        case Objective.BATCH:
            return objectives.batch(pipelines, tpus, question.batch, single=single)
        case Objective.DEVICES:
            return objectives.devices(pipelines, tpus, single=single)
        case _:
            return objectives.throughput(pipelines, tpus, single=single)


def _preferred(pipelines: Pipelines, finding: Finding, question: Question) -> tuple[Plan, PlanScore]:
    """Return, of the layouts that are equally good, the plan of the smallest latency, then of the fewest TPUs."""
    found = [_plan(pipelines, layout) for layout in finding.layouts[:_MOST_TIES]]
    scored = [(plan, score_plan(pipelines.table.problem, plan)) for plan in found]
    return min(scored, key=lambda one: (one[1].latency_ns, one[0].tpus, -len(one[0].pipelines)))


def _plan(pipelines: Pipelines, layout: tuple[Choice, ...]) -> Plan:
    made = {choice: pipelines.pipeline(*choice) for choice in dict.fromkeys(layout)}
    plan = Plan(pipelines=tuple(made[choice] for choice in layout))
    if wrong := check_plan(pipelines.table.problem, plan):
        raise _fault(f"its plan is not valid: {wrong[0]}")
    return plan


def value_of(score: PlanScore, plan: Plan, question: Question) -> Fraction:
    """Return what a plan is worth under an objective, in the objective's unit."""
    match question.objective:
        case Objective.LATENCY:
            return Fraction(score.latency_ns)
        case Objective.BATCH:
            return Fraction(score.batch_ns(question.batch))
        case Objective.DEVICES:
            return Fraction(plan.tpus)
        case _:
            return 1 / score.rate


def _check_value(claimed: Fraction, plan: Plan, score: PlanScore, question: Question) -> None:
    found = value_of(score, plan, question)
    if found != claimed:
        raise _fault(f"it claims a {question.objective} of {claimed}, its plan has {found}")
    limit, least = question.constraints.max_latency_ns, question.constraints.min_fps
    if limit is not None and score.latency_ns > limit:
        raise _fault(f"its plan takes {score.latency_ns} ns, more than the {limit} ns allowed")
    if not _is_fast_enough(score, question):
        raise _fault(f"its plan makes {score.throughput_fps} inferences per second, less than the {least} asked for")


def _is_fast_enough(score: PlanScore, question: Question) -> bool:
    least = question.constraints.min_fps
    return least is None or score.rate * 10**9 >= Fraction(least)


def _on_link(
    pipelines: Pipelines, question: Question, planner: str, limits: Limits, cuts: str, otherwise: Plan
) -> Answer:
    """Return the best plan where the shared link is what limits; `otherwise` if that one takes too long."""
    problem, limit = pipelines.table.problem, question.constraints.max_latency_ns
    rate, plan = _linked(pipelines, question, pipelines.tpus)
    score, wanted = score_plan(problem, plan), score_plan(problem, otherwise).link_load
    if limit is not None and score.latency_ns > limit:
        score = score_plan(problem, plan := otherwise)
    if not _is_fast_enough(score, question):
        return _too_slow(question, planner, limits, cuts, bound=1 / rate)
    is_kept = score.rate == rate
    return Answer(
        question=question,
        planner=planner,
        status=Status.OPTIMAL if is_kept else Status.FEASIBLE,
        plan=plan,
        score=score,
        value=1 / score.rate,
        bound=1 / rate,
        cuts=cuts,
        proof=_proof(question, problem.tpus, cuts) if is_kept else None,
        certificate=certificate(pipelines, question, 1 / rate, problem.tpus, on_link=True) if is_kept else None,
        note=f"the shared link limits the rate: what would be best without it needs {float(wanted):.0%} of it",
        seed=limits.seed,
    )


def _fewest_on_link(pipelines: Pipelines, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return the plan of the fewest devices that is fast enough where the shared link is what limits.

    Raises:
        UsageError: latency matters too.
    """
    problem, limit = pipelines.table.problem, question.constraints.max_latency_ns
    if question.objective is not Objective.DEVICES or limit is not None:
        hint = "leave one of the two away, or give a device without a shared link"
        raise UsageError(
            "a latency and a rate together are not planned for devices whose shared link limits them", hint
        )
    for count in range(1, pipelines.tpus + 1):
        rate, plan = _linked(pipelines, question, count)
        if rate and _is_fast_enough(score := score_plan(problem, plan), question):
            value = Fraction(plan.tpus)
            return Answer(
                question=question,
                planner=planner,
                status=Status.OPTIMAL,
                plan=plan,
                score=score,
                value=value,
                bound=value,
                cuts=cuts,
                proof=_proof(question, problem.tpus, cuts),
                certificate=certificate(pipelines, question, value, problem.tpus, on_link=True),
                note="the shared link limits the rate",
                seed=limits.seed,
            )
    return _nothing(question, planner, limits, cuts)


def _linked(pipelines: Pipelines, question: Question, count: int) -> tuple[Fraction, Plan]:
    """Return the best rate on the shared link of so many devices, and the plan that has it."""
    problem, single = pipelines.table.problem, question.layout is Layout.PIPELINE
    assert problem.link is not None
    sizes = {k: f for k, f in pipelines.link_fronts.items() if k == count or (k < count and not single)}
    fronts = {k: [(point.bottleneck_ns, point.cost) for point in front] for k, front in sizes.items()}
    rate, choices = best_on_link(fronts, problem.link, count)
    made = {choice: pipelines.frugal_pipeline(*choice) for choice in dict.fromkeys(choices)}
    plan = Plan(pipelines=tuple(made[choice] for choice in choices))
    if wrong := check_plan(problem, plan):
        raise _fault(f"its plan is not valid: {wrong[0]}")
    return rate, plan


def _front(pipelines: Pipelines, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return all undominated plans; the plan of the answer is the one of the most throughput."""
    found = []
    problem = pipelines.table.problem
    for _, _, mix, bottlenecks in objectives.pareto(pipelines, problem.tpus, single=question.layout is Layout.PIPELINE):
        layouts = tuple(tuple((k, bottlenecks[k]) for k in sizes) for sizes in mix.layouts)
        plan, score = _preferred(pipelines, Finding(1 / mix.rate, layouts), question)
        found.append(ParetoPoint(plan=plan, score=score))
    if not found:
        return _nothing(question, planner, limits, cuts)
    best = max(found, key=lambda point: (point.score.rate, -point.score.latency_ns))
    # The front was found as if there was no shared link, which yet may limit some of its plans.
    is_limited = any(point.score.is_link_bound for point in found)
    return Answer(
        question=question,
        planner=planner,
        status=Status.FEASIBLE if is_limited else Status.OPTIMAL,
        plan=best.plan,
        score=best.score,
        value=Fraction(0),
        bound=Fraction(0),
        cuts=cuts,
        proof=None if is_limited else _proof(question, problem.tpus, cuts),
        points=_undominated(found) if is_limited else tuple(found),
        certificate=None if is_limited else _front_certificate(pipelines, question, found),
        note="the shared link limits plans of the front; others that load it less may be missing" if is_limited else "",
        seed=limits.seed,
    )


def _front_certificate(pipelines: Pipelines, question: Question, points: list[ParetoPoint]) -> dict[str, Any]:
    document = certificate(pipelines, question, Fraction(0), pipelines.table.problem.tpus)
    listed = [[p.plan.tpus, p.score.latency_ns, [*p.score.rate.as_integer_ratio()]] for p in points]
    return document | {"points": listed}


def _too_slow(question: Question, planner: str, limits: Limits, cuts: str, *, bound: Fraction) -> Answer:
    """Return that no plan is fast enough for the link, if that is certain."""
    none = _nothing(question, planner, limits, cuts)
    if 10**9 / bound < Fraction(question.constraints.min_fps or 0):
        return none
    note = "no plan was found that keeps the latency and is fast enough on the shared link"
    return replace(none, status=Status.UNKNOWN, bound=bound, proof=None, note=note)


def _undominated(points: list[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Return the points that none before them, of no more devices, is as good as."""
    kept: list[ParetoPoint] = []
    for point in points:
        tpus, latency, rate = point.plan.tpus, point.score.latency_ns, point.score.rate
        if not any(p.plan.tpus <= tpus and p.score.latency_ns <= latency and p.score.rate >= rate for p in kept):
            kept.append(point)
    return tuple(kept)


def _nothing(question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    return Answer(
        question=question,
        planner=planner,
        status=Status.INFEASIBLE,
        plan=None,
        score=None,
        value=None,
        bound=Fraction(0),
        cuts=cuts,
        proof="exact search: no plan keeps the constraints",
        seed=limits.seed,
    )


def _proof(question: Question, tpus: int, cuts: str) -> str:
    where = "of its graph" if cuts == "dag" else "of the execution order"
    what = (
        "pipeline"
        if question.layout is Layout.PIPELINE or tpus == 1
        else f"pipeline and no division of {tpus} TPUs among several"
    )
    return f"potentials: no {what} is better, over all cuts {where}"


def _fault(what: str) -> SolverFault:
    return SolverFault(f"the exact search answered wrongly: {what}", "please report this with the model")
