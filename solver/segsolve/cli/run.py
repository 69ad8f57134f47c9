"""``segsolve run``."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve.cli.console import progress, show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, PlanDir, Seed, at_least


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
    as_json: Json = False,
) -> None:
    """Run a plan as a pipeline and measure it."""
    from segsolve.report.run import run_document, run_table
    from segsolve_runtime.frames import random_frames
    from segsolve_runtime.pipeline import Pipeline

    at_least("--count", count, 1)
    at_least("--threads", threads, 1)
    at_least("--queue-size", queue_size, 1)
    with (
        Pipeline.load(plan, backend=backend, threads=threads, queue_size=queue_size) as pipeline,
        progress(f"running {count} inferences on {backend}"),
    ):
        for _ in pipeline.map(random_frames(pipeline.plan, count, seed)):
            pass
        metrics = pipeline.metrics()
    if as_json:
        show_json(run_document(pipeline.plan, metrics, backend))
    else:
        show(run_table(pipeline.plan, metrics, backend))
