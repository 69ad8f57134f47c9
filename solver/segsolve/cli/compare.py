"""``segsolve compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve.cli.console import progress, show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import (
    DEFAULT_DEVICE,
    DeviceName,
    Json,
    Model,
    NoSpill,
    Seed,
    TimeLimit,
    TpuMemory,
    Tpus,
    Workers,
    at_least,
    load_costs,
)


@guarded
def command(
    model: Model,
    tpus: Tpus,
    device: DeviceName = DEFAULT_DEVICE,
    tpu_memory: TpuMemory = None,
    no_spill: NoSpill = False,
    batch: Annotated[int, typer.Option(help="Inferences whose total time is shown.")] = 15,
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Hold every strategy against the vendor's cut and the proven optimum."""
    from segsolve.compare import compare
    from segsolve.planners.base import Limits
    from segsolve.report.documents import compare_document
    from segsolve.report.table import compare_table

    at_least("--tpus", tpus, 1)
    at_least("--batch", batch, 1)
    at_least("--workers", workers, 1)
    _, costs = load_costs(model, device, tpu_memory)
    problem = costs.problem(tpus=tpus, no_spill=no_spill)
    limits = Limits(time_limit_s=time_limit, workers=workers, seed=seed)
    with progress(f"comparing strategies for {problem.name}") as observe:
        comparison = compare(problem, limits=limits, observe=observe)
    if as_json:
        show_json(compare_document(comparison, batch))
    else:
        show(compare_table(comparison, costs.device.name, batch))
