"""Answer a question: on the execution order first, then on whatever cuts its graph allows beyond."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction

from segsolve.cost.lattice_table import lattice_table
from segsolve.cost.segment_table import SegmentTable
from segsolve.errors import UsageError
from segsolve.problem import Problem
from segsolve.question import Constraints, Cuts, Layout, Objective, Question, restricted
from segsolve.search.answer import Answer
from segsolve.search.bounds import least_period
from segsolve.search.exact import exact_answer
from segsolve.search.single import answer_of_planner
from segsolve.search.strategies import DEFAULT, get_planner
from segsolve.search.wide import wide_answer
from segsolve.solvers.base import Limits, Observer, Progress, Status, Stop, ignore

_TOO_MANY = "its graph allows too many cuts to list (one pipeline: --layout pipeline --cuts dag bounds them)"
_EXACT = (DEFAULT, "dp")
_OTHERS = f"leave --planner away, or give one of: {', '.join(_EXACT)}"
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
    search = _Search(restricted(problem, asked.constraints), asked, planner, limits or Limits(), observe)
    return replace(search.run(), wall_s=time.perf_counter() - search.start)


def check_question(question: Question, planner: str) -> None:
    """Raise a UsageError if a question makes no sense, or the planner does not answer it; whatever the problem."""
    get_planner(planner)
    kept, objective = question.constraints, question.objective
    if planner not in _EXACT and (objective is not Objective.THROUGHPUT or kept != Constraints()):
        raise UsageError(f"the planner {planner!r} only cuts one pipeline for throughput, without constraints", _OTHERS)
    if planner not in _EXACT and question.cuts is Cuts.DAG:
        raise UsageError(f"the planner {planner!r} cuts the execution order only", _OTHERS)
    if objective is Objective.DEVICES and kept.min_fps is None and kept.max_latency_ns is None:
        raise UsageError("the fewest devices for what?", "give --min-fps, --max-latency, or both")
    if objective is Objective.BATCH and kept.min_fps is not None:
        raise UsageError("--min-fps means nothing to a batch", "leave it away, or ask for another objective")


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
        if self.planner not in _EXACT or self._is_plain:
            chain = answer_of_planner(self.problem, self.question, self.planner, self.limits, self.observe)
            if self.planner not in _EXACT:
                return chain
        else:
            chain = exact_answer(SegmentTable(self.problem), self.question, self.planner, self.limits, "chain")
        self._tell(chain)
        if self.question.cuts is Cuts.CHAIN or chain.stopped_by is not Stop.FINISHED:
            return chain
        try:
            return self._beyond(chain)
        except KeyboardInterrupt:
            return self._stopped(chain, Stop.INTERRUPTED)

    @property
    def _is_plain(self) -> bool:
        """Whether it is the question that every planner answers: one chain, one pipeline, its bottleneck."""
        asked = self.question
        is_free = replace(asked.constraints, no_cut_before=()) == Constraints()
        return (
            asked.objective is Objective.THROUGHPUT
            and asked.layout is Layout.PIPELINE
            and is_free
            and self.problem.link is None
        )

    def _beyond(self, chain: Answer) -> Answer:
        """Look for a better plan among all cuts of the graph."""
        if self._cannot_pay(chain):
            return replace(chain, cuts="dag", proof=f"{chain.proof}; no cut of the graph does less work in all")
        if self._is_late:
            return self._stopped(chain, Stop.TIME_LIMIT)
        table = lattice_table(self.problem)
        if table is None:
            return self._without_lattice(chain)
        if len(table.members) == len(self.problem.cuts) + 2:
            return replace(chain, cuts="dag")
        if (
            chain.plan is not None
            and self._needs_fronts
            and len(table.members) > _FEW_STATES
            and self.question.cuts is Cuts.AUTO
        ):
            return replace(chain, note=self._unproven(chain, "--cuts dag also tries cuts between branches"))
        graph = exact_answer(table, self.question, self.planner, self.limits, "dag")
        self._tell(graph)
        return self._better(chain, graph)

    def _better(self, chain: Answer, graph: Answer) -> Answer:
        """Return the graph's answer, unless its search was not complete and the execution order has a better plan."""
        if graph.status in (Status.OPTIMAL, Status.INFEASIBLE) or chain.value is None or chain.points:
            return graph
        if chain.status is Status.OPTIMAL and (graph.value is None or chain.value <= graph.value):
            return replace(chain, note=self._unproven(chain, f"of other cuts not all was tried ({graph.note})"))
        if graph.value is None or chain.value < graph.value:
            return replace(chain, bound=min(graph.bound, chain.value), cuts="dag")
        return graph

    def _without_lattice(self, chain: Answer) -> Answer:
        if self._is_plain and self.question.cuts is Cuts.DAG and chain.plan is not None:
            return wide_answer(self.problem, chain, self.limits, self.observe)
        if chain.status is Status.INFEASIBLE:
            why = f"no cuts of the execution order keep the constraints, and {_TOO_MANY}"
            return replace(chain, status=Status.UNKNOWN, proof=None, note=why)
        return replace(chain, note=self._unproven(chain, _TOO_MANY))

    @property
    def _needs_fronts(self) -> bool:
        by_bottleneck = self.question.objective in (Objective.THROUGHPUT, Objective.DEVICES)
        return not by_bottleneck or self.question.constraints.max_latency_ns is not None

    @property
    def _is_late(self) -> bool:
        limit = self.limits.time_limit_s
        return limit is not None and time.perf_counter() - self.start >= limit

    def _cannot_pay(self, chain: Answer) -> bool:
        is_rate = self.question.objective is Objective.THROUGHPUT and self.question.layout is Layout.ANY
        return is_rate and chain.value is not None and chain.value <= self._least_period

    @property
    def _least_period(self) -> Fraction:
        return least_period(self.problem)

    def _unproven(self, chain: Answer, why: str) -> str:
        """Say that the optimum is that of the execution order, and by how much other cuts could better it at most."""
        is_best = chain.status is Status.OPTIMAL
        said = "the optimum is that over all cuts of the execution order" if is_best else "no other cuts were tried"
        text = f"{chain.note}; {said}: {why}" if chain.note else f"{said}: {why}"
        if self.question.objective is Objective.THROUGHPUT and chain.value and self._least_period:
            text += f"; other cuts could gain {float(1 - self._least_period / chain.value):.1%} at most"
        return text

    def _stopped(self, chain: Answer, why: Stop) -> Answer:
        """Return what is known of the chain, as a plan that better cuts of the graph may beat."""
        if chain.status is Status.INFEASIBLE:
            return replace(chain, status=Status.UNKNOWN, proof=None, stopped_by=why)
        if chain.status is not Status.OPTIMAL:
            return replace(chain, stopped_by=why)
        bound = min(chain.bound, self._least_period) if self.question.objective is Objective.THROUGHPUT else Fraction(0)
        return replace(chain, status=Status.FEASIBLE, bound=bound, proof=None, certificate=None, stopped_by=why)

    def _tell(self, found: Answer) -> None:
        if self.question.objective is not Objective.THROUGHPUT:
            return  # no bound in ns that means anything to who watches
        bound = min(found.bound, self._least_period) if found.cuts == "chain" else found.bound
        elapsed = time.perf_counter() - self.start
        self.observe(Progress(objective_ns=found.objective_ns, bound_ns=int(bound), wall_s=elapsed))
