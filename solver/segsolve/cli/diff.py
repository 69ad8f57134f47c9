"""``segsolve diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json


@guarded
def command(
    before: Annotated[Path, typer.Argument(metavar="PLAN_A/", help="A plan's folder, or its plan.json.")],
    after: Annotated[
        Path | None,
        typer.Argument(metavar="[PLAN_B/]", help="Another one; without, what `build --compile` made of the first."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what differs between two plans, and why; or before and after compiling."""
    from segsolve.report.difference import Side, difference_document, difference_table
    from segsolve_runtime.contract.compiled import read_record
    from segsolve_runtime.contract.plan import load_before, load_plan

    one = load_plan(before)
    if after is None:
        last = Side("after", one.plan, read_record(one.root))
        first = Side("before", load_before(one.root) or one.plan)
    else:
        other = load_plan(after)
        names = _names(before, after)
        first = Side(names[0], one.plan, read_record(one.root))
        last = Side(names[1], other.plan, read_record(other.root))
    if as_json:
        show_json(difference_document(first, last))
    else:
        show(difference_table(first, last))


def _names(before: Path, after: Path) -> tuple[str, str]:
    """Return short names of two folders that differ: their last parts, or A and B."""
    names = before.resolve().name, after.resolve().name
    return names if names[0] != names[1] and all(0 < len(name) <= 16 for name in names) else ("A", "B")
