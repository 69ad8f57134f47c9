"""From a question about a pool to its answer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import OutOfTime, deadline, is_over
from segsolve.errors import SolverFault
from segsolve.pool.answer import COPIES, DEDICATED, SHARED, Family, PoolAnswer
from segsolve.pool.arcs import Arcs, KeptTable, arcs_of
from segsolve.pool.bound import Proof
from segsolve.pool.columns import Limited, best_limited
from segsolve.pool.copies import Copies
from segsolve.pool.evaluate import PoolScore, check_pool, keeps, score_pool
from segsolve.pool.exclusive import Exclusive, best_exclusive
from segsolve.pool.fallback import whole_models
from segsolve.pool.latency import LatencyBound, least_latency_ns
from segsolve.pool.local import Placed
from segsolve.pool.model import Goal, PoolProblem, Sharing
from segsolve.pool.patterns import Pricer, plan_of
from segsolve.pool.plan import PoolPlan
from segsolve.pool.resources import Prices, ResourceBound
from segsolve.pool.shared import SharedSearch
from segsolve.pool.simple import simple_shared
from segsolve.solvers.base import Confirmation, Limits, Observer, Progress, Status, Stop, ignore

_RATES_S = 2.0
"""For a bound on the rates, where the least latency is asked for at some."""


def solve_pool(problem: PoolProblem, *, limits: Limits | None = None, observe: Observer = ignore) -> PoolAnswer:
    """Return the best plan for a workload on a pool, as far as the limits allow, and how good it is.

    Raises:
        SolverFault: a plan costs something else than what the search said.
    """
    limits, start = limits or Limits(), time.perf_counter()
    with deadline(limits.time_limit_s):
        try:
            answer = _Solve(problem.without_idle_memory, limits, observe, start).answer()
        except OutOfTime:  # before there was anything to search in
            answer = _no_plan(problem, Status.UNKNOWN, bound=Fraction(0), stopped_by=Stop.TIME_LIMIT)
    score = answer.score and score_pool(problem, answer.score.plan)  # with all the memory that there is
    return replace(answer, problem=problem, score=score, wall_s=time.perf_counter() - start, seed=limits.seed)


def _no_plan(problem: PoolProblem, status: Status, *, over: str = DEDICATED, **known: Any) -> PoolAnswer:
    return PoolAnswer(
        problem=problem,
        status=status,
        plan=None,
        score=None,
        value=None,
        over=over,
        found_by="dynamic program",
        **known,
    )


class _Solve:
    """What was found so far."""

    def __init__(self, problem: PoolProblem, limits: Limits, observe: Observer, start: float) -> None:
        self._problem, self._limits, self._observe, self._start = problem, limits, observe, start
        self._sharing = problem.workload.sharing
        self._arcs: list[list[Arcs]] = [
            [arcs_of(p, demand.on(kind.name)) for p, kind in zip(row, problem.pool.kinds, strict=True)]
            for row, demand in zip(problem.costs, problem.workload.demands, strict=True)
        ]
        self._interrupted, self._unfinished = False, False
        self._seconds: dict[str, float] = {}
        self._shares = problem.models > 1 and self._sharing is not Sharing.NEVER
        self._copies = self._shares and self._sharing is Sharing.AUTO and len(problem.pool.devices) > 1
        self._copied: tuple[PoolPlan, PoolScore] | None = None
        self._prices: tuple[Prices, Fraction] | None = None
        self._limited: Limited | None = None
        self._simple_shared: dict[str, PoolPlan] | None = None
        self._least_period = Fraction(0)  # where the least latency is asked for

    def answer(self) -> PoolAnswer:
        with contextlib.suppress(OutOfTime):
            if note := self._impossible():
                return _no_plan(self._problem, Status.INFEASIBLE, bound=Fraction(0), note=note)
            if self._problem.workload.goal is Goal.LATENCY:
                with deadline(_RATES_S):
                    proven = ResourceBound(self._problem, self._arcs).raised()
                self._least_period = proven[1] if proven else Fraction(0)
        dedicated = None
        if self._sharing is not Sharing.ALWAYS or not self._shares:
            try:
                dedicated = self._dedicated()
            except OutOfTime:
                self._unfinished = True  # so that nothing is known of such plans
        search = SharedSearch(self._problem, self._arcs, self._limits, self._news)
        alone = self._problem.models == 1  # one pipeline of a model shares with none
        try:
            if self._copies:  # half a second for a bound over all plans, of which a short limit would leave nothing
                self._timed("resource bound", partial(self._priced, search))
                self._timed("search of copies", partial(self._copy, search.pricer, None))
            is_open = alone and (self._problem.workload.goal is Goal.LATENCY or not self._is_closed(dedicated))
            if (self._shares or is_open) and not self._is_settled:
                search.run(partial(self._timed, "resource bound", partial(self._priced, search)))
            if self._copies and search.best is not None and not self._is_settled:
                self._timed("search of copies", partial(self._copy, search.pricer, search.best))
        except KeyboardInterrupt:
            self._interrupted = True
        except OutOfTime:
            pass
        if self._prices is None and (self._shares or dedicated is None or self._limited is not None):
            self._timed("resource bound", partial(self._priced, search))
        return self._chosen(dedicated, search if self._shares or search.best else None)

    @property
    def _is_settled(self) -> bool:
        """Whether no plan at all is better than the one with copies that is known."""
        known = self._copied
        return known is not None and self._prices is not None and self._rank(known[1]) == (False, self._least)

    @property
    def _limits_shared(self) -> bool:
        """Whether there is something that all TPUs share."""
        return bool(self._problem.pool.links or self._problem.host_cores)

    def _timed(self, who: str, work: Callable[[], None]) -> None:
        start = time.perf_counter()
        work()
        self._seconds[who] = self._seconds.get(who, 0.0) + time.perf_counter() - start

    def _priced(self, search: SharedSearch) -> None:
        workload = self._problem.workload
        if self._prices is not None:
            return
        with contextlib.suppress(OutOfTime):
            if workload.goal is Goal.LATENCY and workload.scale_fps is not None:
                bound: ResourceBound = LatencyBound(self._problem, self._arcs, workload.scale_fps)
            else:
                bound = ResourceBound(self._problem, self._arcs)
            self._prices = bound.raised()
        if self._prices is not None:
            search.floor = self._prices[1]
            self._news(search.best.value if search.best else None, int(search.floor))

    def _copy(self, pricer: Pricer, start: Placed | None) -> None:
        found = Copies(self._problem, self._arcs, pricer, self._limits.seed).best(start)
        if found is not None and (self._copied is None or self._rank(found[1]) < self._rank(self._copied[1])):
            self._copied = found
            self._news(found[1].value, 0)

    def _dedicated(self) -> Exclusive | None:
        begun = time.perf_counter()
        tables = [[KeptTable(each.problem, each.states, kept=each.kept) for each in row] for row in self._arcs]
        found = best_exclusive(self._problem, tables)
        self._seconds["dynamic program"] = time.perf_counter() - begun
        if found is not None and not self._is_closed(found):
            with contextlib.suppress(OutOfTime):
                self._timed("highs", partial(self._limit, tables))
        return found

    def _limit(self, tables: Sequence[Sequence[KeptTable]]) -> None:
        self._limited = best_limited(self._problem, tables)

    def _is_closed(self, dedicated: Exclusive | None) -> bool:
        """Whether the best plan without shared TPUs is known: nothing but TPUs limits it, or all that does counted."""
        if dedicated is None or self._limited is not None:
            return dedicated is not None
        is_fast = score_pool(self._problem, dedicated.plan).period == dedicated.period
        return is_fast and self._problem.workload.goal is Goal.RATES and keeps(self._problem, dedicated.plan)

    def _chosen(self, dedicated: Exclusive | None, search: SharedSearch | None) -> PoolAnswer:
        """Return the better of the two, with the bound over both."""
        goal = self._problem.workload.goal
        found: list[tuple[str, PoolPlan, PoolScore, str]] = []  # family, plan, score, by whom
        if dedicated is not None:
            score = score_pool(self._problem, dedicated.plan)
            if score.period < dedicated.period:
                raise SolverFault(f"a plan takes {score.period} ns, less than the {dedicated.period} of the optimum")
            if keeps(self._problem, dedicated.plan):
                self._checked(dedicated.plan)
                found.append((DEDICATED, dedicated.plan, score, "dynamic program"))
        if self._limited is not None and self._limited.plan is not None:
            score = self._checked(self._limited.plan)
            found.append((DEDICATED, self._limited.plan, score, "highs"))
        if search is not None and search.best is not None and search.best.value < IMPOSSIBLE:
            plan = plan_of(self._problem, self._arcs, search.best.patterns)
            if keeps(self._problem, plan):
                score = self._checked(plan)
                if goal is Goal.RATES and score.period != search.best.value:
                    raise SolverFault(f"the search says {search.best.value} ns, the evaluator {score.period}")
                found.append((SHARED, plan, score, search.found_by))
        if self._copied is not None and keeps(self._problem, self._copied[0]):
            self._checked(self._copied[0])
            found.append((COPIES, *self._copied, "search of copies"))
        found += self._simple()
        asked = {
            DEDICATED: self._sharing is not Sharing.ALWAYS or not self._shares,
            SHARED: self._shares,
            COPIES: self._copies,
        }
        over = ", ".join(name for name, is_asked in asked.items() if is_asked)
        proof = search.proof if search else None
        bounds = self._bounds(dedicated, proof, search.closed_ns if search else None, self._limited)
        proven = self._bounds(dedicated, proof, None, None)
        narrow = min(bounds.values(), default=self._least), min(proven.values(), default=self._least)
        bound, certified = (self._least, self._least) if self._copies else narrow
        stopped = Stop.INTERRUPTED if self._interrupted else Stop.TIME_LIMIT if is_over() else Stop.FINISHED
        is_short = stopped is not Stop.FINISHED and (asked[DEDICATED] or not found)
        if is_short and (whole := whole_models(self._problem)) is not None:
            score = self._checked(whole)
            found.append((SHARED if whole.is_shared else DEDICATED, whole, score, "whole models"))
        families = tuple(
            Family(
                name=name,
                value=min((score.value for own, _, score, _ in found if own == name), default=None),
                bound=bounds.get(name, self._least),
            )
            for name, is_asked in asked.items()
            if is_asked
        )
        if not found:
            is_proven = not self._shares and stopped is Stop.FINISHED and not self._unfinished
            is_proven &= dedicated is None or (self._limited is not None and self._limited.plan is None)
            unkept = f"without shared TPUs no plan keeps {', '.join(self._problem.words)}"
            few = "more models than TPUs that may not share"
            note = "" if not is_proven else few if dedicated is None and not self._problem.words else unkept
            status = Status.INFEASIBLE if is_proven else Status.UNKNOWN
            return _no_plan(
                self._problem, status, over=over, bound=bound, families=families, note=note, stopped_by=stopped
            )
        _, plan, score, who = min(found, key=lambda each: self._rank(each[2]))
        value = score.value
        bound = min(bound, value)
        is_kept, note = self._rates_kept(score, bound)
        is_kept |= goal is Goal.RATES  # which are then no condition
        return PoolAnswer(
            problem=self._problem,
            status=Status.OPTIMAL if bound == value and is_kept else Status.FEASIBLE,
            note=note,
            plan=plan,
            score=score,
            value=value,
            bound=bound,
            certified=min(certified, value),
            narrow=(min(narrow[0], value), min(narrow[1], value)) if self._copies and is_kept else None,
            prices=self._prices[0] if self._prices else None,
            found_by=who,
            over=over,
            families=families,
            confirmed_by=self._confirmations(dedicated, proof, search),
            dedicated_period=dedicated.period if dedicated else None,
            shared=proof,
            simple_shared=self._simple_shared,
            stopped_by=stopped,
        )

    def _rates_kept(self, score: PoolScore, bound: Fraction) -> tuple[bool, str]:
        """Return whether a plan makes the rates that are asked for, and if not, how much of them any plan may make."""
        workload = self._problem.workload
        wanted = workload.scale_fps
        if wanted is None or score.scale_fps >= wanted:
            return True, ""
        least = bound if workload.goal is Goal.RATES else self._least_period
        if least * wanted <= 10**9:
            return False, ""
        parts = -(-(10**13) // (least * wanted))  # of ten thousand, rounded up
        return False, f"no plan makes more than {parts / 100:g} % of the rates that were asked for"

    def _impossible(self) -> str:
        """Return what is asked of a model that it cannot keep even with all TPUs for itself; nothing if it can."""
        for demand, row in zip(self._problem.workload.demands, self._arcs, strict=True):
            if not demand.words:
                continue
            least, most = least_latency_ns(row, demand.kept.most_stages), demand.kept.most_latency_ns
            if least is None:
                return f"no stages of {demand.model} keep {', '.join(demand.words)}"
            if most is not None and least > most:
                return f"an inference of {demand.model} takes {least / 1e6:.3f} ms at least, on whatever TPUs it runs"
        return ""

    def _simple(self) -> list[tuple[str, PoolPlan, PoolScore, str]]:
        """Return the simple uses of the pool that are plans of those asked for, which searches may miss."""
        found = []
        self._simple_shared = simple_shared(self._problem) if self._shares else None
        for plan in (self._simple_shared or {}).values():
            copied = any(pipeline.share is not None for pipeline in plan.pipelines)
            is_asked = self._copies if copied else plan.is_shared
            if is_asked and not check_pool(self._problem, plan):
                found.append((COPIES if copied else SHARED, plan, score_pool(self._problem, plan), "simple use"))
        return found

    def _rank(self, score: PoolScore) -> tuple[bool, Fraction]:
        """What plans are compared by: first whether they make the rates, where that is a condition."""
        return self._problem.workload.goal is Goal.LATENCY and not score.makes_rates, score.value

    @property
    def _least(self) -> Fraction:
        """What no plan at all is below, by the prices of resources; a latency is whole ns."""
        least = self._prices[1] if self._prices else Fraction(0)
        return least if self._problem.workload.goal is Goal.RATES else Fraction(-(-least // 1))

    def _bounds(
        self, dedicated: Exclusive | None, proof: Proof | None, closed_ns: int | None, limited: Limited | None
    ) -> dict[str, Fraction]:
        """Return what no plan of each family is below, of those without copies on shared TPUs that were asked for.

        What CP-SAT (`closed_ns`) and HiGHS (`limited`) say is not certified.
        """
        bounds = {DEDICATED: Fraction(0)} if self._unfinished else {}
        if dedicated is not None and not (limited and limited.plan is None):
            alone = dedicated.period if self._problem.workload.goal is Goal.RATES else Fraction(0)
            bounds[DEDICATED] = max(alone, self._least, limited.least if limited else Fraction(0))
        if self._shares:
            bounds[SHARED] = max(Fraction(max(proof.period_ns + 1 if proof else 0, closed_ns or 0)), self._least)
        return bounds

    def _checked(self, plan: PoolPlan) -> PoolScore:
        if faults := check_pool(self._problem, plan):
            raise SolverFault(f"the plan that was found is not valid: {faults[0]}")
        return score_pool(self._problem, plan)

    def _confirmations(
        self, dedicated: Exclusive | None, proof: Proof | None, search: SharedSearch | None
    ) -> tuple[Confirmation, ...]:
        seconds = {**(search.seconds if search else {}), **self._seconds}
        return tuple(
            Confirmation(by=by, claim=claim, strength=strength, seconds=seconds.get(by, 0.0))
            for by, claim, strength in self._said(dedicated, proof, search)
        )

    def _said(
        self, dedicated: Exclusive | None, proof: Proof | None, search: SharedSearch | None
    ) -> Iterator[tuple[str, str, str]]:
        """Yield (by whom, what, how strong) of all that was shown."""
        what = "period" if self._problem.workload.goal is Goal.RATES else "worst latency at these rates"
        alone, shared = "without shared TPUs", "with shared TPUs no period is"
        yield "evaluator", "what the plan costs", "exact"
        if dedicated is not None:
            aside = ", links and host left aside" if self._limits_shared else ""
            yield "dynamic program", f"{alone} no period is below {_ms(dedicated.period)} ms", f"exact{aside}"
        if self._limited is not None:
            least = f"no {what} is below {_ms(self._limited.least)} ms"
            strength = f"exact to a millionth, over {self._limited.columns} pipelines, with links and host"
            yield "highs", f"{alone} {least if self._limited.plan else 'no plan keeps what was asked for'}", strength
        if proof is not None:
            yield "pattern bound", f"{shared} {_ms(Fraction(proof.period_ns))} ms or less", "potentials"
        if search is not None and search.closed_ns is not None:
            strength = f"exact, over the {search.listed} patterns that a plan can have"
            yield "cp-sat", f"{shared} below {_ms(Fraction(search.closed_ns))} ms", strength
        if self._prices is not None:
            yield "resource bound", f"no {what} of any plan is below {_ms(self._prices[1])} ms", "prices"

    def _news(self, value: Fraction | None, bound: int) -> None:
        if self._copies and value is not None:  # what is found and shown of plans without them is not of all
            value = min(value, self._copied[1].value) if self._copied else value
            bound = int(self._prices[1]) if self._prices else 0
        objective = None if value is None or value >= IMPOSSIBLE else -(-value.numerator // value.denominator)
        if objective is not None and bound > objective:  # a bound of plans that make the rates, which this one does not
            bound = 0
        self._observe(Progress(objective_ns=objective, bound_ns=bound, wall_s=time.perf_counter() - self._start))


def _ms(ns: Fraction) -> str:
    return f"{float(ns) / 1e6:.3f}"
