"""``segsolve profile``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.measuring import (
    DEFAULT_BACKEND,
    DEFAULT_RUNS,
    DEFAULT_WARM_UP,
    BackendName,
    Runs,
    WarmUp,
    check_effort,
    parse_ranges,
)
from segsolve.cli.options import Json, Model, Seed, Signature


@guarded
def command(
    model: Model,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, e.g. profile.json.")],
    backend: BackendName = DEFAULT_BACKEND,
    runs: Runs = DEFAULT_RUNS,
    warm_up: WarmUp = DEFAULT_WARM_UP,
    segments: Annotated[
        str, typer.Option(help="Ranges of operations to measure as a whole too, e.g. 0-21,22-65.")
    ] = "",
    seed: Seed = 0,
    signature: Signature = None,
    as_json: Json = False,
) -> None:
    """Measure every operation of a model on this machine. Other commands take the result as `--device`."""
    from segsolve.graph.read import read_model
    from segsolve.measure.run import measure_model
    from segsolve.profile.format import profile_json
    from segsolve.report.profile import profile_document, profile_table
    from segsolve.report.write import write_text

    effort = check_effort(backend, runs, warm_up, seed)
    ranges = parse_ranges("--segments", segments)
    loaded = read_model(model, signature)
    with progress(f"measuring {loaded.graph.name} on {backend}"):
        profile = measure_model(loaded, ranges=ranges, effort=effort, seed=seed).profile
    write_text(output, profile_json(profile))
    if as_json:
        show_json(profile_document(profile))
    else:
        show(profile_table(profile))
    news(f"wrote {output}")
