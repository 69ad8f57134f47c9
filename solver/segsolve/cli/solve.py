"""``segsolve solve``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.graph import is_graph, solve_graph
from segsolve.cli.guard import guarded
from segsolve.cli.no_plan import no_plan
from segsolve.cli.options import (
    DEFAULT_DEVICE,
    Cpus,
    DeviceName,
    Json,
    ModelOrGraph,
    NoSpill,
    Seed,
    TimeLimit,
    TpuMemory,
    Tpus,
    Workers,
    check_search,
    load_model_or_profile,
)
from segsolve.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.planners.base import SolveResult
    from segsolve.problem import Problem
    from segsolve.profile.source import DeviceFacts


class Objective(StrEnum):
    """What the best plan is best at."""

    THROUGHPUT = "throughput"


@guarded
def command(
    model: ModelOrGraph,
    tpus: Tpus,
    device: DeviceName = DEFAULT_DEVICE,
    objective: Annotated[Objective, typer.Option(help="What the plan is best at.")] = Objective.THROUGHPUT,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for plan.json and the segment files.")
    ] = None,
    tpu_memory: TpuMemory = None,
    no_spill: NoSpill = False,
    cpus: Cpus = None,
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

    check_search(tpus, time_limit, workers, seed)
    limits = Limits(time_limit_s=time_limit, workers=workers, seed=seed)
    if is_graph(model, cpus):
        _only_for_models(device, output)
        solve_graph(
            model,
            tpus=tpus,
            cpus=cpus,
            tpu_memory=tpu_memory,
            no_spill=no_spill,
            limits=limits,
            as_json=as_json,
        )
        return
    if output is not None:
        _check_writable(output)
    loaded, costs = load_model_or_profile(model, device, tpu_memory)
    if output is not None and loaded is None:
        raise UsageError(
            f"{model} is a profile: without the model, -o has no segments to cut",
            f"leave out -o, or give the model: segsolve solve MODEL.tflite --device {model} -o {output}",
        )
    problem = costs.problem(tpus=tpus, no_spill=no_spill)
    with progress(f"solving {problem.name}") as observe:
        result = solve(problem, planner=planner, limits=limits, observe=observe)
    _show(problem, result, costs.device.name, as_json=as_json)
    if result.plan is None:
        raise no_plan(problem, result)
    if output is not None and loaded is not None:
        write_and_verify(output, loaded, costs.device, problem, result, verify=verify)
    if result.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _only_for_models(device: str, output: Path | None) -> None:
    """Raise a UsageError if an option is given that makes no sense for a graph."""
    if device != DEFAULT_DEVICE:
        raise UsageError("a graph has its costs in it", "leave out --device")
    if output is not None:
        raise UsageError("a graph has no segments to cut", "leave out -o; --json prints the plan as a document")


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


def write_and_verify(
    output: Path, loaded: LoadedModel, device: DeviceFacts, problem: Problem, result: SolveResult, *, verify: bool
) -> None:
    """Write a plan's folder, and prove its segments equal to the whole model."""
    from segsolve.build import write_plan
    from segsolve.report.units import count
    from segsolve.segments.verify import verify as verify_segments

    folder = write_plan(output, loaded=loaded, device=device, problem=problem, result=result)
    news(f"wrote {output / 'plan.json'} and {count(len(set(folder.segment_paths())), 'segment')}")
    if verify:
        with progress("comparing the segments with the whole model"):
            done = verify_segments(folder, loaded)
        news(
            f"verified: {count(done.output_tensors, 'output')} and {count(done.crossing_tensors, 'crossing tensor')} "
            f"of the segments are identical to the whole model's on {count(done.inputs, 'random input')}"
        )
