"""What a plan was asked for, in one line."""

from __future__ import annotations

from segsolve.plan.question import asked
from segsolve.report.units import count
from segsolve.search.objectives import aim
from segsolve_runtime.contract.plan import Solution

_LAYOUTS = {"any": "any layout", "pipeline": "one pipeline"}
_CUTS = {"chain": "cuts of the execution order only", "dag": "all cuts of the graph"}


def asked_for(solution: Solution) -> str:
    """Return the line without its full stop, "" for a plan that does not record its question."""
    question = solution.question
    if question is None:
        return ""
    ours = asked(question)
    objective = aim(ours.objective)
    up_to = "" if objective.counts_ns else "up to "
    parts = [f"{objective.words(ours)} on {up_to}{count(solution.tpus_requested, 'TPU')}", _LAYOUTS[question.layout]]
    parts += [_CUTS[question.cuts]] if question.cuts in _CUTS else []
    parts += ours.constraints.words
    parts += ["no weights streamed for want of room"] if question.no_spill else []
    return "Asked for: " + ", ".join(parts)
