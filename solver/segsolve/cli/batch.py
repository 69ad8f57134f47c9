"""``segsolve batch``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.asking import with_constraints
from segsolve.cli.batch_progress import batch_progress
from segsolve.cli.console import show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import (
    HostCores,
    Json,
    NoSpill,
    Optimistic,
    Seed,
    TimeLimit,
    TpuMemory,
    Workers,
    search_limits,
)
from segsolve.cli.pool import HostOf, RateTexts, SharingText, WeightText
from segsolve.errors import ExitCode, UsageError
from segsolve.library.of_pools import refuse_without_pool
from segsolve.question import Cuts, Objective
from segsolve.values import DEFAULT_DEVICE, MOST_BATCH, MOST_THREADS, parse_counts, parse_memory, parse_names, within

if TYPE_CHECKING:
    from segsolve.batch.engines import Engine
    from segsolve.device.model import Device
    from segsolve.library.workloads import Workload


class EngineName(StrEnum):
    """Where the jobs run."""

    LOCAL = "local"
    DASK = "dask"


@guarded
@with_constraints
def command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|zoo|LIST.txt|MODEL.tflite...|WORKLOADS.toml",
            help="Folders of models, `zoo` or networks of it, lists with one of these per line, or models; "
            "or workloads for pools.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the records; the same command goes on there.")
    ],
    tpus: Annotated[str, typer.Option(help="Numbers of Edge TPUs, e.g. 2..8 or 2,4,8.")] = "2..8",
    devices: Annotated[
        str, typer.Option(help="Devices, comma-separated: of the catalogue, FILE.toml, or all.")
    ] = DEFAULT_DEVICE,
    planners: Annotated[
        str,
        typer.Option(
            help="Planners, comma-separated, or all that answer the question: each cuts one pipeline, `layouts` is the "
            "best of all layouts."
        ),
    ] = "all",
    objective: Annotated[Objective, typer.Option(help="What the plans are best at.")] = Objective.THROUGHPUT,
    cuts: Annotated[
        Cuts, typer.Option(help="Cut the execution order (chain), or also between branches of the graph (dag).")
    ] = Cuts.AUTO,
    batch: Annotated[int | None, typer.Option(help="Inferences of --objective batch: 15.")] = None,
    constraints: Mapping[str, Any] = MappingProxyType({}),
    pools: Annotated[
        str | None,
        typer.Option(
            metavar="POOL...",
            help="Instead of --tpus and --devices: pools on each of which the models run together, with blanks "
            'between, e.g. "card4 edgetpu-m2:2,edgetpu-usb:1".',
        ),
    ] = None,
    rate: RateTexts = None,
    weights: WeightText = None,
    sharing: SharingText = "auto",
    tpu_memory: TpuMemory = None,
    host_cores: HostCores = None,
    host_of: HostOf = None,
    optimistic: Optimistic = False,
    no_spill: NoSpill = False,
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    processes: Annotated[
        int | None, typer.Option(help="Jobs at a time; by default as many as the cores have room for.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Processes on this machine, or a Dask cluster.")
    ] = EngineName.LOCAL,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler; without, a cluster on this machine.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do failed jobs again.")] = False,
    as_json: Json = False,
) -> None:
    """Solve every combination in parallel; go on after any stop.

    Workloads for pools, or models beside --pools, run together: each on each pool.
    """
    from segsolve.batch.jobs import Options
    from segsolve.batch.record import Outcome
    from segsolve.batch.run import Batch, default_processes, run_batch
    from segsolve.library.pools import parse_rates, parse_weights
    from segsolve.library.workloads import Workloads, is_list
    from segsolve.question.given import parsed
    from segsolve.report.batch import summary_table

    counts = parse_counts("--tpus", tpus)
    limits = search_limits(counts[0], time_limit, workers, seed)
    if processes is not None:
        within("--processes", processes, 1, MOST_THREADS)
    if batch is not None:
        within("--batch", batch, 1, MOST_BATCH)
    wanted: Batch | Workloads
    if pools is not None or any(map(is_list, models)) or rate or weights:
        asked: dict[str, Any] = {
            "objective": str(objective),
            "sharing": sharing,
            "tpu_memory": tpu_memory,
            "host_cores": host_cores,
            "host_of": host_of,
        }
        asked |= {"optimistic": optimistic, "no_spill": no_spill, **constraints}
        asked |= {
            "rates": rate and {k: str(v) for k, v in parse_rates(rate).items()},
            "weights": parse_weights(weights),
        }
        wanted = Workloads(workloads=_workloads(models, (pools or "").split(), asked), limits=limits)
    else:
        refuse_without_pool(host_of=host_of)
        if host_cores is not None or optimistic:
            raise UsageError(
                "--host-cores and --optimistic are for pools here", "segsolve solve takes them for a model"
            )
        options = Options(
            objective=objective,
            cuts=cuts,
            batch=batch if objective is Objective.BATCH else None,
            constraints=parsed(constraints),
            no_spill=no_spill,
            time_limit_s=time_limit,
            seed=seed,
            workers=workers,
        )
        wanted = Batch(
            models=tuple(models),
            tpus=counts,
            devices=_devices(devices, tpu_memory),
            planners=parse_names("--planners", planners, options.planners),
            options=options,
        )
    at_once = processes or default_processes(workers)
    with batch_progress() as observe:
        summary = run_batch(
            wanted,
            output,
            engine=lambda: _engine(engine, scheduler, at_once),
            processes=at_once,
            observe=observe,
            retry_failed=retry_failed,
        )
    if as_json:
        show_json(summary)
    else:
        show(summary_table(summary))
    if summary.outcomes[Outcome.FAILED]:
        raise typer.Exit(ExitCode.PARTIAL)


def _workloads(models: list[str], pools: list[str], asked: dict[str, Any]) -> tuple[Workload, ...]:
    """Return the workloads of files, or the one of models that run together; `asked` is of those that say no other."""
    from segsolve.library.workloads import Workload, is_list, named, read_workloads

    said = {key: value for key, value in asked.items() if value not in (None, False, [], (), {})}
    lists = [name for name in models if is_list(name)]
    if lists and len(lists) < len(models):
        raise UsageError(f"{lists[0]} lists workloads, and there are models beside it", "give one or the other")
    if not lists and not pools:
        raise UsageError(
            "--rate and --weights are of models on a pool", 'name it: --pools "edgetpu-m2:2,edgetpu-usb:1"'
        )
    if not lists:
        return (Workload(name=named(models), models=tuple(models), pools=tuple(pools), asked=said),)
    found = tuple(each for name in lists for each in read_workloads(Path(name), pools, said))
    if twice := sorted({each.name for each in found if [other.name for other in found].count(each.name) > 1}):
        raise UsageError(f"two workloads are called {twice[0]!r}", "give each a name of its own")
    return found


def _devices(names: str, tpu_memory: str | None) -> tuple[Device, ...]:
    from segsolve.device.model import device_names, load_device

    devices = (load_device(name) for name in parse_names("--devices", names, device_names()))
    if tpu_memory is None:
        return tuple(devices)
    return tuple(device.with_memory(parse_memory(tpu_memory)) for device in devices)


def _engine(name: EngineName, scheduler: str | None, processes: int) -> AbstractContextManager[Engine]:
    from segsolve.batch.dask_engine import dask_engine
    from segsolve.batch.engines import local_engine

    if name is EngineName.DASK:
        return dask_engine(scheduler, processes)
    return local_engine(processes)
