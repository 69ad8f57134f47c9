"""Options that say what is asked of a plan, and the question behind them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.options import within
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.problem import Problem
    from segsolve.question import Constraints

MaxLatency = Annotated[
    str | None, typer.Option("--max-latency", help="Most time of one inference, e.g. 20ms, 0.5s (plain numbers: ms).")
]
MinFps = Annotated[float | None, typer.Option("--min-fps", help="Fewest inferences per second of the whole plan.")]
MaxStages = Annotated[int | None, typer.Option("--max-stages", help="Most stages of a pipeline.")]
CutBefore = Annotated[
    list[str] | None, typer.Option("--cut-before", metavar="OP", help="A stage begins at this operation; repeatable.")
]
NoCutBefore = Annotated[
    list[str] | None, typer.Option("--no-cut-before", metavar="OP", help="No stage begins at this operation.")
]
KeepTogether = Annotated[
    list[str] | None, typer.Option("--keep-together", metavar="A,B", help="These operations share a stage; repeatable.")
]
Pin = Annotated[
    list[str] | None, typer.Option("--pin", metavar="OP=STAGE", help="Number of the stage that runs an operation.")
]

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "": 10**6}
_LONGEST_NS = 10**15


def constraints(
    problem: Problem,
    *,
    max_latency: str | None,
    min_fps: float | None,
    max_stages: int | None,
    cut_before: Sequence[str] | None,
    no_cut_before: Sequence[str] | None,
    keep_together: Sequence[str] | None,
    pin: Sequence[str] | None,
) -> Constraints:
    """Return the constraints that the options stand for.

    Raises:
        UsageError: an option's value makes no sense, or names an operation that does not exist.
    """
    from segsolve.question import Constraints

    if min_fps is not None:
        within("--min-fps", min_fps, 1e-9)
    if max_stages is not None:
        within("--max-stages", max_stages, 1)
    return Constraints(
        max_latency_ns=None if max_latency is None else parse_time("--max-latency", max_latency),
        min_fps=min_fps,
        max_stages=max_stages,
        cut_before=tuple(sorted({operation(problem, op) for op in cut_before or ()} - {0})),
        no_cut_before=tuple(sorted({operation(problem, op) for op in no_cut_before or ()})),
        keep_together=tuple(_group(problem, text) for text in keep_together or ()),
        pins=tuple(sorted({_pin(problem, text) for text in pin or ()})),
    )


def parse_time(option: str, text: str) -> int:
    """Return a time such as ``20ms``, ``0.5 s`` or ``20`` (ms) in ns.

    Raises:
        UsageError: the text is no time, or none that makes sense.
    """
    number = text.strip().rstrip("nums ").strip()
    unit = text.strip()[len(number) :].strip()
    try:
        time_ns = round(Decimal(number) * _UNITS[unit])
    except (InvalidOperation, KeyError, ValueError, OverflowError):
        raise UsageError(f"{option} is {text!r}, which is not a time", "write e.g. 20ms, 1.5s or 800us") from None
    within(f"{option} in ns", time_ns, 1, _LONGEST_NS)
    return time_ns


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
