"""``segsolve bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import news, progress, show_json, show_sentence
from segsolve.cli.guard import guarded
from segsolve.cli.near import parse_share
from segsolve.cli.options import Json, Seed
from segsolve.errors import UsageError
from segsolve.values import MOST_THREADS, within

_MOST = 1_000_000
_MODES = ("throughput", "latency")


@guarded
def command(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN/ ...", help="Plan folders, or a folder of such.")],
    backend: Annotated[str, typer.Option(help="litert, edgetpu, emulated or simulated, as for run.")] = "litert",
    mode: Annotated[str, typer.Option(help="throughput, or latency: one inference at a time.")] = "throughput",
    rounds: Annotated[int, typer.Option(help="Turns of each plan; in each round all have one, shuffled.")] = 7,
    count: Annotated[int, typer.Option(help="Inferences in each turn.")] = 200,
    warm_up: Annotated[int, typer.Option("--warm-up", help="Inferences before those of each turn, not counted.")] = 10,
    noise: Annotated[str, typer.Option(help="Plans differ only by more than this.")] = "2%",
    devices: Annotated[
        str | None, typer.Option(help="Edge TPUs in the plans' order, e.g. usb:0,pci:1; else the first attached.")
    ] = None,
    threads: Annotated[int, typer.Option(help="LiteRT threads per stage.")] = 1,
    seed: Seed = 0,
    csv: Annotated[Path | None, typer.Option("--csv", help="File for a row per turn.")] = None,
    as_json: Json = False,
) -> None:
    """Run plans in turns: which is faster, or a tie."""
    from segsolve.report.units import count as count_of
    from segsolve.report.write import check_writable, write_text
    from segsolve_runtime.backends.edgetpu.choose import parse_devices
    from segsolve_runtime.bench.entrants import entrants_of
    from segsolve_runtime.bench.report import csv_text, document, lines
    from segsolve_runtime.bench.turns import Effort, Where, take_turns

    if mode not in _MODES:
        raise UsageError(f"--mode is {mode!r}", f"known: {', '.join(_MODES)}")
    within("--rounds", rounds, 1, 10_000)
    within("--count", count, 1, _MOST)
    within("--warm-up", warm_up, 0, _MOST)
    within("--threads", threads, 1, MOST_THREADS)
    within("--seed", seed, 0)
    share = float(parse_share("--noise", noise))
    if csv is not None:
        check_writable(csv)
    names = parse_devices(devices) if devices is not None else ()
    where = Where(backend=backend, threads=threads, devices=names)
    effort = Effort(
        rounds=rounds,
        count=count,
        warm_up=warm_up,
        seed=seed,
        mode="latency" if mode == "latency" else "throughput",
    )
    entrants = entrants_of(plans)
    with progress(f"running {count_of(len(entrants), 'plan')} in turns on {backend}"):
        take_turns(entrants, where, effort, lambda number, e: news(f"round {number + 1} of {rounds}: {e.name}"))
    if csv is not None:
        write_text(csv, csv_text(entrants))
        news(f"wrote {csv}")
    if as_json:
        show_json(document(entrants, where, effort, share))
    else:
        for line in lines(entrants, where, effort, share):
            show_sentence(line)
