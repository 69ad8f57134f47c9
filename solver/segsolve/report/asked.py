"""What a plan was asked for, in one line."""

from __future__ import annotations

from segsolve.plan.question import asked
from segsolve.report.units import count
from segsolve_runtime.contract.plan import Solution

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
    parts += asked(question).constraints.words
    parts += ["no weights streamed for want of room"] if question.no_spill else []
    return "Asked for: " + ", ".join(parts)
