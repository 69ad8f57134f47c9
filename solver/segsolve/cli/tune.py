"""``segsolve tune``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.guard import guarded, say_error
from segsolve.cli.measuring import (
    DEFAULT_BACKEND,
    DEFAULT_RUNS,
    DEFAULT_WARM_UP,
    BackendName,
    Runs,
    WarmUp,
    check_effort,
)
from segsolve.cli.no_plan import ON_CHIP, impossible
from segsolve.cli.options import Json, Model, NoSpill, Seed, Signature, Tpus, check_search
from segsolve.cli.solve import write_and_verify
from segsolve.errors import ExitCode
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.measure.operations import Effort
    from segsolve.measure.run import Measured
    from segsolve.problem import Problem
    from segsolve.tune import Tuning


@guarded
def command(
    model: Model,
    tpus: Tpus,
    backend: BackendName = DEFAULT_BACKEND,
    start: Annotated[
        Path | None, typer.Option("--profile", help="Profile to begin with; measured first if there is none.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for plan.json and the segment files.")
    ] = None,
    profile_out: Annotated[
        Path | None, typer.Option("--profile-out", help="File for the profile with all that was measured.")
    ] = None,
    no_spill: NoSpill = False,
    iterations: Annotated[int, typer.Option(help="Rounds after which the best plan so far is kept.")] = 50,
    tolerance: Annotated[
        float, typer.Option(help="Share by which a stage may be faster than predicted and not be missed.")
    ] = 0.05,
    runs: Runs = DEFAULT_RUNS,
    warm_up: WarmUp = DEFAULT_WARM_UP,
    seed: Seed = 0,
    signature: Signature = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove the written segments equal to the whole model.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Solve, measure the stages, solve again until the plan stands."""
    from segsolve.graph.read import read_model
    from segsolve.plan.folder import check_writable
    from segsolve.profile.measured import MeasuredCosts
    from segsolve.search.single import as_answer

    check_search(tpus, None, 1, seed)
    effort = check_effort(backend, runs, warm_up, seed)
    within("--iterations", iterations, 1)
    within("--tolerance", tolerance, 0, 0.5)
    if output is not None:
        check_writable(output)
    loaded = read_model(model, signature)
    begin = time.perf_counter()
    with progress(f"measuring the operations of {loaded.graph.name} on {backend}"):
        measured = _begin(loaded, start, effort, seed)
    costs = MeasuredCosts(profile=measured.profile, graph=loaded.graph)
    tuning = _tune(costs.problem(tpus=tpus, no_spill=no_spill), measured, tolerance, iterations)
    _show(tuning, costs.device.name, as_json=as_json)
    if profile_out is not None:
        _write_profile(profile_out, measured, tuning, effort, seed)
    if tuning.plan is not None and output is not None:
        answer = as_answer(tuning.problem, tuning.result(time.perf_counter() - begin))
        write_and_verify(output, loaded, costs.device, tuning.problem, answer, verify=verify)
    _end(tuning)


def _tune(problem: Problem, measured: Measured, tolerance: float, iterations: int) -> Tuning:
    from segsolve.report.tune import round_line
    from segsolve.tune import Tolerance, tune

    with progress(f"tuning {problem.name}"):
        return tune(
            problem,
            measured.meter,
            tolerance=Tolerance(stage=tolerance),
            most_iterations=iterations,
            observe=lambda iteration: news(round_line(iteration)),
        )


def _show(tuning: Tuning, device: str, *, as_json: bool) -> None:
    from segsolve.report.tune import tune_document, tune_table

    if as_json:
        show_json(tune_document(tuning))
    else:
        show(tune_table(tuning, device))


def _write_profile(path: Path, measured: Measured, tuning: Tuning, effort: Effort, seed: int) -> None:
    from segsolve.measure.run import tuned_profile
    from segsolve.profile.format import profile_json
    from segsolve.report.write import write_text

    tuned = tuned_profile(measured.profile, tuning, measured.meter, effort=effort, seed=seed)
    write_text(path, profile_json(tuned))
    news(f"wrote {path}")


def _end(tuning: Tuning) -> None:
    """Exit as README documents if there is no plan, or if more was to come."""
    from segsolve.report.units import count
    from segsolve.tune import Stop

    if tuning.stopped_by is Stop.INTERRUPTED:
        say_error(f"interrupted after {count(tuning.measurements, 'measured stage')}")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if tuning.plan is None:
        raise impossible(count(tuning.problem.tpus, "TPU"), ON_CHIP)


def _begin(loaded: LoadedModel, start: Path | None, effort: Effort, seed: int) -> Measured:
    from segsolve.measure.run import Measured, measure_model, meter_of
    from segsolve.profile.load import load_profile
    from segsolve.profile.measured import check_profile_of

    if start is None:
        return measure_model(loaded, effort=effort, seed=seed)
    profile = load_profile(start)
    check_profile_of(profile, loaded.graph, start)
    return Measured(profile=profile, meter=meter_of(loaded, effort=effort, seed=seed))
