"""``segsolve tune``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.asking import with_constraints
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
from segsolve.cli.on_device import Cache, CompilerPath, DeviceCosts, Devices, Jobs, check_alone
from segsolve.cli.options import (
    HostCores,
    Json,
    Models,
    NoSpill,
    Optimistic,
    Seed,
    Signature,
    TpuMemory,
    search_limits,
)
from segsolve.cli.pool import HostOf, PoolOptions, PoolText, RateTexts, SharingText, WeightText
from segsolve.cli.pool_tune import MOST_ROUNDS, PoolMeter, tune_pool
from segsolve.cli.written import write_and_verify
from segsolve.errors import ExitCode, UsageError
from segsolve.library.answer import Answer
from segsolve.library.of_pools import (
    pool_or_error,
    refuse_constraints,
    refuse_for_pools,
    refuse_in_questions,
    refuse_without_pool,
)
from segsolve.library.on_device import DeviceOptions, open_device
from segsolve.question import Layout, Objective
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.measure.operations import Effort
    from segsolve.measure.run import Measured
    from segsolve.problem import Problem
    from segsolve.profile.format import Profile
    from segsolve.profile.source import DeviceFacts
    from segsolve.tune import Measure, Prepare, Tuning


@guarded
@with_constraints
def command(
    models: Models,
    tpus: Annotated[
        int | None, typer.Option("--tpus", help="Number of Edge TPUs, one stage each at most; needed without a --pool.")
    ] = None,
    backend: BackendName = DEFAULT_BACKEND,
    start: Annotated[
        Path | None, typer.Option("--profile", help="Profile to begin with; measured first if there is none.")
    ] = None,
    device: DeviceCosts = None,
    devices: Devices = None,
    layout: Annotated[
        Layout | None, typer.Option(help="What plans may be: by itself any on edgetpu, one pipeline on litert.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for plan.json and the segment files.")
    ] = None,
    profile_out: Annotated[
        Path | None, typer.Option("--profile-out", help="File for the profile with all that was measured.")
    ] = None,
    no_spill: NoSpill = False,
    objective: Annotated[
        Objective | None, typer.Option(help="Of a pool: what the plan is best at, throughput by itself.")
    ] = None,
    constraints: Mapping[str, Any] = MappingProxyType({}),
    tpu_memory: TpuMemory = None,
    host_cores: HostCores = None,
    optimistic: Optimistic = False,
    iterations: Annotated[int, typer.Option(help="Rounds after which the best plan so far is kept.")] = 50,
    tolerance: Annotated[
        float, typer.Option(help="Share by which a stage may be faster than predicted and not be missed.")
    ] = 0.05,
    runs: Runs = DEFAULT_RUNS,
    warm_up: WarmUp = DEFAULT_WARM_UP,
    compiler: CompilerPath = None,
    jobs: Jobs = None,
    cache: Cache = True,
    seed: Seed = 0,
    signature: Signature = None,
    pool: PoolText = None,
    rate: RateTexts = None,
    weights: WeightText = None,
    sharing: SharingText = "auto",
    host_of: HostOf = None,
    periods: Annotated[int, typer.Option(help="Of a pool: periods of each plan that are run.")] = 30,
    time_limit: Annotated[
        float,
        typer.Option("--time-limit", help="Of a pool: seconds to look for each plan."),
    ] = 20.0,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove the written segments equal to the whole model.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Solve, measure the stages, solve again until the plan stands.

    Of a pool, whole plans are run: their stages' times are the costs of each model on each kind.
    """
    from segsolve.graph.read import read_model
    from segsolve.plan.folder import check_writable

    limits = search_limits(tpus, time_limit, 1, seed)
    effort = check_effort(backend, runs, warm_up, seed)
    if pool is not None or len(models) > 1 or rate or weights:
        hint = "profiles of a pool's models are named with its kinds: --pool edgetpu-m2+a.json:2"
        refuse_for_pools("with --pool", hint, profile=start, layout=layout)
        refuse_in_questions(signature=signature)
        within("--periods", periods, 1)
        within("--iterations", iterations, 1)
        asked = PoolOptions(
            models=models,
            pool=pool_or_error(pool, models, rate),
            rates=rate or (),
            weights=weights,
            limits=limits,
            more={
                "objective": (objective or Objective.THROUGHPUT).value,
                "sharing": sharing,
                "tpu_memory": tpu_memory,
                "host_cores": host_cores,
                "host_of": host_of,
                "optimistic": optimistic,
                "no_spill": no_spill,
                **constraints,
            },
        )
        tune_pool(
            asked,
            PoolMeter(backend, devices, compiler, jobs, periods, seed),
            rounds=min(iterations, MOST_ROUNDS),
            output=output,
            profiles=profile_out,
            verify=verify,
            as_json=as_json,
        )
        return
    if tpus is None:
        raise UsageError("missing option '--tpus'", "give the number of Edge TPUs, e.g. --tpus 4, or a --pool")
    refuse_without_pool(
        host_of=host_of,
        objective=objective,
        tpu_memory=tpu_memory,
        host_cores=host_cores,
        optimistic=optimistic or None,
    )
    refuse_constraints(constraints, "with the profile of --profile-out, one model takes it in segsolve solve")
    model = models[0]
    within("--iterations", iterations, 1)
    within("--tolerance", tolerance, 0, 0.5)
    for option, value in (("--device", device), ("--devices", devices), ("--compiler", compiler)):
        check_alone(option, value, backend)
    if output is not None:
        check_writable(output)
    loaded = read_model(model, signature)
    begin = time.perf_counter()
    if backend == "edgetpu":
        costs = str(start) if start is not None else device
        options = DeviceOptions(
            costs=costs, devices=devices, compiler=compiler, jobs=jobs, cache=cache, effort=effort, seed=seed
        )
        ground = _on_device(loaded, options)
    else:
        ground = _on_cpu(loaded, start, effort, seed)
    wanted = layout or (Layout.ANY if backend == "edgetpu" else Layout.PIPELINE)
    tuning = _tune(ground.problem(tpus, no_spill), ground, wanted, tolerance, iterations)
    _show(tuning, ground.device.name, as_json=as_json)
    if said := ground.effort(tuning):
        news(said)
    if profile_out is not None:
        _write_profile(profile_out, ground.profile(tuning))
    if tuning.plan is not None and output is not None:
        found = tuning.answer(time.perf_counter() - begin)
        answer = Answer(found=found, problem=tuning.problem, device=ground.device, model=loaded)
        write_and_verify(answer, output, verify=verify)
    _end(tuning)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What is tuned on: the costs to begin with, a meter, and what becomes of its figures."""

    device: DeviceFacts
    problem: Callable[[int, bool], Problem]
    measure: Measure
    prepare: Prepare
    profile: Callable[[Tuning], Profile]
    effort: Callable[[Tuning], str]


def _on_cpu(loaded: LoadedModel, start: Path | None, effort: Effort, seed: int) -> _Ground:
    from segsolve.measure.run import tuned_profile
    from segsolve.profile.measured import MeasuredCosts

    with progress(f"measuring the operations of {loaded.graph.name} on litert"):
        measured = _begin(loaded, start, effort, seed)
    costs = MeasuredCosts(profile=measured.profile, graph=loaded.graph)
    return _Ground(
        device=costs.device,
        problem=lambda tpus, no_spill: costs.problem(tpus=tpus, no_spill=no_spill),
        measure=measured.meter,
        prepare=lambda ranges: None,
        profile=lambda tuning: tuned_profile(measured.profile, tuning, measured.meter, effort=effort, seed=seed),
        effort=lambda tuning: "",
    )


def _on_device(loaded: LoadedModel, options: DeviceOptions) -> _Ground:
    from segsolve.profile.measured import MeasuredCosts
    from segsolve.search.baselines.profiled import needed

    opened = open_device(loaded, options, news)
    source, stages = opened.source, opened.stages

    def said(tuning: Tuning) -> str:
        kept = len(stages.known) - len(stages.compiler.compiled)
        again = f" ({kept} more were kept from before)" if kept else ""
        compiled, measured = opened.effort
        tpus = tuning.problem.tpus
        known = MeasuredCosts(profile=opened.profile(tpus), graph=loaded.graph).problem(tpus=tpus)
        return (
            f"{compiled}{again}, {measured} on {opened.bench.name}; by these costs the vendor's profiling partitioner "
            f"compiles and measures at least {len(needed(known))} segments for its one pipeline"
        )

    return _Ground(
        device=source.device,
        problem=lambda tpus, no_spill: source.problem(tpus=tpus, no_spill=no_spill),
        measure=opened.meter,
        prepare=opened.meter.prepare,
        profile=lambda tuning: opened.profile(tuning.problem.tpus),
        effort=said,
    )


def _tune(problem: Problem, ground: _Ground, layout: Layout, tolerance: float, iterations: int) -> Tuning:
    from segsolve.report.tune import round_line
    from segsolve.tune import Tolerance, tune

    with progress(f"tuning {problem.name}"):
        return tune(
            problem,
            ground.measure,
            layout=layout,
            tolerance=Tolerance(stage=tolerance),
            most_iterations=iterations,
            prepare=ground.prepare,
            observe=lambda iteration: news(round_line(iteration)),
        )


def _show(tuning: Tuning, device: str, *, as_json: bool) -> None:
    from segsolve.report.tune import tune_document, tune_table

    if as_json:
        show_json(tune_document(tuning))
    else:
        show(tune_table(tuning, device))


def _write_profile(path: Path, profile: Profile) -> None:
    from segsolve.profile.format import profile_json
    from segsolve.report.write import write_text

    write_text(path, profile_json(profile))
    news(f"wrote {path}")


def _end(tuning: Tuning) -> None:
    """Exit as README documents if there is no plan, or if more was to come."""
    from segsolve.refine import End
    from segsolve.report.units import count

    if tuning.stopped_by is End.INTERRUPTED:
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
