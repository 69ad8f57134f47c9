"""Options that several commands share, and the values behind them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news
from segsolve.library import costs as named
from segsolve.values import MOST_TPUS, within

if TYPE_CHECKING:
    from segsolve.device.model import Changes
    from segsolve.graph.read import LoadedModel
    from segsolve.profile.source import CostSource
    from segsolve.solvers.base import Limits

Model = Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Quantised model, not yet compiled.")]
Models = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL.tflite", help="Quantised model, not yet compiled. Several models share a --pool."),
]
ModelsOrCosts = Annotated[
    list[Path],
    typer.Argument(
        metavar="MODEL.tflite|COSTS.json",
        help="Quantised model, not yet compiled; or costs that come from elsewhere: a profile, or a graph. "
        "Several models share a --pool.",
    ),
]
PlanDir = Annotated[Path, typer.Argument(metavar="PLAN/", help="Folder that `segsolve solve -o` wrote.")]
TpusOfFile = Annotated[
    int | None,
    typer.Option(
        "--tpus",
        help="Number of Edge TPUs, one stage each at most; needed unless a graph or a profile says it.",
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        help="Device of the catalogue (`segsolve devices`), a description (FILE.toml), or measured costs (FILE.json).",
    ),
]
TpuMemory = Annotated[
    str | None,
    typer.Option("--tpu-memory", help="On-chip memory per TPU instead of the device's, e.g. 6MiB or 4000000."),
]
HostCores = Annotated[
    int | None, typer.Option("--host-cores", help="Cores of the CPU that feeds all TPUs, instead of the device's.")
]
Optimistic = Annotated[
    bool,
    typer.Option(
        "--optimistic", help="Where it is not known how much memory large images leave, take the most, not the least."
    ),
]
NoSpill = Annotated[
    bool, typer.Option("--no-spill", help="Allow no plan in which weights stream because they do not fit.")
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus", help="CPU cores beside the accelerators; for graphs and profiles that say what they cost."),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", help="Seconds after which the best plan so far is returned.")
]
Workers = Annotated[int, typer.Option("--workers", help="Threads of the solver.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the solver or of the random inputs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]

Signature = Annotated[
    str | None, typer.Option("--signature", help="Which of a file's several signatures; the first by default.")
]


def search_limits(tpus: int | None, time_limit: float | None, workers: int, seed: int) -> Limits:
    """Return how long and how is searched (UsageError if an option that every search takes makes no sense)."""
    from segsolve.solvers.base import Limits

    if tpus is not None:
        within("--tpus", tpus, 1, MOST_TPUS)
    return Limits(time_limit_s=time_limit, workers=workers, seed=seed)


def load_costs(
    model: Path, device: str, changes: Changes, signature: str | None = None
) -> tuple[LoadedModel, CostSource]:
    """Do what `library.costs.load_costs` does, and say on the screen what is unusual."""
    return named.load_costs(model, device, changes, signature, news)


def load_model_or_profile(
    model: Path, device: str, changes: Changes, signature: str | None = None
) -> tuple[LoadedModel | None, CostSource]:
    """Do what `library.costs.load_model_or_profile` does, and say on the screen what is unusual."""
    return named.load_model_or_profile(model, device, changes, signature, news)
