"""``segsolve export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import news
from segsolve.cli.guard import guarded


@guarded
def command(
    folder: Annotated[Path, typer.Argument(metavar="OUT/", help="Folder that `segsolve batch -o` wrote.")],
    output: Annotated[Path, typer.Argument(metavar="FILE", help="results.parquet (needs pyarrow) or results.csv.")],
) -> None:
    """Write a batch's records as one table. It has a row per record."""
    from segsolve.batch.export import export

    count = export(folder, output)
    news(f"wrote {count} records to {output}")
