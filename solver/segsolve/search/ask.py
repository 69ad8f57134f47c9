"""Answer a question: on the execution order first, then on whatever cuts its graph allows beyond."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from segsolve.cost.table import StageTable, chain_table, lattice_table
from segsolve.deadline import OutOfTime, deadline, left_s
from segsolve.errors import UsageError
from segsolve.problem import Problem
from segsolve.question import Cuts, Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.bounds import least_value, out_of_reach
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.table import is_long
from segsolve.search.exact import draft, exact
from segsolve.search.fallback import Fallback
from segsolve.search.inquiry import Inquiry
from segsolve.search.near import nearby
from segsolve.search.objectives import aim
from segsolve.search.single import answer_of_planner
from segsolve.search.strategies import DEFAULT, EXACT, get_planner
from segsolve.solvers.base import Confirmation, Limits, Observer, Progress, Status, Stop, ignore

_TOO_MANY = "its graph allows too many cuts to list (one pipeline: --layout pipeline --cuts dag bounds them)"
_NEAR = f"the plan is the best near its own cuts: {_TOO_MANY}"
_LEAST_WORK = "no cut of the graph does less work in all"
_ONE_STAGE = "one TPU runs the whole graph as one stage, however it is cut"
_SHARE = 0.3  # of the time, for plans near the known one; the rest is for those anywhere, and their bound
_OTHERS = f"leave --planner away, or give one of: {', '.join(EXACT)}"
_FEW_STATES = 600  # a trade-off between two costs takes a search per point


def answer(
    problem: Problem,
    question: Question | None = None,
    *,
    planner: str = DEFAULT,
    limits: Limits | None = None,
    observe: Observer = ignore,
) -> Answer:
    """Return the best plan for a question, proven as far as its `proof`, `cuts` and `certificate` say.

    Raises:
        UsageError: the question makes no sense for the problem or the planner.
        SolverFault: two ways to the same optimum disagree.
    """
    asked = question or Question()
    check_question(asked, planner)
    search = _Search(asked.constraints.restricted(problem), asked, planner, limits or Limits(), observe)
    return replace(search.run(), wall_s=time.perf_counter() - search.start)


def best_pipeline(problem: Problem, planner: str, limits: Limits | None = None) -> Answer:
    """Return the best single pipeline that the execution order can be cut into, one TPU per stage.

    Raises:
        SolverFault: two ways to the same optimum disagree.
    """
    question = Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
    return answer(problem, question, planner=planner, limits=limits)


def answer_of_strategy(
    problem: Problem, planner: str, limits: Limits | None = None, observe: Observer = ignore
) -> Answer:
    """Return the pipeline of any strategy; an exact one that the link or the host limits is asked again with these.

    Raises:
        UsageError: no planner has this name.
        SolverFault: the planner answered wrongly.
    """
    found = solve(problem, planner=planner, limits=limits, observe=observe)
    if planner not in EXACT or found.stopped_by is not Stop.FINISHED or not (found.score and found.score.limited_by):
        return found
    again = best_pipeline(problem, planner, limits)
    if again.plan is None or again.plan.cuts is None:
        return found
    return replace(again, wall_s=found.wall_s + again.wall_s)


def check_question(question: Question, planner: str) -> None:
    """Raise a UsageError if a question makes no sense, or the planner does not answer it; whatever the problem."""
    get_planner(planner)
    kept, objective = question.constraints, question.objective
    if planner not in EXACT and (objective is not Objective.THROUGHPUT or kept):
        raise UsageError(f"the planner {planner!r} only cuts one pipeline for throughput, without constraints", _OTHERS)
    if planner not in EXACT and question.cuts is Cuts.DAG:
        raise UsageError(f"the planner {planner!r} cuts the execution order only", _OTHERS)
    aim(objective).check(kept)


@dataclass
class _Search:
    problem: Problem
    question: Question
    planner: str
    limits: Limits
    observe: Observer

    def __post_init__(self) -> None:
        self.start = time.perf_counter()

    def run(self) -> Answer:
        """Search until time is up or Ctrl-C comes; what is known then is the answer."""
        self.known = Fallback(self.problem, self.question, self.planner, self.limits)
        if self.planner in EXACT and self.question.cuts is not Cuts.CHAIN:
            reason = out_of_reach(self.problem, self.question.constraints)
            if reason is not None:
                return self.known.out_of_reach(reason)
        with deadline(self.limits.time_limit_s):
            try:
                return self._searched()
            except OutOfTime:
                why = Stop.TIME_LIMIT
            except KeyboardInterrupt:
                if self.planner not in EXACT:
                    raise  # another strategy's plan is not what was asked for
                why = Stop.INTERRUPTED
        return self.known.answer(why)

    def _searched(self) -> Answer:
        chain = self._drafted() if self._may_wait else self._of_chain()
        if self.planner not in EXACT:
            return chain
        self._tell(chain)
        if self.question.cuts is Cuts.CHAIN:
            return chain
        if chain.stopped_by is not Stop.FINISHED:
            return self._of_the_order(chain)
        try:
            return self._beyond(chain)
        except KeyboardInterrupt:
            return replace(self._of_the_order(replace(chain, basis=None)), stopped_by=Stop.INTERRUPTED)
        except OutOfTime:
            return replace(self._of_the_order(chain), stopped_by=Stop.TIME_LIMIT)

    @property
    def _may_wait(self) -> bool:
        """Whether others confirm the execution order's answer only when it turns out to be the last word.

        Not with a limit, as they would come too late for an answer that is cut short.
        """
        is_open = self.question.cuts is not Cuts.CHAIN and self.planner in EXACT
        return is_open and self.limits.time_limit_s is None and not is_long(self.problem)

    def _of_chain(self) -> Answer:
        """Return the best plan of the execution order, confirmed."""
        if self.planner not in EXACT or self._is_plain:
            chain = answer_of_planner(self.problem, self.question, self.planner, self.limits, self.observe)
            is_limited = chain.score is not None and chain.score.limited_by and chain.stopped_by is Stop.FINISHED
            if not is_limited or self.planner not in EXACT:
                return chain
        elif is_long(self.problem):
            self.known.find()
        return exact(self._chain_asked)

    def _drafted(self) -> Answer:
        """Return the best plan of the execution order, still to be confirmed."""
        return draft(self._chain_asked)

    def _last(self, chain: Answer) -> Answer:
        """Return the execution order's answer as the last word, confirmed."""
        if chain.basis is None:
            return chain
        return self._of_chain() if self._is_plain else exact(self._chain_asked, chain)

    @cached_property
    def _chain_asked(self) -> Inquiry:
        return self._asked(chain_table(self.problem), "chain")

    def _asked(self, table: StageTable, cuts: str) -> Inquiry:
        return Inquiry(table=table, question=self.question, planner=self.planner, limits=self.limits, cuts=cuts)

    @property
    def _is_plain(self) -> bool:
        """Whether it is the question that every planner answers: one chain, one pipeline, its bottleneck."""
        asked = self.question
        is_free = all(c.forbidden_cuts for c in asked.constraints)  # which are no more in the problem's cuts
        return asked.objective is Objective.THROUGHPUT and asked.layout is Layout.PIPELINE and is_free

    def _beyond(self, chain: Answer) -> Answer:
        """Look for a better plan among all cuts of the graph."""
        if self.problem.tpus == 1 and not self.problem.cpus:
            return _shown(self._last(chain), _ONE_STAGE)
        if self._cannot_pay(chain):
            return _shown(self._last(chain), _LEAST_WORK)
        if self._is_late:
            return replace(self._of_the_order(chain), stopped_by=Stop.TIME_LIMIT)
        table = lattice_table(self.problem)
        return self._without_lattice(chain) if table is None else self._of_lattice(table, chain)

    def _of_lattice(self, table: StageTable, chain: Answer) -> Answer:
        """Return the best plan over all stages that the graph allows, unless that takes too long unasked."""
        if len(table.members) == len(self.problem.cuts) + 2:
            return replace(self._last(chain), cuts="dag")
        is_long = chain.plan is not None and self._needs_fronts and len(table.members) > _FEW_STATES
        if is_long and self.question.cuts is Cuts.AUTO:
            return self._of_the_order(chain, "--cuts dag also tries cuts between branches")
        graph = exact(self._asked(table, "dag"))
        self._tell(graph)
        return self._better(chain, graph)

    def _better(self, chain: Answer, graph: Answer) -> Answer:
        """Return the graph's answer, unless its search was not complete and the execution order has a better plan.

        Of plans as good as each other it is that of the order, but for one whose bound is certified.
        """
        if graph.status in (Status.OPTIMAL, Status.INFEASIBLE) or chain.value is None or chain.points:
            return graph
        if graph.certificate is not None and graph.value == chain.value:
            return graph
        if graph.value is None or chain.value <= graph.value:
            why = "" if graph.note == chain.note else graph.note
            known = self._of_the_order(chain, why, otherwise="no other cuts of its graph were found to be better")
            return replace(known, bound=max(known.bound, min(graph.bound, chain.value)))
        return graph

    def _without_lattice(self, chain: Answer) -> Answer:
        """Return the best plan that is found where the ideals are too many to list, and what is known of it."""
        is_bounded = self._is_plain and self.question.cuts is Cuts.DAG
        found = self._nearby(chain, _SHARE if is_bounded else 1.0)
        if found is chain and not (is_bounded and chain.plan):
            return self._of_the_order(chain, _TOO_MANY)
        if found.value is not None and self._cannot_pay(found):
            return _shown(replace(found, status=Status.OPTIMAL, bound=found.value), _LEAST_WORK)
        if is_bounded and found.stopped_by is not Stop.INTERRUPTED:
            from segsolve.search.wide import wide_answer  # loads the second solver, which few questions need

            limits = self.limits if self.limits.time_limit_s is None else replace(self.limits, time_limit_s=left_s())
            try:
                return wide_answer(self.problem, found, limits, self.observe)
            except OutOfTime:
                if found is chain:
                    raise
                found = replace(found, stopped_by=Stop.TIME_LIMIT)
        return replace(found, status=Status.FEASIBLE, bound=min(self._least, found.value or self._least), note=_NEAR)

    def _nearby(self, chain: Answer, share: float) -> Answer:
        """Return the best plan near that of the execution order, within a share of the time that is left."""
        best = chain
        if chain.points or is_long(self.problem):
            return best
        is_limited = self.limits.time_limit_s is not None
        few, many = (60, 120) if self._needs_fronts else (300, 700)
        better = nearby(
            self.problem, chain, self._drafted_over, few=few, many=many, seed=self.limits.seed, is_endless=is_limited
        )
        stopped_by = Stop.FINISHED
        try:
            with deadline(share * left_s() if is_limited else None):
                for found in better:
                    best = replace(found, status=Status.FEASIBLE, basis=None)
                    self._tell(best)
                    if self._cannot_pay(best):
                        break
        except OutOfTime:
            stopped_by = Stop.TIME_LIMIT
        except KeyboardInterrupt:
            if best is chain:
                raise
            stopped_by = Stop.INTERRUPTED
        return best if best is chain else replace(best, stopped_by=stopped_by)

    def _drafted_over(self, table: StageTable) -> Answer:
        return draft(self._asked(table, "dag"))

    def _of_the_order(self, chain: Answer, why: str = "", *, otherwise: str = "no other cuts were tried") -> Answer:
        """Return what is known of the execution order, as a plan that other cuts of the graph may better.

        `otherwise` says so of a plan that is not known to be the best of the order.
        """
        chain = self._last(chain)
        if chain.status is Status.INFEASIBLE:
            note = f"no cuts of the execution order keep the constraints; others were not all tried{why and f': {why}'}"
            return replace(chain, status=Status.UNKNOWN, bound=self._least, note=note)
        if chain.value is None:
            return replace(chain, bound=min(chain.bound, self._least))
        bound = min(self._least, chain.value)
        if bound == chain.value and not chain.points:
            return replace(chain, status=Status.OPTIMAL, bound=bound, cuts="dag")
        is_best = chain.status is Status.OPTIMAL
        said = "the plan is the best over all cuts of the execution order" if is_best else otherwise
        note = "; ".join(part for part in (chain.note, f"{said}{why and f': {why}'}") if part)
        return replace(
            chain,
            status=Status.FEASIBLE,
            bound=Fraction(-1) if chain.points else bound,
            best_over="execution order" if is_best else None,
            note=note,
        )

    @property
    def _needs_fronts(self) -> bool:
        limit = self.question.constraints.most_latency_ns
        return aim(self.question.objective).needs_fronts or limit is not None

    @property
    def _is_late(self) -> bool:
        limit = self.limits.time_limit_s
        return limit is not None and time.perf_counter() - self.start >= limit

    def _cannot_pay(self, chain: Answer) -> bool:
        """Whether the plan of the execution order does no more than the work that no cut of the graph avoids."""
        return chain.value is not None and not chain.points and 0 < chain.value <= self._least

    @property
    def _least(self) -> Fraction:
        return least_value(self.problem, self.question)

    def _tell(self, found: Answer) -> None:
        if not aim(self.question.objective).is_rate:
            return  # no bound in ns that means anything to who watches
        bound = min(found.bound, self._least) if found.cuts == "chain" else found.bound
        elapsed = time.perf_counter() - self.start
        self.observe(Progress(objective_ns=found.objective_ns, bound_ns=int(bound), wall_s=elapsed))


def _shown(found: Answer, claim: str) -> Answer:
    """Return an answer of the execution order as one over all cuts of the graph, for a reason that needs no search."""
    proof = Confirmation(by="bounds", claim=claim, strength="exact", seconds=0.0)
    return replace(found, cuts="dag", confirmed_by=(*found.confirmed_by, proof))
