"""What one stage costs: the specification of a stage's price, with what decides it. Knows no solver.

On an Edge TPU a stage takes its fixed overhead, then brings in the tensors that it needs from outside, computes, and
hands out the tensors that others need, each once. What passes by a stage on its way to a later one stays in host memory
and costs the stage nothing. Weights that do not fit on chip stream at every inference, whole layers of them. A stage
that was measured as a whole takes the measured time, whatever its parts add up to. On a CPU core a stage takes the sum
of its operations' times there; its tensors are in the host's memory as they are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from segsolve.plan.model import Processor
from segsolve.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class StageScore:
    """What one inference of a stage costs: ns and bytes. `spilled_ops` are those whose weights did not fit.

    `correction_ns` is what a measurement of the whole stage differs by from the other terms; 0 for others.
    """

    overhead_ns: int
    compute_ns: int
    stream_ns: int
    input_ns: int
    output_ns: int
    correction_ns: int
    capacity_bytes: int
    onchip_bytes: int
    offchip_bytes: int
    input_bytes: int
    output_bytes: int
    link_bytes: int
    spilled_ops: tuple[int, ...]

    @property
    def moved_bytes(self) -> int:
        """What one inference of the stage takes of a shared link."""
        return self.input_bytes + self.output_bytes + self.offchip_bytes + self.link_bytes

    @property
    def time_ns(self) -> int:
        """Time of one inference on this stage."""
        return self.modelled_ns + self.correction_ns

    @property
    def modelled_ns(self) -> int:
        """What the parts of the stage add up to."""
        return self.overhead_ns + self.compute_ns + self.stream_ns + self.input_ns + self.output_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What becomes of an operation's weights; bytes and ns.

    `left_bytes` was the room when its turn came; `cost_ns` is what streaming adds to its time, 0 for cached ones.
    """

    op: int
    weight_bytes: int
    streamed_bytes: int
    left_bytes: int
    cached: bool
    cacheable: bool
    cost_ns: int


def stage_score(
    problem: Problem,
    ops: Collection[int],
    processor: Processor = Processor.EDGETPU,
    *,
    room_bytes: int | None = None,
) -> StageScore:
    """Return the cost of a stage that holds the operations `ops`, whatever holds the others.

    `room_bytes` is what the device has left for its weights, where other stages live there too (`device_scores`); else
    it has the device to itself. A measured time is that of a stage by itself: what streams beyond that is added.

    Raises:
        ValueError: the processor cannot run one of the operations (see `cannot_run`).
    """
    if processor is Processor.CPU:
        return _on_core(problem, ops)
    alone = _capacity(problem, ops)
    modelled = _modelled(problem, ops, alone if room_bytes is None else room_bytes)
    measured_ns = _measured_ns(problem, ops)
    if measured_ns is None:
        return modelled
    by_itself = modelled if room_bytes is None else _modelled(problem, ops, alone)
    return replace(modelled, correction_ns=measured_ns - by_itself.modelled_ns)


def scratch_bytes(problem: Problem, ops: Collection[int]) -> int:
    """Return the memory that the activations of a stage take from the weights of its device."""
    taken = (problem.transfers[t].scratch_bytes for t in _taken(problem, ops))
    return max((*(problem.ops[i].scratch_bytes for i in ops), *taken), default=0)


def cannot_run(problem: Problem, ops: Collection[int], processor: Processor) -> tuple[int, ...]:
    """Return the operations of a stage that a processor cannot run."""
    if processor is Processor.CPU:
        return tuple(i for i in ops if problem.ops[i].cpu_ns is None)
    return tuple(i for i in ops if not problem.ops[i].on_accelerator)


def placements(problem: Problem, ops: Collection[int], room_bytes: int | None = None) -> tuple[Placement, ...]:
    """Return what becomes of the weights of a stage on an Edge TPU: whole layers, each that still fits stays on chip.

    In the order in which they are considered, the problem's; those that are never cached come last. `room_bytes` is as
    for `stage_score`.
    """
    held, found = frozenset(ops), []
    free = _capacity(problem, held) if room_bytes is None else room_bytes
    never = (i for i in sorted(held) if not problem.ops[i].cacheable and problem.ops[i].weight_bytes)
    for i in (*(i for i in problem.cache_order if i in held), *never):
        op = problem.ops[i]
        cached = op.cacheable and op.weight_bytes <= free
        found.append(
            Placement(
                op=i,
                weight_bytes=op.weight_bytes,
                streamed_bytes=0 if cached else op.streamed_bytes,
                left_bytes=free,
                cached=cached,
                cacheable=op.cacheable,
                cost_ns=0 if cached else op.streamed_ns - op.compute_ns,
            )
        )
        free -= op.weight_bytes if cached else 0
    return tuple(found)


def _on_core(problem: Problem, ops: Collection[int]) -> StageScore:
    if missing := cannot_run(problem, ops, Processor.CPU):
        raise ValueError(f"a CPU core cannot run {problem.ops[missing[0]].name!r}")
    return StageScore(
        overhead_ns=0,
        compute_ns=sum(problem.ops[i].cpu_ns or 0 for i in ops),
        stream_ns=0,
        input_ns=0,
        output_ns=0,
        correction_ns=0,
        capacity_bytes=0,
        onchip_bytes=0,
        offchip_bytes=0,
        input_bytes=0,
        output_bytes=0,
        link_bytes=0,
        spilled_ops=(),
    )


def _modelled(problem: Problem, ops: Collection[int], room_bytes: int) -> StageScore:
    """Add up the costs of a stage's parts on an Edge TPU."""
    takes, gives, placed = _taken(problem, ops), _given(problem, ops), placements(problem, ops, room_bytes)
    return StageScore(
        overhead_ns=problem.overhead_ns,
        compute_ns=sum(problem.ops[i].compute_ns for i in ops),
        stream_ns=sum(p.cost_ns for p in placed),
        input_ns=sum(problem.transfers[t].input_ns for t in takes),
        output_ns=sum(problem.transfers[t].output_ns for t in gives),
        correction_ns=0,
        capacity_bytes=room_bytes,
        onchip_bytes=sum(p.weight_bytes for p in placed if p.cached),
        offchip_bytes=sum(p.streamed_bytes for p in placed),
        input_bytes=sum(problem.transfers[t].nbytes for t in takes),
        output_bytes=sum(problem.transfers[t].nbytes for t in gives),
        link_bytes=sum(problem.ops[i].link_bytes for i in ops),
        spilled_ops=tuple(sorted(p.op for p in placed if p.cacheable and not p.cached)),
    )


def _capacity(problem: Problem, stage: Collection[int]) -> int:
    """Return what the activations of a stage leave for its weights on a device of its own."""
    return max(0, problem.capacity_bytes - scratch_bytes(problem, stage))


def _measured_ns(problem: Problem, stage: Collection[int]) -> int | None:
    """Return the measured time of a stage if exactly this range of operations was measured."""
    first, end = min(stage), max(stage) + 1
    return problem.measured_ns.get((first, end)) if len(stage) == end - first else None


def _taken(problem: Problem, stage: Collection[int]) -> set[int]:
    """Return the transfers that a stage reads and does not make."""
    return {t for i in stage for t in problem.reads[i] if problem.transfers[t].producer not in stage}


def _given(problem: Problem, stage: Collection[int]) -> set[int]:
    """Return the transfers that a stage makes and others read, or the host wants."""
    return {
        t
        for i in stage
        for t in problem.makes[i]
        if problem.transfers[t].is_output or any(c not in stage for c in problem.transfers[t].consumers)
    }
