"""From a question about a pool to its answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from segsolve.cost.states import prefixes
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime, deadline, is_over
from segsolve.errors import SolverFault
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.arcs import Arcs, arcs_of
from segsolve.pool.bound import Proof
from segsolve.pool.evaluate import PoolScore, check_pool, score_pool
from segsolve.pool.exclusive import Exclusive, best_exclusive
from segsolve.pool.model import Goal, PoolProblem, Sharing
from segsolve.pool.patterns import plan_of
from segsolve.pool.plan import PoolPlan
from segsolve.pool.shared import SharedSearch
from segsolve.solvers.base import Confirmation, Limits, Observer, Progress, Status, Stop, ignore

DEDICATED, SHARED = "TPUs of one stage each", "shared TPUs, one pipeline per model"


def solve_pool(problem: PoolProblem, *, limits: Limits | None = None, observe: Observer = ignore) -> PoolAnswer:
    """Return the best plan for a workload on a pool, as far as the limits allow, and how good it is.

    Raises:
        SolverFault: a plan costs something else than what the search said.
    """
    limits, start = limits or Limits(), time.perf_counter()
    with deadline(limits.time_limit_s):
        try:
            answer = _Solve(problem, limits, observe, start).answer()
        except OutOfTime:  # before there was anything to search in
            answer = PoolAnswer(
                problem=problem,
                status=Status.UNKNOWN,
                plan=None,
                score=None,
                value=None,
                bound=Fraction(0),
                found_by="dynamic program",
                over=DEDICATED,
                stopped_by=Stop.TIME_LIMIT,
            )
    return replace(answer, wall_s=time.perf_counter() - start, seed=limits.seed)


class _Solve:
    """What was found so far."""

    def __init__(self, problem: PoolProblem, limits: Limits, observe: Observer, start: float) -> None:
        self._problem, self._limits, self._observe, self._start = problem, limits, observe, start
        self._sharing = problem.workload.sharing
        self._arcs: list[list[Arcs]] = [[arcs_of(p) for p in row] for row in problem.costs]
        self._interrupted, self._unfinished = False, False
        self._seconds: dict[str, float] = {}

    def answer(self) -> PoolAnswer:
        shares = self._problem.models > 1 and self._sharing is not Sharing.NEVER
        dedicated = None
        if self._sharing is not Sharing.ALWAYS or not shares:
            try:
                dedicated = self._dedicated()
            except OutOfTime:
                self._unfinished = True  # so that nothing is known of such plans
        search = SharedSearch(self._problem, self._arcs, self._limits, self._news)
        alone = self._problem.models == 1  # one pipeline of a model shares with none
        if shares or (alone and (self._problem.workload.goal is Goal.LATENCY or self._problem.pool.links)):
            try:
                search.run()
            except KeyboardInterrupt:
                self._interrupted = True
            except OutOfTime:
                pass
        return self._chosen(dedicated, search if shares or search.best else None, shares)

    def _dedicated(self) -> Exclusive | None:
        begun = time.perf_counter()
        tables = [[StageTable(problem, prefixes(problem)) for problem in row] for row in self._problem.costs]
        found = best_exclusive(self._problem, tables)
        self._seconds["dynamic program"] = time.perf_counter() - begun
        return found

    def _chosen(self, dedicated: Exclusive | None, search: SharedSearch | None, shares: bool) -> PoolAnswer:
        """Return the better of the two, with the bound over both."""
        goal = self._problem.workload.goal
        found: list[tuple[Fraction, int, PoolPlan, PoolScore, str]] = []
        if dedicated is not None:
            score = self._checked(dedicated.plan)
            if score.period < 1 / dedicated.rate:
                raise SolverFault(f"a plan takes {score.period} ns, less than the {1 / dedicated.rate} of the optimum")
            found.append((self._value(score), 0, dedicated.plan, score, "dynamic program"))
        if search is not None and search.best is not None and search.best.value < IMPOSSIBLE:
            plan = plan_of(self._problem, self._arcs, search.best.patterns)
            score = self._checked(plan)
            if goal is Goal.RATES and score.period != search.best.value:
                raise SolverFault(f"the search says {search.best.value} ns, the evaluator {score.period}")
            found.append((self._value(score), 1, plan, score, search.found_by))
        over = " and ".join(
            name
            for name, is_asked in ((DEDICATED, self._sharing is not Sharing.ALWAYS or not shares), (SHARED, shares))
            if is_asked
        )
        proof = search.proof if search else None
        bound = self._bound(dedicated, proof, shares, search)
        certified = self._bound(dedicated, proof, shares)
        stopped = Stop.INTERRUPTED if self._interrupted else Stop.TIME_LIMIT if is_over() else Stop.FINISHED
        if not found:
            is_proven = not shares and stopped is Stop.FINISHED
            return PoolAnswer(
                problem=self._problem,
                status=Status.INFEASIBLE if is_proven else Status.UNKNOWN,
                plan=None,
                score=None,
                value=None,
                bound=bound,
                found_by="dynamic program",
                over=over,
                note="more models than TPUs that may not share" if is_proven else "",
                stopped_by=stopped,
            )
        value, _, plan, score, who = min(found, key=lambda each: (not self._keeps(each[3]), *each[:2]))
        bound = min(bound, value)
        return PoolAnswer(
            problem=self._problem,
            status=Status.OPTIMAL if bound == value else Status.FEASIBLE,
            plan=plan,
            score=score,
            value=value,
            bound=bound,
            certified=min(certified, value),
            found_by=who,
            over=over,
            confirmed_by=self._confirmations(dedicated, proof, search),
            dedicated_period=1 / dedicated.rate if dedicated else None,
            shared=proof,
            stopped_by=stopped,
        )

    def _value(self, score: PoolScore) -> Fraction:
        rates = self._problem.workload.goal is Goal.RATES
        return score.period if rates else Fraction(score.worst_latency_ns)

    def _keeps(self, score: PoolScore) -> bool:
        wanted = self._problem.workload.scale_fps
        return self._problem.workload.goal is Goal.RATES or wanted is None or score.scale_fps >= wanted

    def _bound(
        self, dedicated: Exclusive | None, proof: Proof | None, shares: bool, search: SharedSearch | None = None
    ) -> Fraction:
        """Return what no plan that was asked for is below."""
        if self._problem.workload.goal is Goal.LATENCY:
            try:
                return Fraction(least_latency(self._arcs))
            except OutOfTime:
                return Fraction(0)
        bounds = [Fraction(0)] if self._unfinished else []
        if dedicated is not None:
            bounds.append(1 / dedicated.rate)
        if shares:
            closed = search.closed_ns if search else None
            bounds.append(
                Fraction(max(proof.period_ns + 1 if proof else 0, closed or 0, least_work(self._problem, self._arcs)))
            )
        return min(bounds) if bounds else Fraction(0)

    def _checked(self, plan: PoolPlan) -> PoolScore:
        if faults := check_pool(self._problem, plan):
            raise SolverFault(f"the plan that was found is not valid: {faults[0]}")
        return score_pool(self._problem, plan)

    def _confirmations(
        self, dedicated: Exclusive | None, proof: Proof | None, search: SharedSearch | None
    ) -> tuple[Confirmation, ...]:
        done = [Confirmation(by="evaluator", claim="what the plan costs", strength="exact", seconds=0.0)]
        if dedicated is not None:
            done.append(
                Confirmation(
                    by="dynamic program",
                    claim=f"without shared TPUs no period is below {_ms(1 / dedicated.rate)} ms",
                    strength="exact, links left aside" if self._problem.pool.links else "exact",
                    seconds=self._seconds.get("dynamic program", 0.0),
                )
            )
        if proof is not None and search is not None:
            done.append(
                Confirmation(
                    by="pattern bound",
                    claim=f"with shared TPUs no period is {_ms(Fraction(proof.period_ns))} ms or less",
                    strength="potentials",
                    seconds=search.seconds.get("pattern bound", 0.0),
                )
            )
        if search is not None and search.closed_ns is not None:
            done.append(
                Confirmation(
                    by="cp-sat",
                    claim=f"with shared TPUs no period is below {_ms(Fraction(search.closed_ns))} ms",
                    strength=f"exact, over the {search.listed} patterns that a plan can have",
                    seconds=search.seconds.get("cp-sat", 0.0),
                )
            )
        return tuple(done)

    def _news(self, value: Fraction | None, bound: int) -> None:
        objective = None if value is None else -(-value.numerator // value.denominator)
        self._observe(Progress(objective_ns=objective, bound_ns=bound, wall_s=time.perf_counter() - self._start))


def least_latency(arcs: Sequence[Sequence[Arcs]]) -> int:
    """Return the largest of the models' least latencies, each on TPUs of its own of the kinds that suit it best."""
    worst = 0
    for row in arcs:
        times = [StageTable(each.problem, each.states).time for each in row]
        best = [0] + [IMPOSSIBLE] * row[0].end
        for b in range(1, len(best)):
            best[b] = min(best[a] + min(int(time[a, b]) for time in times) for a in range(b))
        worst = max(worst, best[-1])
    return worst


def least_work(problem: PoolProblem, arcs: Sequence[Sequence[Arcs]]) -> int:
    """Return a period that no plan of one pipeline per model is below: all stages resident, spread evenly."""
    total = Fraction(0)
    devices = len(problem.pool.devices)
    for row, weight in zip(arcs, problem.workload.weights, strict=True):
        best = [0] + [IMPOSSIBLE] * row[0].end
        for b in range(1, len(best)):
            best[b] = min(best[a] + min(int(each.resident_ns[a, b]) for each in row) for a in range(b))
        total += Fraction(weight * best[-1], devices)
    return int(total)


def _ms(ns: Fraction) -> str:
    return f"{float(ns) / 1e6:.3f}"
