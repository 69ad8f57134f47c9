"""What a stage costs, written down once more: one stage, from its operations, in plain integers.

An invocation has a fixed overhead. Every operation computes. Each tensor that the stage reads and does not make comes
in once; each that it makes goes out once if the host wants it or an operation outside reads it. The device keeps the
weights of whole operations, in the order of their ranks, each that still fits what the largest scratch memory of
the stage, of its operations and of the tensors that come in, leaves; other weights stream, and those that cannot be
cached always do. A measured time replaces the sum.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

from segsolve.checker.document import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """The parts of a stage's time in ns, its bytes, and the operations whose cacheable weights did not fit.

    The names are those of the predictions in a plan file.
    """

    time_ns: int
    overhead_ns: int
    compute_ns: int
    stream_ns: int
    input_ns: int
    output_ns: int
    correction_ns: int
    onchip_bytes: int
    offchip_bytes: int
    capacity_bytes: int
    input_bytes: int
    output_bytes: int
    link_bytes: int
    spilled_ops: tuple[int, ...]

    @property
    def moved_bytes(self) -> int:
        """What passes a shared link per inference."""
        return self.input_bytes + self.output_bytes + self.offchip_bytes + self.link_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineCost:
    """A pipeline as a whole: the times and devices of its stages, and its use of a shared link and of the host."""

    times_ns: tuple[int, ...]
    devices: tuple[int, ...]
    link_ns: int
    host_ns: int = 0

    @property
    def bottleneck_ns(self) -> int:
        """Its largest share ceil(T / replicas)."""
        return max(-(-time // count) for time, count in zip(self.times_ns, self.devices, strict=True))

    @property
    def latency_ns(self) -> int:
        """The sum of its T."""
        return sum(self.times_ns)


def stage_cost(problem: Problem, stage: Collection[int], room: int | None = None) -> StageCost:
    """Return the cost of the stage that holds exactly the operations `stage`.

    `room` is what its device has left for its weights; without, it has the device to itself.
    """
    held = set(stage)
    ops = {i: problem.ops[i] for i in sorted(held)}
    enter = [t for t in problem.transfers if t.producer not in held and not held.isdisjoint(t.consumers)]
    alone = max(0, problem.capacity_bytes - scratch(problem, held))
    if room is None:
        room = alone
    streamed = [i for i, op in ops.items() if op.weight_bytes and not op.cacheable]
    spilled, kept = [], 0
    cacheable = (i for i, op in ops.items() if op.weight_bytes and op.cacheable)
    for i in sorted(cacheable, key=lambda i: (ops[i].cache_rank, i)):
        if kept + ops[i].weight_bytes <= room:
            kept += ops[i].weight_bytes
        else:
            spilled.append(i)
    streamed = sorted(streamed + spilled)
    leave = [t for t in problem.transfers if t.producer in held and (t.is_output or not held.issuperset(t.consumers))]
    compute = sum(op.compute_ns for op in ops.values())
    stream = sum(ops[i].streamed_ns - ops[i].compute_ns for i in streamed)
    moving_in, moving_out = sum(t.input_ns for t in enter), sum(t.output_ns for t in leave)
    parts = problem.overhead_ns + compute + stream + moving_in + moving_out
    time = _measured(problem, held, parts)
    if time != parts and room != alone:  # what was measured had the device to itself
        by_itself = stage_cost(problem, held)
        time = parts + by_itself.correction_ns
    return StageCost(
        time_ns=time,
        overhead_ns=problem.overhead_ns,
        compute_ns=compute,
        stream_ns=stream,
        input_ns=moving_in,
        output_ns=moving_out,
        correction_ns=time - parts,
        onchip_bytes=kept,
        offchip_bytes=sum(ops[i].streamed_bytes for i in streamed),
        capacity_bytes=room,
        input_bytes=sum(t.nbytes for t in enter),
        output_bytes=sum(t.nbytes for t in leave),
        link_bytes=sum(op.link_bytes for op in ops.values()),
        spilled_ops=tuple(sorted(spilled)),
    )


def scratch(problem: Problem, stage: Collection[int]) -> int:
    """Return the largest scratch memory of a stage's operations and of the tensors that come in."""
    held = set(stage)
    enter = [t for t in problem.transfers if t.producer not in held and not held.isdisjoint(t.consumers)]
    return max([problem.ops[i].scratch_bytes for i in held] + [t.scratch_bytes for t in enter])


def pipeline_cost(problem: Problem, stages: Collection[tuple[StageCost, int]]) -> PipelineCost:
    """Return the cost of stages with the numbers of their replicas."""
    moved = sum(stage.moved_bytes for stage, _ in stages)
    return PipelineCost(
        times_ns=tuple(stage.time_ns for stage, _ in stages),
        devices=tuple(replicas for _, replicas in stages),
        link_ns=link_ns(problem, moved),
        host_ns=host_ns(problem, len(stages)),
    )


def link_ns(problem: Problem, nbytes: int) -> int:
    """Return how long bytes occupy the shared link, rounded up to whole ns; 0 without one."""
    return -(-nbytes * problem.link.ns_per_mib // 2**20) if problem.link else 0


def host_ns(problem: Problem, stages: int) -> int:
    """Return how long an inference of so many stages occupies the host, rounded up to whole ns; 0 without one.

    Stages are driven, and the inference's own tensors handed over, one after the other; that, and what falls back, is
    done by all cores together.
    """
    host = problem.host
    if host is None:
        return 0
    in_turn = host.serial_ns * stages + host.frame_ns
    return max(in_turn, -(-(in_turn + host.work_ns) // host.cores))


def rate(pipelines: Sequence[PipelineCost]) -> Fraction:
    """Return the inferences per ns of pipelines side by side, as far as link and host serve them."""
    return sum((own * part for own, part in zip(_own(pipelines), parts(pipelines), strict=True)), Fraction(0))


def parts(pipelines: Sequence[PipelineCost]) -> list[Fraction]:
    """Return the part of its own rate at which each pipeline runs.

    All run at full rate if that takes no more than all of the link, and of the host. Else whoever takes least of one of
    them comes first, and those that take the same of both come together; of the link's order and the host's, that which
    serves more.
    """
    own = _own(pipelines)
    takes = [(p.link_ns, p.host_ns) for p in pipelines]
    if all(sum(r * t[k] for r, t in zip(own, takes, strict=True)) <= 1 for k in (0, 1)):
        return [Fraction(1)] * len(own)
    by_link = _in_turn(own, takes, sorted(set(takes)))
    by_host = _in_turn(own, takes, sorted(set(takes), key=lambda t: (t[1], t[0])))
    served = [sum(r * part for r, part in zip(own, found, strict=True)) for found in (by_link, by_host)]
    return by_host if served[1] > served[0] else by_link


def _own(pipelines: Sequence[PipelineCost]) -> list[Fraction]:
    return [Fraction(1, max(1, pipeline.bottleneck_ns)) for pipeline in pipelines]


def _in_turn(
    own: Sequence[Fraction], takes: Sequence[tuple[int, int]], order: Sequence[tuple[int, int]]
) -> list[Fraction]:
    """Return the parts if pipelines are served by what they take, in this order, each as far as there is something."""
    left, part = [Fraction(1), Fraction(1)], {}
    for kind in order:
        wish = sum((r for r, t in zip(own, takes, strict=True) if t == kind), Fraction(0))
        given = Fraction(1)
        for k in (0, 1):
            if kind[k] and wish * kind[k] > left[k]:
                given = min(given, left[k] / (wish * kind[k]))
        part[kind] = given
        left = [left[k] - given * wish * kind[k] for k in (0, 1)]
    return [part[kind] for kind in takes]


def _measured(problem: Problem, held: set[int], otherwise: int) -> int:
    first, end = min(held), max(held) + 1
    times = [m.time_ns for m in problem.measured if (m.first, m.end) == (first, end)]
    return times[0] if times and len(held) == end - first else otherwise
