"""The exact answer over the stages of one table, a chain's or a lattice's, confirmed and certified."""

from __future__ import annotations

from segsolve.cost.table import StageTable
from segsolve.question import Question
from segsolve.search.answer import Answer
from segsolve.search.inquiry import Inquiry
from segsolve.search.objectives import aim
from segsolve.search.untried import judged
from segsolve.solvers.base import Limits


def exact_answer(table: StageTable, question: Question, planner: str, limits: Limits, cuts: str) -> Answer:
    """Return the best plan over the stages of a table, proven as far as its pipelines were searched.

    Raises:
        SolverFault: the evaluator, CP-SAT or the certificate disagrees with the dynamic program.
    """
    asked = Inquiry(table=table, question=question, planner=planner, limits=limits, cuts=cuts)
    return judged(asked, aim(question.objective).answer(asked))
