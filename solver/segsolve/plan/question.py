"""The question that a plan answers, as its file records it, and back."""

from __future__ import annotations

import json

from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.question.constraints import KINDS
from segsolve_runtime.contract import plan as planfile
from segsolve_runtime.errors import PlanError

_DEFAULT_BATCH = Question().batch


def recorded(question: Question, *, no_spill: bool) -> planfile.Question:
    """Return a question as plan.json has it."""
    kept = json.loads(json.dumps(question.constraints.values))  # with lists for tuples
    return planfile.Question(
        objective=question.objective.value,
        layout=question.layout.value,
        cuts=question.cuts.value,
        batch=question.batch if question.objective is Objective.BATCH else None,
        no_spill=no_spill,
        **kept,
    )


def asked(record: planfile.Question) -> Question:
    """Return the question that a plan's file records; `no_spill` belongs to the problem, not to it.

    Raises:
        PlanError: it asks for what this release does not know.
    """
    unknown = sorted(set(record.model_extra or ()) - set(KINDS))
    if unknown:
        raise PlanError(f"plan.json was asked for with the constraint {unknown[0]!r}, which this release does not know")
    return Question(
        objective=objective_of(record),
        layout=Layout(record.layout),
        cuts=Cuts(record.cuts),
        batch=record.batch or _DEFAULT_BATCH,
        constraints=Constraints.of(**{key: getattr(record, key, None) for key in KINDS}),
    )


def objective_of(record: planfile.Question | planfile.Solution) -> Objective:
    """Return the objective that a plan's file records.

    Raises:
        PlanError: this release does not know it.
    """
    if record.objective not in [*Objective]:
        raise PlanError(f"plan.json has the objective {record.objective[:80]!r}, which this release does not know")
    return Objective(record.objective)
