"""What a plan was asked for, in one line."""

from __future__ import annotations

from collections.abc import Iterator

from segsolve.report.units import count, ms
from segsolve_runtime.contract.plan import Question, Solution

_AIMS = {
    "throughput": "throughput",
    "latency": "the smallest latency",
    "devices": "the fewest TPUs",
    "pareto": "all trade-offs of TPUs, throughput and latency",
}
_LAYOUTS = {"any": "any layout", "pipeline": "one pipeline"}
_CUTS = {"chain": "cuts of the execution order only", "dag": "all cuts of the graph"}


def asked_for(solution: Solution) -> str:
    """Return the line without its full stop, "" for a plan that does not record its question."""
    question = solution.question
    if question is None:
        return ""
    aim = _AIMS.get(question.objective) or f"a batch of {question.batch}"
    up_to = "up to " if question.objective in ("devices", "pareto") else ""
    parts = [f"{aim} on {up_to}{count(solution.tpus_requested, 'TPU')}", _LAYOUTS[question.layout]]
    parts += [_CUTS[question.cuts]] if question.cuts in _CUTS else []
    return "Asked for: " + ", ".join((*parts, *_limits(question), *_cuts(question)))


def _limits(question: Question) -> Iterator[str]:
    if question.max_latency_ns is not None:
        yield f"at most {ms(question.max_latency_ns)} ms"
    if question.min_fps is not None:
        yield f"at least {question.min_fps:g} inferences per second"
    if question.max_stages is not None:
        yield f"at most {count(question.max_stages, 'stage')}"
    if question.no_spill:
        yield "no weights streamed for want of room"


def _cuts(question: Question) -> Iterator[str]:
    yield from (f"a stage begins at operation {op}" for op in question.cut_before)
    yield from (f"none begins at operation {op}" for op in question.no_cut_before)
    yield from (f"operations {' and '.join(map(str, group))} together" for group in question.keep_together)
    yield from (f"operation {op} in stage {stage}" for op, stage in question.pins)
