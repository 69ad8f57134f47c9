"""Plans as files say them, and their certificates, for any problem: without a network or segments."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from generators.plan_files import plan_file
from segsolve.checker.check import Report, check
from segsolve.checker.document import parse
from segsolve.cost.table import lattice_table
from segsolve.problem import Problem
from segsolve.question import Question
from segsolve.search.chain.table import segment_table
from segsolve.search.exact import exact
from segsolve.search.inquiry import Inquiry
from segsolve.solvers.base import Limits
from segsolve_runtime.contract import plan as planfile


@dataclass(frozen=True)
class Case:
    """A plan, and a certificate as text."""

    problem: Problem
    plan: planfile.Plan
    text: str

    def check(self, document: dict[str, Any] | None = None) -> Report:
        text = self.text if document is None else json.dumps(document)
        return check(self.plan, lambda: parse(text))

    def asked(self, **changes: Any) -> Case:
        """The same, with another question recorded in the plan."""
        solution = self.plan.solution
        assert solution.question is not None
        question = solution.question.model_copy(update=changes)
        changed = solution.model_copy(update={"question": question})
        return replace(self, plan=self.plan.model_copy(update={"solution": changed}))

    @property
    def document(self) -> Any:
        return json.loads(self.text)


def solved(problem: Problem, question: Question, *, graph: bool = False) -> Case | None:
    """Answer a question and certify it; None if there is no plan, or nothing that certifies it."""
    kept = question.constraints.restricted(problem)
    table = lattice_table(kept) if graph else segment_table(kept)
    assert table is not None
    cuts = "dag" if graph else "chain"
    found = exact(Inquiry(table=table, question=question, planner="dp", limits=Limits(), cuts=cuts))
    if found.plan is None or found.value is None or found.certificate is None:
        return None
    bound = found.bound if "bound" in found.certificate else None
    return Case(problem, plan_file(kept, found.plan, question, found.value, bound), json.dumps(found.certificate))
