"""``segsolve run``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.options import MOST_THREADS, Json, PlanDir, Seed, within
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve_runtime.metrics import Metrics
    from segsolve_runtime.plan import Plan

_LONGEST_QUEUE = 100_000


@guarded
def command(
    plan: PlanDir,
    backend: Annotated[
        str, typer.Option(help="litert (this machine's CPU) or simulated (predicted times).")
    ] = "litert",
    count: Annotated[int, typer.Option(help="Inferences, on random inputs.")] = 200,
    threads: Annotated[int, typer.Option(help="LiteRT threads per stage.")] = 1,
    queue_size: Annotated[int, typer.Option(help="Inferences that may wait between two stages.")] = 2,
    seed: Seed = 0,
    timeline: Annotated[
        Path | None, typer.Option(help="File for the measurement and its timeline, e.g. PLAN/measured.json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a plan as a pipeline and measure it."""
    from segsolve.report.run import run_document, run_table
    from segsolve.report.units import count as plural
    from segsolve_runtime.frames import random_frames
    from segsolve_runtime.pipeline import Pipeline

    within("--count", count, 1)
    within("--threads", threads, 1, MOST_THREADS)
    within("--queue-size", queue_size, 1, _LONGEST_QUEUE)
    within("--seed", seed, 0)
    with Pipeline.load(
        plan, backend=backend, threads=threads, queue_size=queue_size, record=timeline is not None
    ) as pipeline:
        task = f"running {plural(count, 'inference')} on {backend}"
        finished = _run_through(pipeline.map(random_frames(pipeline.plan, count, seed)), task)
        metrics = pipeline.metrics()
    if timeline is not None:
        _write_timeline(timeline, pipeline.plan, metrics, backend)
    if as_json:
        show_json(run_document(pipeline.plan, metrics, backend))
    else:
        show(run_table(pipeline.plan, metrics, backend))
    if not finished:
        say_error(f"interrupted after {plural(metrics.count, 'inference')} of {count}")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _run_through(results: Iterator[object], task: str) -> bool:
    """Take all results; say if that came to its end and was not interrupted."""
    try:
        with progress(task):
            for _ in results:
                pass
    except KeyboardInterrupt:
        return False
    return True


def _write_timeline(path: Path, plan: Plan, metrics: Metrics, backend: str) -> None:
    from segsolve.report.write import write_text
    from segsolve_runtime.measurement import measurement_json, measurement_of

    write_text(path, measurement_json(measurement_of(plan, metrics, backend)))
    news(f"wrote {path}")
