"""``segsolve solve``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
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
from segsolve.errors import ExitCode

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.planners.base import SolveResult
    from segsolve.problem import Problem
    from segsolve.profile.analytic import AnalyticCosts


class Objective(StrEnum):
    """What the best plan is best at."""

    THROUGHPUT = "throughput"


@guarded
def command(
    model: Model,
    tpus: Tpus,
    device: DeviceName = DEFAULT_DEVICE,
    objective: Annotated[Objective, typer.Option(help="What the plan is best at.")] = Objective.THROUGHPUT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for plan.json and the segment files.")
    ] = None,
    tpu_memory: TpuMemory = None,
    no_spill: NoSpill = False,
    planner: Annotated[str, typer.Option(help="Strategy; `segsolve compare` shows them side by side.")] = "cpsat",
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove the written segments equal to the whole model.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Find the best segmentation, prove it, and write the segments."""
    from segsolve.planners.base import Limits, Stop
    from segsolve.solve import solve

    at_least("--tpus", tpus, 1)
    at_least("--workers", workers, 1)
    if time_limit is not None:
        at_least("--time-limit", time_limit, 0)
    if output is not None:
        _check_writable(output)
    loaded, costs = load_costs(model, device, tpu_memory)
    problem = costs.problem(tpus=tpus, no_spill=no_spill)
    limits = Limits(time_limit_s=time_limit, workers=workers, seed=seed)
    with progress(f"solving {problem.name}") as observe:
        result = solve(problem, planner=planner, limits=limits, observe=observe)
    _show(problem, result, costs.device.name, as_json=as_json)
    if result.plan is None:
        _explain_no_plan(problem, result)
        raise typer.Exit(ExitCode.NO_PLAN)
    if output is not None:
        _write(output, loaded, costs, problem, result, verify=verify)
    if result.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _check_writable(output: Path) -> None:
    from segsolve.build import check_writable

    check_writable(output)


def _show(problem: Problem, result: SolveResult, device: str, *, as_json: bool) -> None:
    from segsolve.evaluate import score
    from segsolve.report.documents import solve_document
    from segsolve.report.table import solve_table

    costs = score(problem, result.plan) if result.plan else None
    if as_json:
        show_json(solve_document(problem, result, costs))
    elif costs is not None:
        show(solve_table(problem, result, costs, device))


def _explain_no_plan(problem: Problem, result: SolveResult) -> None:
    if result.status == "infeasible":
        news(f"error: no plan on {problem.tpus} TPUs keeps all weights on chip ({result.proof})")
        news("hint: give more TPUs, or leave out --no-spill")
    else:
        news(f"error: {result.planner} found no plan: {result.note or result.stopped_by}")
        news("hint: try another --planner, or more time")


def _write(
    output: Path,
    loaded: LoadedModel,
    costs: AnalyticCosts,
    problem: Problem,
    result: SolveResult,
    *,
    verify: bool,
) -> None:
    from segsolve.build import write_plan
    from segsolve.segments.verify import verify as verify_segments

    folder = write_plan(output, loaded=loaded, device=costs.device, problem=problem, result=result)
    news(f"wrote {output}/plan.json and {len(folder.plan.stages)} segments")
    if verify:
        with progress("comparing the segments with the whole model"):
            done = verify_segments(folder, loaded)
        news(
            f"verified: {done.output_tensors} outputs and {done.crossing_tensors} crossing tensors are identical to "
            f"the whole model's on {done.inputs} random inputs"
        )
