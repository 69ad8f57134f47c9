"""``segsolve run``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.options import MOST_THREADS, Json, PlanDir, Seed, within
from segsolve.cli.traffic import Traffic, TrafficOptions, check_traffic, traffic
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve_runtime.arrays import Array
    from segsolve_runtime.metrics import Metrics
    from segsolve_runtime.plan import Plan

_LONGEST_QUEUE = 100_000


Files = Annotated[list[str] | None, typer.Argument(metavar="[INPUTS]", help="More of --input, as a shell expands it.")]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="[NAME=]FILE",
        help="Images, .npy, .npz, .raw, a folder, a pattern, or - (bytes on stdin); may be repeated.",
    ),
]


@guarded
def command(
    plan: PlanDir,
    backend: Annotated[
        str, typer.Option(help="litert (this machine's CPU), edgetpu, or simulated (predicted times).")
    ] = "litert",
    files: Files = None,
    inputs: Input = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the results: NAME.npz (arrays) or NAME.jsonl.")
    ] = None,
    top: Annotated[int | None, typer.Option(help="Give the best classes instead of all scores, that many.")] = None,
    labels: Annotated[Path | None, typer.Option(help="File with a label per line, for --top.")] = None,
    fit: Annotated[str, typer.Option(help="How images get their size: stretch, crop or pad.")] = "stretch",
    mean: Annotated[
        str | None, typer.Option(help="Pixel that stands for 0, e.g. 127.5, or one per channel: R,G,B.")
    ] = None,
    std: Annotated[str | None, typer.Option(help="Pixels per unit, e.g. 127.5, or one per channel: R,G,B.")] = None,
    count: Annotated[int | None, typer.Option(help="Inferences at most: all of --input, 200 on random inputs.")] = None,
    threads: Annotated[int, typer.Option(help="LiteRT threads per stage.")] = 1,
    devices: Annotated[
        str | None, typer.Option(help="Edge TPUs in the plan's order, e.g. usb:0,pci:1; else the first attached.")
    ] = None,
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
    from segsolve_runtime.edgetpu.choose import parse_devices
    from segsolve_runtime.pipeline import Pipeline

    options = TrafficOptions(
        inputs=[*(inputs or []), *(files or [])],
        count=count,
        seed=seed,
        fit=fit,
        mean=mean,
        std=std,
        output=output,
        top=top,
        labels=labels,
        as_json=as_json,
    )
    check_traffic(options)
    within("--threads", threads, 1, MOST_THREADS)
    within("--queue-size", queue_size, 1, _LONGEST_QUEUE)
    within("--seed", seed, 0)
    with Pipeline.load(
        plan,
        backend=backend,
        threads=threads,
        devices=parse_devices(devices) if devices is not None else (),
        queue_size=queue_size,
        record=timeline is not None,
    ) as pipeline:
        with traffic(pipeline.plan, options) as flow:
            total = "all inferences" if flow.count is None else plural(flow.count, "inference")
            finished = _run_through(pipeline.map(flow.frames), flow, f"running {total} on {backend}")
        metrics = pipeline.metrics()
    if output is not None:
        news(f"wrote {plural(metrics.count, 'result')} to {output}")
    if timeline is not None:
        _write_timeline(timeline, pipeline.plan, metrics, backend)
    if as_json:
        show_json(run_document(pipeline.plan, metrics, backend))
    else:
        show(run_table(pipeline.plan, metrics, backend))
    if not finished:
        say_error(f"interrupted after {plural(metrics.count, 'inference')} of {flow.count or 'unknown many'}")
        raise typer.Exit(ExitCode.INTERRUPTED)


def _run_through(results: Iterator[Mapping[str, Array]], flow: Traffic, task: str) -> bool:
    """Take all results; say if that came to its end and was not interrupted."""
    try:
        with _announced(task) if flow.prints else progress(task):
            for outputs in results:
                flow.take(outputs)
    except KeyboardInterrupt:
        return False
    return True


@contextmanager
def _announced(task: str) -> Iterator[None]:
    """Say once what is going on: a display that moves would run into the results on a terminal."""
    news(task)
    yield


def _write_timeline(path: Path, plan: Plan, metrics: Metrics, backend: str) -> None:
    from segsolve.report.write import write_text
    from segsolve_runtime.measurement import measurement_json, measurement_of

    write_text(path, measurement_json(measurement_of(plan, metrics, backend)))
    news(f"wrote {path}")
