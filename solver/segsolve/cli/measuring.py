"""Options of the commands that measure, and the values behind them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.errors import UsageError
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.measure.operations import Effort

BackendName = Annotated[str, typer.Option("--backend", help="Where to measure: litert (this CPU) or edgetpu.")]
Runs = Annotated[int, typer.Option("--runs", help="Inferences that each time is taken from, at least.")]
WarmUp = Annotated[int, typer.Option("--warm-up", help="Inferences before those.")]

DEFAULT_BACKEND = "litert"
DEFAULT_RUNS = 25
DEFAULT_WARM_UP = 3
_MOST_RUNS = 100_000


def check_effort(backend: str, runs: int, warm_up: int, seed: int) -> Effort:
    """Return how much to measure.

    Raises:
        UsageError: an option makes no sense.
    """
    from segsolve.measure.operations import Effort
    from segsolve.measure.run import BACKENDS

    if backend not in BACKENDS:
        raise UsageError(f"nothing can be measured on {backend!r}", f"known: {', '.join(BACKENDS)}")
    within("--runs", runs, 1, _MOST_RUNS)
    within("--warm-up", warm_up, 0, _MOST_RUNS)
    within("--seed", seed, 0)
    return Effort(runs=runs, warm_up=warm_up)


def parse_ranges(option: str, text: str) -> tuple[tuple[int, int], ...]:
    """Return the ranges of operations, half-open, that ``0-21,22-65`` stands for, each once.

    Raises:
        UsageError: the text is not a list of ranges.
    """
    ranges = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,9})-(\d{1,9})", part, re.ASCII)
        if not match or int(match[1]) > int(match[2]):
            raise UsageError(f"{option} is {text!r}", "write the first and the last operations, e.g. 0-21,22-65")
        ranges.append((int(match[1]), int(match[2]) + 1))
    return tuple(dict.fromkeys(ranges))
