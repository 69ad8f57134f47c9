"""``segsolve compare``."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.asking import with_constraints
from segsolve.cli.console import is_terminal, progress, show, show_csv, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.no_plan import ON_CHIP, no_plan
from segsolve.cli.options import (
    DeviceName,
    HostCores,
    Json,
    ModelsOrCosts,
    NoSpill,
    Optimistic,
    Seed,
    Signature,
    TimeLimit,
    TpuMemory,
    Workers,
    load_model_or_profile,
    search_limits,
)
from segsolve.cli.pool import HostOf, PoolOptions, PoolText, RateTexts, WeightText, compare_pool
from segsolve.errors import ExitCode, UsageError
from segsolve.library.costs import changes_of, device_count, keeps_state, tpus_or
from segsolve.library.of_pools import pool_or_error, refuse_constraints, refuse_in_questions, refuse_without_pool
from segsolve.values import DEFAULT_DEVICE, parse_counts, within

if TYPE_CHECKING:
    from segsolve.comparison import Comparison
    from segsolve.profile.source import DeviceFacts
    from segsolve.search.simple_layouts import Layouts


@guarded
@with_constraints
def command(
    models: ModelsOrCosts,
    tpus: Annotated[
        str | None,
        typer.Option(
            "--tpus",
            help="Number of Edge TPUs, or several: 2..8 or 2,4,8; needed without a --pool, or a file that says it.",
        ),
    ] = None,
    device: DeviceName = DEFAULT_DEVICE,
    tpu_memory: TpuMemory = None,
    host_cores: HostCores = None,
    host_of: HostOf = None,
    optimistic: Optimistic = False,
    no_spill: NoSpill = False,
    constraints: Mapping[str, Any] = MappingProxyType({}),
    batch: Annotated[int, typer.Option(help="Inferences whose total time is shown.")] = 15,
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    signature: Signature = None,
    pool: PoolText = None,
    rate: RateTexts = None,
    weights: WeightText = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated rows on stdout instead of tables.")] = False,
) -> None:
    """Hold every strategy against the vendor's and the optimum.

    Below, simple layouts of the TPUs, such as copies of the whole model, are held against the best of all layouts.
    """
    from segsolve.comparison import side_by_side

    model = models[0]
    if pool is not None or len(models) > 1 or rate or weights:
        if as_csv:
            hint = "it prints on stdout; for a file: > FILE.csv" if pool is None else "use --json"
            raise UsageError("--csv is a flag for one model, without a pool", hint)
        refuse_in_questions(signature=signature)
        asked = PoolOptions(
            models=models,
            pool=pool_or_error(pool, models, rate),
            rates=rate or (),
            weights=weights,
            limits=search_limits(None, time_limit, workers, seed),
            more={
                "tpu_memory": tpu_memory,
                "host_cores": host_cores,
                "host_of": host_of,
                "optimistic": optimistic,
                "no_spill": no_spill,
                **constraints,
            },
        )
        compare_pool(asked, as_json=as_json)
        return
    refuse_without_pool(host_of=host_of)
    refuse_constraints(constraints, "segsolve solve takes it for one model; strategies know none")
    if tpus is None and model.suffix != ".json":
        raise UsageError("missing option '--tpus'", "give the number of Edge TPUs, e.g. --tpus 4")
    counts = () if tpus is None else tuple(parse_counts("--tpus", tpus))
    limits = search_limits(counts[0] if counts else None, time_limit, workers, seed)
    within("--batch", batch, 1)
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other", "leave out one of them")
    loaded, costs = load_model_or_profile(
        model, device, changes_of(tpu_memory, host_cores, optimistic=optimistic), signature
    )
    counts = counts or (tpus_or(None, device_count(costs)),)  # as the file of costs says
    problems = [costs.problem(tpus=count, no_spill=no_spill) for count in counts]
    with progress(f"comparing strategies for {problems[0].name}") as observe:
        found = list(side_by_side(problems, keeps_state=keeps_state(loaded), limits=limits, observe=observe))
    if not found:
        raise KeyboardInterrupt
    comparisons, layouts = [comparison for comparison, _ in found], [beside for _, beside in found]
    _show(comparisons, layouts, costs.device, batch, as_json=as_json, as_csv=as_csv)
    _end(comparisons, wanted=len(counts), is_whole=all(beside and not beside.is_interrupted for beside in layouts))


def _show(
    comparisons: list[Comparison],
    layouts: list[Layouts | None],
    device: DeviceFacts,
    batch: int,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    from segsolve.report.layouts import layouts_table, rows_with_layouts, with_layouts
    from segsolve.report.table import compare_table

    if as_json:
        show_json(with_layouts(comparisons, layouts, batch, device.ranges))
    elif as_csv:
        show_csv(rows_with_layouts(comparisons, layouts, batch, device.ranges))
    else:
        for comparison, beside in zip(comparisons, layouts, strict=True):
            # The same command prints the same text into a pipe; --json and --csv have the times.
            show(compare_table(comparison, device.name, batch, device.ranges, solve_times=is_terminal()))
            if beside and beside.all and beside.problem.tpus > 1:
                show(layouts_table(comparison, beside, batch, device.ranges))


def _end(comparisons: list[Comparison], wanted: int, *, is_whole: bool) -> None:
    """Exit as README says when there is not a plan for every number of TPUs."""
    from segsolve.report.units import count

    if len(comparisons) < wanted or not is_whole:
        say_error(f"interrupted after {len(comparisons)} of {count(wanted, 'comparison')}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    for comparison in comparisons:
        if comparison.best is None:
            answer = comparison.strategies[-1].answer
            raise no_plan(count(comparison.problem.tpus, "TPU"), answer, ON_CHIP, answer.planner)
