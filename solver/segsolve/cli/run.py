"""``segsolve run``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.aftermath import check_written, say_doubts, say_heat, write_profile, write_timeline, write_trace
from segsolve.cli.console import news, show, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.options import Json, PlanDir, Seed
from segsolve.cli.pool_run import PoolFiles, run_pool
from segsolve.cli.running import Leg, RunOptions, check_running, open_pipeline, run_legs
from segsolve.cli.traffic import TrafficOptions, check_traffic, traffic
from segsolve.errors import ExitCode, UsageError
from segsolve.library.of_pools import refuse_for_pools
from segsolve.values import MOST_THREADS, within

_LONGEST_QUEUE = 100_000


Files = Annotated[list[str] | None, typer.Argument(metavar="[INPUTS]", help="More of --input, as a shell expands it.")]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="[NAME=]FILE",
        help="Images, videos, camera:N, .npy, .npz, .raw, a folder, a pattern, or - (bytes on stdin); repeatable.",
    ),
]


@guarded
def command(
    plan: PlanDir,
    backend: Annotated[
        str,
        typer.Option(
            help="litert (this machine's CPU), edgetpu, emulated (CPU, held to predicted times), or simulated."
        ),
    ] = "litert",
    files: Files = None,
    inputs: Input = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File for the results: NAME.npz (arrays) or NAME.jsonl; of a pool a folder."
        ),
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="Write real numbers to --output instead of the model's integers.")
    ] = False,
    top: Annotated[int | None, typer.Option(help="Give the best classes instead of all scores, that many.")] = None,
    detections: Annotated[
        bool, typer.Option("--detections", help="Give the objects that a detector finds: class, score, box.")
    ] = False,
    threshold: Annotated[float | None, typer.Option(help="Least score of a detection: 0.5 by default.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for pictures with the boxes of the detections drawn on them.")
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="File with a label per line, for --top and --detections; of a pool also MODEL=FILE."),
    ] = None,
    raw_tensor: Annotated[
        bool, typer.Option("--raw-tensor", help="Bytes of .raw, .bin and - are the tensor's own numbers, not pixels.")
    ] = False,
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
    isolate: Annotated[
        str, typer.Option(help="Stages with a process of their own: auto (Edge TPUs on USB), all or none.")
    ] = "auto",
    queue_size: Annotated[int, typer.Option(help="Inferences that may wait between two stages.")] = 2,
    seed: Seed = 0,
    on_fault: Annotated[
        str,
        typer.Option(
            help="After a fault: stop, skip its frame, retry elsewhere, or replan for the devices that are left."
        ),
    ] = "stop",
    rejoin: Annotated[
        bool,
        typer.Option("--rejoin", help="Open lost devices again until they are back; implies retry."),
    ] = False,
    stage_timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a stage that has not ended is given up.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="The plan's model (a pool's: their folder), if not beside the plan; for replan and --profile-out."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="What the plan was made for, if not in the catalogue; as --model.")
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(help="File for the measurement and its timeline, e.g. PLAN/measured.json; of a pool, a folder."),
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="File for the timeline, predicted and measured, for Perfetto.")
    ] = None,
    profile_out: Annotated[
        Path | None, typer.Option(help="File (of a pool: folder) for the measured costs, which `solve` takes.")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of an endpoint for Prometheus.")] = None,
    metrics_address: Annotated[str, typer.Option(help="Address of that endpoint.")] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Run a plan as a pipeline and measure it."""
    from segsolve.report.units import count as plural
    from segsolve_runtime.backends.edgetpu.choose import parse_devices
    from segsolve_runtime.contract.plan import is_pool, load_plan
    from segsolve_runtime.observe.trace import TRACED

    several = is_pool(plan)
    wanted = TrafficOptions(
        inputs=[*(inputs or []), *(files or [])],
        count=count,
        seed=seed,
        fit=fit,
        mean=mean,
        std=std,
        output=output,
        top=top,
        labels=None if several or not labels else Path(labels[0]),
        dequantize=dequantize,
        as_json=as_json,
        detections=detections,
        threshold=threshold,
        pictures=pictures,
        raw_tensor=raw_tensor,
    )
    check_traffic(wanted, several=several)
    if labels and len(labels) > 1 and not several:
        raise UsageError(f"--labels is given {len(labels)} times", "one file, for one model")
    within("--threads", threads, 1, MOST_THREADS)
    within("--queue-size", queue_size, 1, _LONGEST_QUEUE)
    within("--seed", seed, 0)
    options = RunOptions(
        plan=plan,
        backend=backend,
        threads=threads,
        devices=parse_devices(devices) if devices is not None else (),
        isolate=isolate,
        queue_size=queue_size,
        on_fault="retry" if rejoin and on_fault == "stop" else on_fault,
        rejoin=rejoin,
        stage_timeout_s=stage_timeout,
        model=model,
        device=device,
        metrics_port=metrics_port,
        metrics_address=metrics_address,
        recorded=TRACED if timeline is not None or trace is not None else 0,
    )
    check_running(options)
    if several:
        refuse_for_pools(
            "for the plan of a pool",
            "run one model's plan by itself: the folders under models/",
            device=device,
        )
        run_pool(options, wanted, labels or [], PoolFiles(timeline, trace, profile_out))
        return
    folder = load_plan(plan)
    check_written((timeline, trace, profile_out), folder, options, profile=profile_out is not None)
    opened = open_pipeline(options, folder)
    with opened.pipeline, traffic(folder.plan, wanted) as flow:
        legs = run_legs(options, flow, opened, folder)
    done, last = sum(leg.metrics.count for leg in legs), legs[-1]
    if output is not None:
        news(f"wrote {plural(done, 'result')} to {output}")
    if timeline is not None:
        write_timeline(timeline, last, backend)
    if trace is not None:
        write_trace(trace, last, options)
    if profile_out is not None:
        write_profile(profile_out, last, options)
    say_doubts(legs, backend)
    say_heat(last)
    _show(legs, backend, as_json=as_json)
    if not last.finished:
        of = f" of {flow.count}" if flow.count else ""
        say_error(f"interrupted after {plural(done, 'inference')}{of}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if failed := last.metrics.accepted - last.metrics.count:
        say_error(f"{plural(failed, 'inference')} failed")
        raise typer.Exit(ExitCode.PARTIAL)


def _show(legs: Sequence[Leg], backend: str, *, as_json: bool) -> None:
    from segsolve.report.run import run_document, run_table, start_document

    last, before = legs[-1], [(leg.plan, leg.metrics) for leg in legs[:-1]]
    if as_json:
        document = run_document(last.plan, last.metrics, backend, before)
        show_json(document | {"start": start_document(last.began, last.outage_s)})
    else:
        show(run_table(last.plan, last.metrics, backend, before, last.began))
