"""From a question about a pool to its answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

from segsolve.cost.states import prefixes
from segsolve.cost.table import IMPOSSIBLE, StageTable
from segsolve.deadline import OutOfTime, deadline, is_over
from segsolve.errors import SolverFault
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.arcs import Arcs, arcs_of
from segsolve.pool.bound import Proof
from segsolve.pool.columns import Limited, best_limited
from segsolve.pool.copies import Copies
from segsolve.pool.evaluate import PoolScore, check_pool, score_pool
from segsolve.pool.exclusive import Exclusive, best_exclusive
from segsolve.pool.local import Placed
from segsolve.pool.model import Goal, PoolProblem, Sharing
from segsolve.pool.patterns import Pricer, plan_of
from segsolve.pool.plan import PoolPlan
from segsolve.pool.resources import Prices, ResourceBound
from segsolve.pool.shared import SharedSearch
from segsolve.solvers.base import Confirmation, Limits, Observer, Progress, Status, Stop, ignore

DEDICATED, SHARED = "TPUs of one stage each", "shared TPUs, one pipeline per model"
COPIES = "copies of models on shared TPUs"


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
        self._shares = problem.models > 1 and self._sharing is not Sharing.NEVER
        self._copies = self._shares and self._sharing is Sharing.AUTO
        self._copied: tuple[PoolPlan, PoolScore] | None = None
        self._prices: tuple[Prices, Fraction] | None = None
        self._limited: Limited | None = None

    def answer(self) -> PoolAnswer:
        dedicated = None
        if self._sharing is not Sharing.ALWAYS or not self._shares:
            try:
                dedicated = self._dedicated()
            except OutOfTime:
                self._unfinished = True  # so that nothing is known of such plans
        search = SharedSearch(self._problem, self._arcs, self._limits, self._news)
        alone = self._problem.models == 1  # one pipeline of a model shares with none
        try:
            if self._copies:
                self._timed("search of copies", partial(self._copy, search.pricer, None))
            if self._shares or (
                alone and (self._problem.workload.goal is Goal.LATENCY or not self._is_closed(dedicated))
            ):
                search.run(partial(self._timed, "resource bound", partial(self._priced, search)))
            if self._copies and search.best is not None:
                self._timed("search of copies", partial(self._copy, search.pricer, search.best))
        except KeyboardInterrupt:
            self._interrupted = True
        except OutOfTime:
            pass
        if self._prices is None and (self._shares or dedicated is None or self._limited is not None):
            self._timed("resource bound", partial(self._priced, search))
        return self._chosen(dedicated, search if self._shares or search.best else None)

    @property
    def _limits_shared(self) -> bool:
        """Whether there is something that all TPUs share."""
        return bool(self._problem.pool.links or self._problem.host_cores)

    def _timed(self, who: str, work: Callable[[], None]) -> None:
        start = time.perf_counter()
        work()
        self._seconds[who] = self._seconds.get(who, 0.0) + time.perf_counter() - start

    def _priced(self, search: SharedSearch) -> None:
        if self._problem.workload.goal is Goal.RATES:
            with contextlib.suppress(OutOfTime):
                self._prices = ResourceBound(self._problem, self._arcs).raised()
            if self._prices is not None:
                search.floor = self._prices[1]
                self._news(search.best.value if search.best else None, int(search.floor))

    def _copy(self, pricer: Pricer, start: Placed | None) -> None:
        found = Copies(self._problem, self._arcs, pricer, self._limits.seed).best(start)
        if found is not None and (self._copied is None or self._rank(found[1]) < self._rank(self._copied[1])):
            self._copied = found
            self._news(self._value(found[1]), 0)

    def _dedicated(self) -> Exclusive | None:
        begun = time.perf_counter()
        tables = [[StageTable(problem, prefixes(problem)) for problem in row] for row in self._problem.costs]
        found = best_exclusive(self._problem, tables)
        self._seconds["dynamic program"] = time.perf_counter() - begun
        if found is not None and not self._is_closed(found):
            with contextlib.suppress(OutOfTime):
                self._timed("columns", partial(self._limit, tables))
        return found

    def _limit(self, tables: Sequence[Sequence[StageTable]]) -> None:
        self._limited = best_limited(self._problem, tables)

    def _is_closed(self, dedicated: Exclusive | None) -> bool:
        """Whether the best plan without shared TPUs is known: links and host do not limit, or were counted."""
        if dedicated is None or self._limited is not None:
            return dedicated is not None
        return score_pool(self._problem, dedicated.plan).period == 1 / dedicated.rate

    def _chosen(self, dedicated: Exclusive | None, search: SharedSearch | None) -> PoolAnswer:
        """Return the better of the two, with the bound over both."""
        goal = self._problem.workload.goal
        found: list[tuple[Fraction, int, PoolPlan, PoolScore, str]] = []
        if dedicated is not None:
            score = self._checked(dedicated.plan)
            if score.period < 1 / dedicated.rate:
                raise SolverFault(f"a plan takes {score.period} ns, less than the {1 / dedicated.rate} of the optimum")
            found.append((self._value(score), 0, dedicated.plan, score, "dynamic program"))
        if self._limited is not None:
            score = self._checked(self._limited.plan)
            found.append((self._value(score), 0, self._limited.plan, score, "highs"))
        if search is not None and search.best is not None and search.best.value < IMPOSSIBLE:
            plan = plan_of(self._problem, self._arcs, search.best.patterns)
            score = self._checked(plan)
            if goal is Goal.RATES and score.period != search.best.value:
                raise SolverFault(f"the search says {search.best.value} ns, the evaluator {score.period}")
            found.append((self._value(score), 1, plan, score, search.found_by))
        if self._copied is not None:
            self._checked(self._copied[0])
            found.append((self._value(self._copied[1]), 2, *self._copied, "search of copies"))
        asked = (
            (DEDICATED, self._sharing is not Sharing.ALWAYS or not self._shares),
            (SHARED, self._shares),
            (COPIES, self._copies),
        )
        over = ", ".join(name for name, is_asked in asked if is_asked)
        proof = search.proof if search else None
        narrow = self._bound(dedicated, proof, search), self._bound(dedicated, proof, None, certified=True)
        bound, certified = (self._least, self._least) if self._copies else narrow
        stopped = Stop.INTERRUPTED if self._interrupted else Stop.TIME_LIMIT if is_over() else Stop.FINISHED
        if not found:
            is_proven = not self._shares and stopped is Stop.FINISHED
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
        value, _, plan, score, who = min(found, key=lambda each: (*self._rank(each[3]), each[1]))
        bound = min(bound, value)
        return PoolAnswer(
            problem=self._problem,
            status=Status.OPTIMAL if bound == value else Status.FEASIBLE,
            plan=plan,
            score=score,
            value=value,
            bound=bound,
            certified=min(certified, value),
            narrow=(min(narrow[0], value), min(narrow[1], value)) if self._copies else None,
            prices=self._prices[0] if self._prices else None,
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

    def _rank(self, score: PoolScore) -> tuple[bool, Fraction]:
        """What plans are compared by: first whether they make the rates, where that is a condition."""
        wanted = self._problem.workload.scale_fps
        is_free = self._problem.workload.goal is Goal.RATES or wanted is None
        return not is_free and score.scale_fps < (wanted or 0), self._value(score)

    @property
    def _least(self) -> Fraction:
        """What no plan at all is below, by the prices of resources, or the least latency."""
        if self._problem.workload.goal is Goal.LATENCY:
            return self._bound(None, None, None)
        return self._prices[1] if self._prices else Fraction(0)

    def _bound(
        self,
        dedicated: Exclusive | None,
        proof: Proof | None,
        search: SharedSearch | None,
        *,
        certified: bool = False,
    ) -> Fraction:
        """Return what no plan without copies on shared TPUs is below, if that was asked for."""
        if self._problem.workload.goal is Goal.LATENCY:
            try:
                return Fraction(least_latency(self._arcs))
            except OutOfTime:
                return Fraction(0)
        bounds = [Fraction(0)] if self._unfinished else []
        if dedicated is not None:
            counted = self._limited.least if self._limited and not certified else Fraction(0)
            bounds.append(max(1 / dedicated.rate, self._least, counted))
        if self._shares:
            closed = search.closed_ns if search else None
            bounds.append(max(Fraction(max(proof.period_ns + 1 if proof else 0, closed or 0)), self._least))
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
                    strength="exact, links and host left aside" if self._limits_shared else "exact",
                    seconds=self._seconds.get("dynamic program", 0.0),
                )
            )
        if self._limited is not None:
            done.append(
                Confirmation(
                    by="highs",
                    claim=f"without shared TPUs no period is below {_ms(self._limited.least)} ms",
                    strength=f"exact to a millionth, over {self._limited.columns} pipelines, with links and host",
                    seconds=self._seconds.get("columns", 0.0),
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
        if self._prices is not None:
            done.append(
                Confirmation(
                    by="resource bound",
                    claim=f"no period of any plan is below {_ms(self._prices[1])} ms",
                    strength="prices",
                    seconds=self._seconds.get("resource bound", 0.0),
                )
            )
        return tuple(done)

    def _news(self, value: Fraction | None, bound: int) -> None:
        if self._copies and value is not None:  # what is found and shown of plans without them is not of all
            value = min(value, self._value(self._copied[1])) if self._copied else value
            bound = int(self._prices[1]) if self._prices else 0
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


def _ms(ns: Fraction) -> str:
    return f"{float(ns) / 1e6:.3f}"
