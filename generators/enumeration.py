"""An oracle: every plan of a small problem, tried one by one.

Written from the words of the solver's README; of the product it uses only what defines a stage's price
(`cost.stage`) and what happens in a batch (the runtime's schedule). Which plans there are, what they are worth and
which constraints they keep is its own:

* a pipeline is a way through sets of operations, each closed under what it reads, from none to all; what is new in a
  set is a stage. Cuts of the execution order are those sets that are its beginnings;
* a stage on r TPUs takes its share of the time, rounded up; the largest share is the bottleneck, at least 1 ns;
* pipelines side by side add up their rates, as far as a shared link carries what they move and the host drives their
  stages: in one order or the other, whoever takes least of the link, or of the host, comes first;
* a batch takes what the schedule says with queues of two, over all orders of the pipelines;
* at most `problem.cpus` stages are on CPU cores, one core each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import inf, nextafter

from generators.asked import Asked
from segsolve.cost.stage import cannot_run, stage_score
from segsolve.plan.model import Pipeline, Plan, Processor, Stage
from segsolve.problem import Problem
from segsolve_runtime.flow.schedule import Lane, schedule_lanes

QUEUE_SIZE = 2


@dataclass(frozen=True, slots=True)
class Tried:
    """A pipeline that was tried: its stages, and what it takes of devices, time, the link and the host."""

    stages: tuple[Stage, ...]
    stage_ns: tuple[int, ...]
    link_ns: int
    host_ns: int

    @property
    def tpus(self) -> int:
        return sum(stage.replicas for stage in self.stages if stage.processor is Processor.EDGETPU)

    @property
    def latency_ns(self) -> int:
        return sum(self.stage_ns)

    @property
    def bottleneck_ns(self) -> int:
        """The largest share of a stage; 0 if nothing costs anything."""
        return max(-(-ns // stage.replicas) for ns, stage in zip(self.stage_ns, self.stages, strict=True))

    @property
    def lane(self) -> Lane:
        return Lane(
            stage_ns=self.stage_ns,
            replicas=tuple(stage.replicas for stage in self.stages),
            link_ns=self.link_ns,
            host_ns=self.host_ns,
        )


Mix = tuple[Tried, ...]  # pipelines side by side


@dataclass(frozen=True, slots=True)
class Point:
    """What a plan is judged by in a trade-off: better are fewer TPUs, a shorter latency, a larger rate (per ns)."""

    tpus: int
    latency_ns: int
    rate: Fraction

    def is_worse_than(self, other: Point) -> bool:
        no_better = other.tpus <= self.tpus and other.latency_ns <= self.latency_ns and other.rate >= self.rate
        return no_better and other != self


@dataclass(frozen=True, slots=True)
class Truth:
    """The best value of the objective, in its unit, or None if no plan keeps the constraints.

    Of a trade-off `points` are all that no plan betters, and the value is the smallest time per inference.
    """

    value: Fraction | None
    points: frozenset[Point] = frozenset()


def truth(problem: Problem, asked: Asked) -> Truth:
    """Try every plan and return what is best."""
    found = [one for one in pipelines(problem, asked) if _is_quick(one, asked)]
    if asked.objective == "batch":
        return Truth(_least_makespan(list({one.lane: one for one in found}.values()), problem, asked))
    # Where two things limit, who is served first may favour a pipeline that another betters.
    tried = found if problem.link and problem.host else undominated(found)
    points = {point_of(mix) for mix in mixes(tried, problem, asked)}
    kept = [point for point in points if is_fast_enough(point.rate, asked)]
    if asked.objective == "latency":
        return Truth(min((Fraction(point.latency_ns) for point in kept), default=None))
    if asked.objective == "devices":
        return Truth(min((Fraction(point.tpus) for point in kept), default=None))
    value = min((1 / point.rate for point in kept), default=None)
    if asked.objective == "throughput":
        return Truth(value)
    return Truth(value, frozenset(p for p in kept if not any(p.is_worse_than(other) for other in kept)))


def plans(problem: Problem, asked: Asked) -> Iterator[Plan]:
    """Yield every plan that keeps the constraints; pipelines side by side in one order only, but for a batch in any."""
    found = [one for one in pipelines(problem, asked) if _is_quick(one, asked)]
    for mix in _sequences(found, problem, asked) if asked.objective == "batch" else mixes(found, problem, asked):
        if is_fast_enough(rate_of(mix), asked):
            yield Plan(pipelines=tuple(Pipeline(stages=one.stages) for one in mix))


def point_of(mix: Mix) -> Point:
    return Point(sum(one.tpus for one in mix), max(one.latency_ns for one in mix), rate_of(mix))


def rate_of(mix: Mix) -> Fraction:
    """Return the inferences per ns of pipelines side by side.

    If all at full rate take no more than all of the link and all of the host, they have it. Else they are served one
    kind after the other, each as far as there is something left of both: first whoever takes least of the link, or
    first whoever takes least of the host, whichever makes more.
    """
    kinds: dict[tuple[int, int], Fraction] = {}
    for one in mix:
        wish = Fraction(1, max(1, one.bottleneck_ns))
        kinds[one.link_ns, one.host_ns] = kinds.get((one.link_ns, one.host_ns), Fraction(0)) + wish
    return max(_rate_in(sorted(kinds), kinds), _rate_in(sorted(kinds, key=lambda kind: kind[::-1]), kinds))


def _rate_in(order: Sequence[tuple[int, int]], kinds: dict[tuple[int, int], Fraction]) -> Fraction:
    """Return the rate if kinds of pipelines, by what they take of link and host, are served in an order."""
    link, host, rate = Fraction(1), Fraction(1), Fraction(0)
    for on_link, on_host in order:
        most = [kinds[on_link, on_host]]
        most += [link / on_link] if on_link else []
        most += [host / on_host] if on_host else []
        given = min(most)
        rate, link, host = rate + given, link - given * on_link, host - given * on_host
    return rate


def _on_host(problem: Problem, stages: int) -> int:
    """Return how long an inference of so many stages keeps the host from others, in whole ns."""
    host = problem.host
    if host is None:
        return 0
    busy = stages * host.serial_ns + host.frame_ns
    return max(busy, -(-(busy + host.work_ns) // host.cores))


def makespan(lanes: Sequence[Lane], inferences: int) -> int:
    """Return when the last of so many inferences ends, in ns, as the runtime gives them out."""
    return max(slot.end_ns for slot in schedule_lanes(lanes, inferences, QUEUE_SIZE))


def is_fast_enough(rate: Fraction, asked: Asked) -> bool:
    """Whether a rate, in inferences per ns, is at least the one asked for."""
    return asked.min_fps is None or rate * 10**9 >= Fraction(asked.min_fps)


def fps_of(rate: Fraction) -> float:
    """Return the inferences per second as a plan states them: the largest float that is true of it."""
    fps = float(rate * 10**9)
    return fps if Fraction(fps) <= rate * 10**9 else nextafter(fps, -inf)


def _is_quick(one: Tried, asked: Asked) -> bool:
    return asked.max_latency_ns is None or one.latency_ns <= asked.max_latency_ns


def pipelines(problem: Problem, asked: Asked) -> Iterator[Tried]:
    """Yield every pipeline of the problem's devices that keeps what is asked of stages."""
    return _Pipelines(problem, asked).all()


def mixes(found: Sequence[Tried], problem: Problem, asked: Asked) -> Iterator[Mix]:
    """Yield all ways to put pipelines side by side on the TPUs, each once."""
    most = 1 if asked.layout == "pipeline" else problem.tpus
    found = sorted(found, key=lambda one: one.tpus)
    for count in range(1, most + 1):
        few = [one for one in found if one.tpus <= problem.tpus - (count - 1) * min(1, found[0].tpus)]
        for mix in combinations_with_replacement(few, count):
            if sum(one.tpus for one in mix) <= problem.tpus and sum(map(_cores, mix)) <= problem.cpus:
                yield mix


def undominated(found: Iterable[Tried]) -> list[Tried]:
    """Leave out pipelines that another betters in all that counts; nothing that holds them is better for it.

    Not for batches: there a stage that is faster can make the whole later.
    """
    kept: list[tuple[tuple[int, ...], Tried]] = []
    for cost, one in sorted({_costs(one): one for one in found}.items(), key=lambda item: item[0]):
        if not any(all(a <= b for a, b in zip(known, cost, strict=True)) for known, _ in kept):
            kept.append((cost, one))
    return [one for _, one in kept]


def _costs(one: Tried) -> tuple[int, ...]:
    return one.tpus, _cores(one), one.bottleneck_ns, one.latency_ns, one.link_ns, one.host_ns


def _cores(one: Tried) -> int:
    return sum(stage.processor is Processor.CPU for stage in one.stages)


def _sequences(found: Sequence[Tried], problem: Problem, asked: Asked) -> Iterator[Mix]:
    """Yield the pipelines side by side in every order."""
    most = 1 if asked.layout == "pipeline" else problem.tpus

    def after(mix: Mix, left: int) -> Iterator[Mix]:
        if mix:
            yield mix
        if len(mix) < most:
            for one in found:
                if one.tpus <= left and sum(map(_cores, (*mix, one))) <= problem.cpus:
                    yield from after((*mix, one), left - one.tpus)

    return after((), problem.tpus)


def _least_makespan(found: Sequence[Tried], problem: Problem, asked: Asked) -> Fraction | None:
    best: int | None = None
    for mix in _sequences(found, problem, asked):
        lanes = [one.lane for one in mix]
        if best is None or sum(_most_by(lane, best - 1) for lane in lanes) >= asked.batch:
            best = min(makespan(lanes, asked.batch), best if best is not None else 2**62)
    return None if best is None else Fraction(best)


def _most_by(lane: Lane, end_ns: int) -> int:
    """Return how many inferences a pipeline can have finished by a time at most, whatever else happens."""
    spare = end_ns - sum(lane.stage_ns)
    if spare < 0:
        return 0
    stages = zip(lane.stage_ns, lane.replicas, strict=True)
    return min((count * (1 + spare // ns) for ns, count in stages if ns), default=2**31)


@dataclass(frozen=True)
class _Pipelines:
    """All pipelines of a problem; sets of operations are numbers whose bits are their members."""

    problem: Problem
    asked: Asked

    def all(self) -> Iterator[Tried]:
        return self._after(0, (), (), 0, self.problem.tpus, self.problem.cpus)

    def _after(
        self, done: int, stages: tuple[Stage, ...], stage_ns: tuple[int, ...], moved: int, tpus: int, cores: int
    ) -> Iterator[Tried]:
        if done == self._everything:
            link = self.problem.link
            on_link = -(-moved * link.ns_per_mib // 2**20) if link else 0
            yield Tried(stages, stage_ns, on_link, _on_host(self.problem, len(stages)))
            return
        if len(stages) == (self.asked.max_stages or len(self.problem.ops)):
            return
        for then in self._states:
            if then & done == done and then != done and self._may_be(then & ~done, len(stages), done):
                ops = self._members(then & ~done)
                for stage, cost in self._on_devices(ops, tpus, cores):
                    taken = stage.replicas if stage.processor is Processor.EDGETPU else 0
                    yield from self._after(
                        then,
                        (*stages, stage),
                        (*stage_ns, cost[0]),
                        moved + cost[1],
                        tpus - taken,
                        cores - (not taken),
                    )

    def _on_devices(self, ops: tuple[int, ...], tpus: int, cores: int) -> Iterator[tuple[Stage, tuple[int, int]]]:
        """Yield the stage on any number of TPUs, and on a core, with its time and the bytes that it moves."""
        if tpus and (cost := self._cost(ops, Processor.EDGETPU)):
            for replicas in range(1, 2 if self.asked.layout == "pipeline" else tpus + 1):
                yield Stage(ops=ops, replicas=replicas), cost
        if cores and (cost := self._cost(ops, Processor.CPU)):
            yield Stage(ops=ops, processor=Processor.CPU), cost

    def _cost(self, ops: tuple[int, ...], processor: Processor) -> tuple[int, int] | None:
        known = self._known
        if (ops, processor) not in known:
            known[ops, processor] = self._priced(ops, processor)
        return known[ops, processor]

    def _priced(self, ops: tuple[int, ...], processor: Processor) -> tuple[int, int] | None:
        if cannot_run(self.problem, ops, processor):
            return None
        score = stage_score(self.problem, ops, processor)
        if self.problem.no_spill and score.spilled_ops:
            return None
        return score.time_ns, score.moved_bytes

    @cached_property
    def _known(self) -> dict[tuple[tuple[int, ...], Processor], tuple[int, int] | None]:
        return {}

    @cached_property
    def _everything(self) -> int:
        return (1 << len(self.problem.ops)) - 1

    @cached_property
    def _states(self) -> list[int]:
        """What may be done when a stage ends, by trying all sets."""
        return [state for state in range(1, self._everything + 1) if self._may_end(state)]

    def _may_end(self, done: int) -> bool:
        """Whether a stage may end when so much is done."""
        is_beginning = done & (done + 1) == 0
        return (
            (is_beginning or self.asked.cuts != "chain")
            and all(done & (1 << maker) for maker, readers in self._reads if done & readers)
            and all(done & group in (0, group) for group in self._together)
            # A stage begins at a cut: nothing from there on is done before all that comes earlier is.
            and all(not done >> cut or not ~done & _before(cut) for cut in self.asked.cut_before)
        )

    @cached_property
    def _reads(self) -> list[tuple[int, int]]:
        """Who makes a tensor, and the set of those who read it."""
        return [(t.producer, _set(t.consumers)) for t in self.problem.transfers if t.producer >= 0]

    @cached_property
    def _together(self) -> list[int]:
        """The sets of operations of which no stage may hold only some."""
        uncut = set(range(1, len(self.problem.ops))) - set(self.problem.cuts) | set(self.asked.no_cut_before)
        return [_set((op - 1, op)) for op in uncut if op] + [_set(group) for group in self.asked.keep_together]

    def _may_be(self, stage: int, number: int, done: int) -> bool:
        """Whether a set of operations may be the stage of a number, after what is done."""
        pinned = all(bool(stage >> op & 1) == (number == wanted) for op, wanted in self.asked.pins)
        parted = all(not stage >> cut or not stage & _before(cut) for cut in self.asked.cut_before)
        return pinned and parted

    def _members(self, stage: int) -> tuple[int, ...]:
        return tuple(op for op in range(len(self.problem.ops)) if stage >> op & 1)


def _set(ops: Iterable[int]) -> int:
    return sum(1 << op for op in set(ops))


def _before(op: int) -> int:
    return (1 << op) - 1


def least_bottleneck(problem: Problem) -> int | None:
    """Return the smallest bottleneck in ns of one pipeline over all cuts of the graph, on TPUs and cores."""
    found = pipelines(problem, Asked(layout="pipeline", cuts="dag"))
    return min((one.bottleneck_ns for one in found), default=None)
