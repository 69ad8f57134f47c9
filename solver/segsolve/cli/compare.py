"""``segsolve compare``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import is_terminal, progress, show, show_csv, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.no_plan import no_plan
from segsolve.cli.options import (
    DEFAULT_DEVICE,
    DeviceName,
    Json,
    ModelOrProfile,
    NoSpill,
    Seed,
    TimeLimit,
    TpuMemory,
    Workers,
    check_search,
    load_model_or_profile,
    parse_counts,
    within,
)
from segsolve.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from segsolve.compare import Comparison


@guarded
def command(
    model: ModelOrProfile,
    tpus: Annotated[str, typer.Option("--tpus", help="Number of Edge TPUs, or several: 2..8 or 2,4,8.")],
    device: DeviceName = DEFAULT_DEVICE,
    tpu_memory: TpuMemory = None,
    no_spill: NoSpill = False,
    batch: Annotated[int, typer.Option(help="Inferences whose total time is shown.")] = 15,
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated rows on stdout instead of tables.")] = False,
) -> None:
    """Hold every strategy against the vendor's and the optimum."""
    from segsolve.compare import compare
    from segsolve.planners.base import Limits

    counts = parse_counts("--tpus", tpus)
    check_search(counts[0], time_limit, workers, seed)
    within("--batch", batch, 1)
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other", "leave out one of them")
    _, costs = load_model_or_profile(model, device, tpu_memory)
    problems = [costs.problem(tpus=count, no_spill=no_spill) for count in counts]
    limits = Limits(time_limit_s=time_limit, workers=workers, seed=seed)
    with progress(f"comparing strategies for {problems[0].name}") as observe:
        comparisons = list(_until_interrupted(compare(p, limits=limits, observe=observe) for p in problems))
    if not comparisons:
        raise KeyboardInterrupt
    _show(comparisons, costs.device.name, batch, as_json=as_json, as_csv=as_csv)
    _end(comparisons, wanted=len(counts))


def _until_interrupted(comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
    """Yield what was compared, and nothing after an interruption, be it in a search or between two."""
    try:
        for comparison in comparisons:
            yield comparison
            if _interrupted(comparison):
                return
    except KeyboardInterrupt:
        return


def _interrupted(comparison: Comparison) -> bool:
    from segsolve.planners.base import Stop

    return any(strategy.result.stopped_by is Stop.INTERRUPTED for strategy in comparison.strategies)


def _show(comparisons: list[Comparison], device: str, batch: int, *, as_json: bool, as_csv: bool) -> None:
    from segsolve.report.documents import compare_document, compare_rows
    from segsolve.report.table import compare_table

    if as_json:
        show_json(compare_document(comparisons, batch))
    elif as_csv:
        show_csv(compare_rows(comparisons, batch))
    else:
        for comparison in comparisons:
            # The same command prints the same text into a pipe; --json and --csv have the times.
            show(compare_table(comparison, device, batch, solve_times=is_terminal()))


def _end(comparisons: list[Comparison], wanted: int) -> None:
    """Exit as README says when there is not a plan for every number of TPUs."""
    if len(comparisons) < wanted or any(_interrupted(comparison) for comparison in comparisons):
        from segsolve.report.units import count

        say_error(f"interrupted after {len(comparisons)} of {count(wanted, 'comparison')}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    for comparison in comparisons:
        if comparison.best is None:
            raise no_plan(comparison.problem, comparison.strategies[-1].result)
