"""Plans of shared TPUs, and how good they are: local search, CP-SAT over the patterns it saw, the pattern bound."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial

from segsolve.cost.table import IMPOSSIBLE
from segsolve.deadline import OutOfTime, is_over
from segsolve.pool.arcs import Arcs
from segsolve.pool.bound import PatternBound, Proof
from segsolve.pool.local import LocalSearch, Placed
from segsolve.pool.model import Goal, PoolProblem
from segsolve.pool.patterns import Held, Pattern, Pricer, every_pattern
from segsolve.solvers.base import Limits

News = Callable[[Fraction | None, int], object]
"""Hears the best value and the bound so far, in ns."""

_SEEDS = 6  # of local search
_MOVES = 40_000  # of each, for each device and model
_REMEMBERED = 400  # patterns that are seen in each part of a search, for others to choose among
_MOST_CHOICES = 4000  # patterns that CP-SAT chooses among
_FIRST_EFFORT, _EFFORT = 0.5, 1.0  # of CP-SAT, in its deterministic seconds, before and after there are potentials
_LAST_EFFORT = 30.0  # of CP-SAT where it may end all
_MOST_PATTERNS = 12_000  # that are all which there are


@dataclass(eq=False)
class SharedSearch:
    """The search for one problem; after `run`, `best` and `proof` are what it found."""

    problem: PoolProblem
    arcs: Sequence[Sequence[Arcs]]
    limits: Limits
    news: News
    best: Placed | None = None
    proof: Proof | None = None
    found_by: str = "local search"
    floor: Fraction = Fraction(0)
    """What no period of any plan is below, as others know."""
    closed_ns: int | None = None
    """What CP-SAT proved that no period is below, over `listed` patterns that are all which a better plan can have."""
    listed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pricer = Pricer(self.problem, self.arcs)
        self._local = LocalSearch(self.problem, self.pricer)
        self._pattern_bound: PatternBound | None = None

    def run(self, after_search: Callable[[], object] = lambda: None) -> None:
        """Search plans, among all patterns that were seen, too, then bounds, which come upon better plans.

        `after_search` is done as soon as there are good plans.
        """
        start = self._local.start()
        if start is None:
            return
        self._take(start, "local search")
        for number in range(_SEEDS):
            self._timed("local search", partial(self._improve, start, number))
        after_search()
        if self._is_proven:
            return
        if self.problem.workload.goal is not Goal.RATES:
            return
        every = every_pattern(self.pricer, _MOST_PATTERNS)
        if every is not None:
            self._timed("cp-sat", partial(self._close, every))
        if self.closed_ns is None:
            self._timed("cp-sat", partial(self._choose, _FIRST_EFFORT))
        self._timed("pattern bound", self._bound)
        if not self._is_proven:
            self._timed("cp-sat", partial(self._choose, _EFFORT))
        if not self._is_proven:
            self._timed("pattern bound", partial(self._raise, splits=every is None))

    @property
    def _is_proven(self) -> bool:
        known = max(self.floor, Fraction(self.proof.period_ns + 1 if self.proof else 0))
        return self.best is not None and known >= self.best.value and self.problem.workload.goal is Goal.RATES

    def _improve(self, start: Placed | None, number: int) -> None:
        if start is not None and not is_over():
            moves = _MOVES * self.problem.models * len(self.problem.pool.devices)
            found = self._local.improve(start, moves, self.limits.seed * _SEEDS + number, _REMEMBERED)
            self._take(found, "local search")

    def _close(self, patterns: Sequence[Pattern]) -> None:
        """Let CP-SAT choose among all patterns that there are: what it proves holds for all plans."""
        bound, finished = self._partition(patterns, _LAST_EFFORT)
        if finished and bound is not None:
            self.closed_ns, self.listed = bound, len(patterns)

    def _take(self, found: Placed, who: str) -> None:
        found = self._local.polished(found)
        if self.best is None or found.value < self.best.value:
            self.best, self.found_by = found, who
            self.news(found.value, self.proof.period_ns + 1 if self.proof else 0)

    def _bound(self) -> None:
        with contextlib.suppress(OutOfTime):
            self._pattern_bound = PatternBound(self.problem, self.pricer, self._period, self._tell, self._offered)
            self._pattern_bound.probe()

    def _raise(self, *, splits: bool) -> None:
        if self._pattern_bound is not None:
            with contextlib.suppress(OutOfTime):
                self._pattern_bound.raise_to(self._period, splits=splits)

    @property
    def _period(self) -> int:
        assert self.best is not None
        return -(-self.best.value.numerator // self.best.value.denominator)

    def _offered(self, patterns: Sequence[tuple[int, frozenset[Held]]]) -> int:
        """Make a plan of patterns, if they cover all models: of each what others have not; return the best period."""
        stages = sorted((held, i) for i, (_, own) in enumerate(patterns) for held in own)
        held_by: list[list[Held]] = [[] for _ in patterns]
        done = [0] * self.problem.models
        for (m, a, b), i in stages:
            if a <= done[m] < b:
                held_by[i].append((m, max(a, done[m]), b))
                done[m] = b
        kinds = [kind for kind, _ in patterns]
        too_many = any(kinds.count(k) > n for k, n in enumerate(self.problem.pool.counts))
        if too_many or done != [row[0].end for row in self.arcs]:
            return self._period
        chosen = [self.pricer.price(kind, own) for (kind, _), own in zip(patterns, held_by, strict=True)]
        placed = self._placed(chosen)
        self._take(Placed(placed, self._local.value(placed)), "pattern bound")
        return self._period

    def _tell(self, proof: Proof) -> None:
        self.proof = proof
        self.news(self.best.value if self.best else None, proof.period_ns + 1)

    def _choose(self, effort: float) -> None:
        """Let CP-SAT choose among the known patterns that come nearest to what they should be worth."""
        if is_over() or self.best is None:
            return
        self._partition(self._promising(), effort)

    def _partition(self, patterns: Sequence[Pattern], effort: float) -> tuple[int | None, bool]:
        """Let CP-SAT choose among patterns; return its bound on the period, and whether it came to an end."""
        from segsolve.solvers.cpsat.patterns import Choice, partition

        pool = self.problem.pool
        names = [name for name, _ in pool.links]
        rates = [link.ns_per_mib for _, link in pool.links]
        choices = []
        for pattern in patterns:
            name = pool.kinds[pattern.kind].link
            link = None if name is None else names.index(name)
            moved = 0 if link is None else pattern.moved_bytes * rates[link]
            host = pattern.host_ns, pattern.cores_ns
            choices.append(Choice(pattern.kind, pattern.stages, pattern.load_ns, link, moved, host))
        ends = [row[0].end for row in self.arcs]
        found = partition(choices, pool.counts, ends, self.limits, effort, self.problem.host_cores)
        if found.chosen is not None:
            placed = self._placed([patterns[i] for i in found.chosen])
            self._take(Placed(placed, self._local.value(placed)), "cp-sat")
        return found.bound_ns, found.finished

    def _promising(self) -> list[Pattern]:
        assert self.best is not None
        most = self.best.value
        for kind, held in self._pattern_bound.columns if self._pattern_bound else ():
            self.pricer.price(kind, held)
        known = [p for p in self.pricer.known.values() if p.stages and p.load_ns < IMPOSSIBLE and p.load_ns < most]
        if self.proof is None:
            known.sort(key=lambda p: (-p.busy_ns, p.kind, p.stages))
        else:
            worth = self.proof.potentials
            best_of: dict[int, int] = {}
            own = {id(p): sum(worth[m][b] - worth[m][a] for m, a, b in p.stages) for p in known}
            for p in known:
                best_of[p.kind] = max(best_of.get(p.kind, 0), own[id(p)])
            known.sort(key=lambda p: (best_of[p.kind] - own[id(p)], p.load_ns, p.kind, p.stages))
        chosen = known[:_MOST_CHOICES]
        return list(dict.fromkeys((*chosen, *(p for p in self.best.patterns if p.stages))))

    def _placed(self, chosen: Sequence[Pattern]) -> tuple[Pattern, ...]:
        """Give patterns to devices of their kinds."""
        left = list(chosen)
        placed = []
        for kind in self.problem.pool.devices:
            own = next((p for p in left if p.kind == kind), None)
            if own is not None:
                left.remove(own)
            placed.append(own or self.pricer.price(kind, ()))
        return tuple(placed)

    def _timed(self, who: str, work: Callable[[], None]) -> None:
        start = time.perf_counter()
        work()
        self.seconds[who] = self.seconds.get(who, 0.0) + time.perf_counter() - start
