"""A question as people ask it, with operations by name and times with units, and the question behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from segsolve.errors import UsageError
from segsolve.question import Cuts, Layout, Objective, Question
from segsolve.question.given import found, parsed
from segsolve.values import DEFAULT_DEVICE

if TYPE_CHECKING:
    from segsolve.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The options about the question, as the user gave them; `constraints` by argument (`Option.argument`).

    `layout` is what was asked for in so many words; without, one pipeline of a model that keeps state, else any.

    Raises:
        UsageError: there is no such constraint, or a value of one makes no sense.
    """

    objective: Objective
    layout: Layout | None
    cuts: Cuts
    batch: int | None
    constraints: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parsed(self.constraints)

    def check(self, planner: str) -> None:
        """Raise a UsageError if the options make no sense, whatever the network."""
        from segsolve.search.ask import check_question

        check_question(self._question(None), planner)

    def check_graph(self, device: str, planner: str) -> None:
        """Raise a UsageError if something is asked that makes no sense for a graph, or is not answered for one."""
        if device != DEFAULT_DEVICE:
            raise UsageError("a graph has its costs in it", "leave out --device")
        if self.objective is not Objective.THROUGHPUT:
            raise UsageError(f"graphs are solved for throughput, not for {self.objective}", "leave out --objective")
        if any(given not in (None, [], ()) for given in self.constraints.values()):
            raise UsageError("graphs are solved without constraints but --no-spill", "leave out the other constraints")
        if self.cuts is Cuts.CHAIN:
            raise UsageError("a graph has no execution order to cut", "leave out --cuts")
        if self.layout is Layout.ANY:
            raise UsageError("graphs are cut into one pipeline, one device per part", "leave out --layout")
        if planner != "cpsat":
            raise UsageError("graphs are solved by cpsat alone", "leave out --planner")

    def question(self, problem: Problem, planner: str, *, keeps_state: bool = False) -> Question:
        """Return the question about a problem, whose model may keep state from one inference to the next.

        Raises:
            UsageError: an option's value makes no sense or names an operation that does not exist, or two contradict.
        """
        from segsolve.search.ask import check_question

        asked = self._question(problem, keeps_state=keeps_state)
        asked.constraints.check(problem)
        check_question(asked, planner)
        return asked

    def _question(self, problem: Problem | None, *, keeps_state: bool = False) -> Question:
        """Return the question, without what names operations where there is no problem yet."""
        asked = Question(
            objective=self.objective,
            layout=self.layout or (Layout.PIPELINE if keeps_state else Layout.ANY),
            cuts=self.cuts,
            constraints=found(parsed(self.constraints), problem),
        )
        return asked if self.batch is None else replace(asked, batch=self.batch)
