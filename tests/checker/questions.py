"""Generated questions: every objective, layout and constraint, about any problem."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from segsolve.problem import Problem
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from tests.problems import Draw


@st.composite
def questions(draw: Draw, problem: Problem, objectives: Sequence[Objective] = tuple(Objective)) -> Question:
    objective = draw(st.sampled_from(objectives))
    needs_limit = objective is Objective.DEVICES
    return Question(
        objective=objective,
        layout=draw(st.sampled_from(list(Layout))),
        cuts=Cuts.AUTO,
        batch=draw(st.integers(1, 6)),
        constraints=draw(constraints(problem, fps=needs_limit))
        if needs_limit or draw(st.booleans())
        else Constraints(),
    )


@st.composite
def constraints(draw: Draw, problem: Problem, *, fps: bool) -> Constraints:
    """Constraints that do not contradict each other by name; whether a plan keeps them is another matter."""
    n = len(problem.ops)
    op = st.integers(0, n - 1)
    starts = draw(st.sets(st.sampled_from(problem.cuts), max_size=1)) if problem.cuts and draw(st.booleans()) else set()
    return Constraints(
        max_latency_ns=draw(st.none() | st.integers(20, 400)),
        min_fps=draw(st.floats(1e6, 1e8)) if fps else None,
        max_stages=draw(st.none() | st.integers(1, 4)),
        cut_before=tuple(sorted(starts)),
        no_cut_before=tuple(sorted(draw(st.sets(op, max_size=1)) - starts)),
        keep_together=((draw(op), draw(op)),) if draw(st.integers(0, 3)) == 0 else (),
        pins=((draw(op), draw(st.integers(0, 2))),) if draw(st.integers(0, 3)) == 0 else (),
    )
