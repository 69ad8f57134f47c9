"""A question as people ask it, with operations by name and times with units, and the question behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from segsolve.errors import UsageError
from segsolve.library.contradictions import check_consistent
from segsolve.library.values import DEFAULT_DEVICE, MOST_BATCH, parse_time, within
from segsolve.question import Constraints, Cuts, Layout, Objective, Question

if TYPE_CHECKING:
    from segsolve.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """The options about the question, as the user gave them; None or empty where they were left out."""

    objective: Objective
    layout: Layout
    cuts: Cuts
    batch: int | None
    max_latency: str | None
    min_fps: float | None
    max_stages: int | None
    cut_before: Sequence[str]
    no_cut_before: Sequence[str]
    keep_together: Sequence[str]
    pin: Sequence[str]

    @property
    def constrains(self) -> bool:
        """Whether any constraint was given."""
        limits = (self.max_latency, self.min_fps, self.max_stages)
        return any(limit is not None for limit in limits) or any(
            (self.cut_before, self.no_cut_before, self.keep_together, self.pin)
        )

    def check(self, planner: str) -> None:
        """Raise a UsageError if the options make no sense, whatever the network."""
        from segsolve.search.ask import check_question

        if self.batch is not None:
            within("--batch", self.batch, 1, MOST_BATCH)
        if self.min_fps is not None:
            within("--min-fps", self.min_fps, 1e-9)
        if self.max_stages is not None:
            within("--max-stages", self.max_stages, 1)
        check_question(self._without_operations, planner)

    def check_graph(self, device: str, planner: str, layout: str | None) -> None:
        """Raise a UsageError if something is asked that makes no sense for a graph, or is not answered for one.

        `layout` is the one that was asked for in so many words, if any.
        """
        if device != DEFAULT_DEVICE:
            raise UsageError("a graph has its costs in it", "leave out --device")
        if self.objective is not Objective.THROUGHPUT:
            raise UsageError(f"graphs are solved for throughput, not for {self.objective}", "leave out --objective")
        if self.constrains:
            raise UsageError("graphs are solved without constraints but --no-spill", "leave out the other constraints")
        if self.cuts is Cuts.CHAIN:
            raise UsageError("a graph has no execution order to cut", "leave out --cuts")
        if layout == Layout.ANY:
            raise UsageError("graphs are cut into one pipeline, one device per part", "leave out --layout")
        if planner != "cpsat":
            raise UsageError("graphs are solved by cpsat alone", "leave out --planner")

    def question(self, problem: Problem, planner: str) -> Question:
        """Return the question about a problem.

        Raises:
            UsageError: an option's value makes no sense or names an operation that does not exist, or two contradict.
        """
        from segsolve.search.ask import check_question

        plain = self._without_operations
        kept = replace(
            plain.constraints,
            cut_before=tuple(sorted({operation(problem, op) for op in self.cut_before} - {0})),
            no_cut_before=tuple(sorted({operation(problem, op) for op in self.no_cut_before})),
            keep_together=tuple(_group(problem, text) for text in self.keep_together),
            pins=tuple(sorted({_pin(problem, text) for text in self.pin})),
        )
        check_consistent(problem, kept)
        asked = replace(plain, constraints=kept)
        check_question(asked, planner)
        return asked

    @property
    def _without_operations(self) -> Question:
        limits = Constraints(
            max_latency_ns=None if self.max_latency is None else parse_time("--max-latency", self.max_latency),
            min_fps=self.min_fps,
            max_stages=self.max_stages,
        )
        asked = Question(objective=self.objective, layout=self.layout, cuts=self.cuts, constraints=limits)
        return asked if self.batch is None else replace(asked, batch=self.batch)


def operation(problem: Problem, text: str) -> int:
    """Return the position of an operation, given by position or by name.

    Raises:
        UsageError: there is no such operation, or more than one.
    """
    name = text.strip()
    hint = "`segsolve inspect MODEL --ops` lists them with their positions"
    if name.isascii() and name.isdigit():
        if len(name) > 9 or int(name) >= len(problem.ops):
            raise UsageError(f"there is no operation {name}, the last one is {len(problem.ops) - 1}", hint)
        return int(name)
    found = [i for i, op in enumerate(problem.ops) if op.name == name]
    found = found or [i for i, op in enumerate(problem.ops) if op.name.split(";")[0] == name]
    if not found:
        raise UsageError(f"no operation is called {name!r}", hint)
    if len(found) > 1:
        raise UsageError(f"{len(found)} operations are called {name!r}: {', '.join(map(str, found[:9]))}", hint)
    return found[0]


def _group(problem: Problem, text: str) -> tuple[int, ...]:
    ops = tuple(sorted({operation(problem, part) for part in text.split(",") if part.strip()}))
    if len(ops) < 2:
        raise UsageError(f"--keep-together is {text!r}", "name two operations at least, e.g. 12,15")
    return ops


def _pin(problem: Problem, text: str) -> tuple[int, int]:
    name, found, stage = text.rpartition("=")
    if not found or not (stage.strip().isascii() and stage.strip().isdigit()) or len(stage) > 4:
        raise UsageError(f"--pin is {text!r}", "write an operation and the number of its stage, e.g. 12=0")
    return operation(problem, name), int(stage)
