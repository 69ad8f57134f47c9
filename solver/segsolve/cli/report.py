"""``segsolve report``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import news
from segsolve.cli.guard import guarded
from segsolve.errors import UsageError


class Format(StrEnum):
    """What a report is written as."""

    HTML = "html"
    SVG = "svg"
    MODEL_EXPLORER = "model-explorer"


@guarded
def command(
    source: Annotated[
        Path,
        typer.Argument(metavar="PLAN/|BATCH/", help="Folder that `segsolve solve -o` or `segsolve batch -o` wrote."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    report_format: Annotated[
        Format, typer.Option("--format", help="A page, a drawing, or node data for Google's Model Explorer.")
    ] = Format.HTML,
    model: Annotated[
        Path | None,
        typer.Option(
            help="The plan's model (of a pool: the folder with its models); found by itself beside the plan or here."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Description or profile (FILE.toml, FILE.json) of the device if it is not in the catalogue."),
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(help="What `segsolve run --timeline` wrote; PLAN/measured.json by itself.")
    ] = None,
) -> None:
    """Write a report on a plan, a pool's plan or a batch. It shows why they are as fast as they are."""
    from segsolve.report.write import report_text, write_text
    from segsolve_runtime.contract.plan import is_pool

    lacking = "the network's operations and other strategies"
    if is_pool(source):
        text, missing = _pool(source, report_format, model, device=device, measured=measured)
        lacking = "simple uses of the pool"
    else:
        text, missing = report_text(source, report_format, model=model, device=device, measured=measured)
    write_text(output, text)
    if missing:
        news(f"note: the report is without {lacking}: {missing}")
    news(f"wrote {output}")


def _pool(source: Path, report_format: Format, models: Path | None, **options: object) -> tuple[str, str]:
    from segsolve.library.of_pools import refuse_for_pools
    from segsolve.library.pool_again import report

    hint = "report one model's plan by itself: the folders under models/"
    refuse_for_pools("for the plan of a pool", hint, **options)
    if report_format is not Format.HTML:
        raise UsageError(f"{source} is a pool's plan, which has no report as {report_format}", hint)
    return report(source, models)
