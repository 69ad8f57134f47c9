"""The question that a plan answers, as its file records it, and back."""

from __future__ import annotations

from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve_runtime.contract import plan as planfile

_DEFAULT_BATCH = Question().batch


def recorded(question: Question, *, no_spill: bool) -> planfile.Question:
    """Return a question as plan.json has it."""
    kept = question.constraints
    return planfile.Question(
        objective=question.objective.value,
        layout=question.layout.value,
        cuts=question.cuts.value,
        batch=question.batch if question.objective is Objective.BATCH else None,
        no_spill=no_spill,
        max_latency_ns=kept.max_latency_ns,
        min_fps=kept.min_fps,
        max_stages=kept.max_stages,
        cut_before=list(kept.cut_before),
        no_cut_before=list(kept.no_cut_before),
        keep_together=[list(group) for group in kept.keep_together],
        pins=[list(pin) for pin in kept.pins],
    )


def asked(record: planfile.Question) -> Question:
    """Return the question that a plan's file records; `no_spill` belongs to the problem, not to it."""
    return Question(
        objective=Objective(record.objective),
        layout=Layout(record.layout),
        cuts=Cuts(record.cuts),
        batch=record.batch or _DEFAULT_BATCH,
        constraints=Constraints(
            max_latency_ns=record.max_latency_ns,
            min_fps=record.min_fps,
            max_stages=record.max_stages,
            cut_before=tuple(record.cut_before),
            no_cut_before=tuple(record.no_cut_before),
            keep_together=tuple(tuple(group) for group in record.keep_together),
            pins=tuple((op, stage) for op, stage in record.pins),
        ),
    )
