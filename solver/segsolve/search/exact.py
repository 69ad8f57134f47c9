"""The exact answer to an inquiry: drafted, and then confirmed and certified."""

from __future__ import annotations

from segsolve.search.answer import Answer
from segsolve.search.inquiry import Inquiry
from segsolve.search.untried import judged


def draft(asked: Inquiry) -> Answer:
    """Return the best plan over the stages of a table, by the search and the evaluator alone."""
    return asked.aim.answer(asked)


def exact(asked: Inquiry, known: Answer | None = None) -> Answer:
    """Return the best plan over the stages of a table, proven as far as its pipelines were searched.

    `known` is its draft, where there is one.

    Raises:
        SolverFault: the evaluator, CP-SAT or the certificate disagrees with the dynamic program.
    """
    return judged(asked, asked.confirmed(known or draft(asked)))
