"""``segsolve diff``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import show, show_json, show_sentence
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json
from segsolve.errors import UsageError
from segsolve_runtime.contract.files import resolved


@guarded
def command(
    before: Annotated[Path, typer.Argument(metavar="PLAN_A/", help="A plan's folder, or its plan.json.")],
    after: Annotated[
        Path | None,
        typer.Argument(metavar="[PLAN_B/]", help="Another one; without, what `build --compile` made of the first."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how two plans differ, and why; or what compiling changed."""
    from segsolve.report.difference import Side, difference_document, difference_table
    from segsolve_runtime.contract.compiled import read_record
    from segsolve_runtime.contract.plan import is_pool, load_before, load_plan

    if is_pool(before) or (after is not None and is_pool(after)):
        _pools(before, after, as_json=as_json)
        return
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
        return
    show(difference_table(first, last))
    if after is None and last.compiled is None:
        show_sentence(f"Nothing has changed: {before} was not compiled (`segsolve build {before} --compile`).")


def _pools(before: Path, after: Path | None, *, as_json: bool) -> None:
    from segsolve.report.pool.difference import pool_difference_document, pool_difference_table
    from segsolve.report.pool.view import pool_view
    from segsolve_runtime.contract.plan import is_pool
    from segsolve_runtime.contract.pool import load_pool

    if after is None or not is_pool(before) or not is_pool(after):
        raise UsageError("a pool's plan is compared with another pool's", "name two such folders")
    one, other = pool_view(load_pool(before)), pool_view(load_pool(after))
    if as_json:
        show_json(pool_difference_document(one, other))
    else:
        show(pool_difference_table(one, other, _names(before, after)))


def _names(before: Path, after: Path) -> tuple[str, str]:
    """Return short names of two folders that differ: their last parts, or A and B."""
    names = resolved(before).name, resolved(after).name
    return names if names[0] != names[1] and all(0 < len(name) <= 16 for name in names) else ("A", "B")
