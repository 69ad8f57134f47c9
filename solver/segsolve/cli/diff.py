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
    after: Annotated[Path, typer.Argument(metavar="PLAN_B/", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Say what differs between two plans, and why.

    To see what `build --compile` or `tune` made of a plan, copy its folder before.
    """
    from segsolve.report.difference import difference_document, difference_table
    from segsolve_runtime.contract.plan import load_plan

    one, other = load_plan(before).plan, load_plan(after).plan
    if as_json:
        show_json(difference_document(one, other))
    else:
        show(difference_table(one, other, _names(before, after)))


def _names(before: Path, after: Path) -> tuple[str, str]:
    """Return short names of two folders that differ: their last parts, or A and B."""
    names = before.resolve().name, after.resolve().name
    return names if names[0] != names[1] and all(0 < len(name) <= 16 for name in names) else ("A", "B")
