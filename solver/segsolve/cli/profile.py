"""``segsolve profile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from segsolve.cli.on_device import Cache, CompilerPath, DeviceCosts, Devices, Jobs, check_alone
from segsolve.cli.options import Json, Model, Seed, Signature
from segsolve.errors import CompilerError, UsageError, writing_to
from segsolve.library.on_device import DeviceOptions, default_ranges, open_device
from segsolve.values import MOST_TPUS, within

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.measure.operations import Effort
    from segsolve.profile.format import Profile
    from segsolve.profile.source import CostSource

    Ranges = tuple[tuple[int, int], ...]


@guarded
def command(
    model: Model,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, e.g. profile.json.")] = None,
    backend: BackendName = DEFAULT_BACKEND,
    runs: Runs = DEFAULT_RUNS,
    warm_up: WarmUp = DEFAULT_WARM_UP,
    segments: Annotated[
        str, typer.Option(help="Ranges of operations to measure as a whole too, e.g. 0-21,22-65.")
    ] = "",
    tpus: Annotated[
        int,
        typer.Option("--tpus", help="On edgetpu: measure the stages of the best plan and the vendor's for so many."),
    ] = 4,
    device: DeviceCosts = None,
    devices: Devices = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the segments to a folder, to be measured elsewhere.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option("--import", help="Read what segsolve-run measured of such a folder.")
    ] = None,
    compiler: CompilerPath = None,
    jobs: Jobs = None,
    cache: Cache = True,
    seed: Seed = 0,
    signature: Signature = None,
    as_json: Json = False,
) -> None:
    """Measure a model here or on an Edge TPU, for --device."""
    from segsolve.graph.read import read_model

    effort = check_effort(backend, runs, warm_up, seed)
    ranges = parse_ranges("--segments", segments)
    within("--tpus", tpus, 1, MOST_TPUS)
    if export is not None and bundle is not None:
        raise UsageError("--export and --import are two steps", "give one of them")
    if (output is None) == (export is None):
        raise UsageError("a profile is written with --output, a bundle with --export", "give one of them")
    elsewhere = export is not None or bundle is not None
    for option, value in (("--device", device), ("--devices", devices), ("--compiler", compiler)):
        check_alone(option, value, "edgetpu" if elsewhere else backend)
    loaded = read_model(model, signature)
    options = DeviceOptions(
        costs=device, devices=devices, compiler=compiler, jobs=jobs, cache=cache, effort=effort, seed=seed
    )
    if export is not None:
        _export(export, loaded, ranges, tpus, options)
        return
    assert output is not None
    if bundle is not None:
        profile = _imported(bundle, loaded, device)
    elif backend == "edgetpu":
        profile = _on_device(loaded, ranges, tpus, options)
    else:
        profile = _on_cpu(loaded, ranges, effort, seed)
    _write(output, profile, as_json=as_json)


def _write(output: Path, profile: Profile, *, as_json: bool) -> None:
    from segsolve.profile.format import profile_json
    from segsolve.report.profile import profile_document, profile_table, segments_table
    from segsolve.report.write import write_text

    write_text(output, profile_json(profile))
    is_cpu = profile.environment is not None and profile.environment.backend == "litert"
    if as_json:
        show_json(profile_document(profile))
    else:
        show(profile_table(profile) if is_cpu else segments_table(profile))
    news(f"wrote {output}")


def _on_cpu(loaded: LoadedModel, ranges: Ranges, effort: Effort, seed: int) -> Profile:
    from segsolve.measure.run import measure_model

    with progress(f"measuring {loaded.graph.name} on litert"):
        return measure_model(loaded, ranges=ranges, effort=effort, seed=seed).profile


def _on_device(loaded: LoadedModel, ranges: Ranges, tpus: int, options: DeviceOptions) -> Profile:
    from segsolve.report.units import count

    opened = open_device(loaded, options, news)
    wanted = _wanted(loaded, ranges, opened.source, tpus)
    with progress(f"compiling {count(len(wanted), 'segment')} of {loaded.graph.name}"):
        opened.stages.compile_ops(loaded, [tuple(range(*stage)) for stage in wanted])
    with progress(f"measuring {count(len(wanted), 'segment')} on {opened.bench.name}"):
        for stage in wanted:
            opened.meter(*stage)
    news(", ".join(opened.effort))
    return opened.profile(tpus)


def _wanted(loaded: LoadedModel, ranges: Ranges, source: CostSource, tpus: int) -> Ranges:
    """Return the ranges to measure: those that were given, or those that are worth it."""
    from segsolve.measure.run import check_range

    wanted = ranges or default_ranges(source.problem(tpus=tpus))
    for stage in wanted:
        check_range(loaded, *stage)
    return wanted


def _export(folder: Path, loaded: LoadedModel, ranges: Ranges, tpus: int, options: DeviceOptions) -> None:
    """Write a bundle; where the compiler is not installed, without compiled files, and say so."""
    from segsolve.compiler.meter import write_bundle
    from segsolve.profile.load import device_costs
    from segsolve.report.units import count
    from segsolve_runtime.measure.stopwatch import Effort as OnDevice

    name, effort = options.costs or "edgetpu-usb", options.effort
    wanted = _wanted(loaded, ranges, device_costs(name)(loaded.graph), tpus)
    made = None
    try:
        stages = options.open_compiler()
    except CompilerError as error:
        if options.compiler is not None:
            raise
        news(f"warning: {error}; the bundle has no compiled files and can only be measured on a CPU")
    else:
        with progress(f"compiling {count(len(wanted), 'segment')} of {loaded.graph.name}"):
            made = stages.compile_ops(loaded, [tuple(range(*stage)) for stage in wanted])
    with writing_to(folder, "choose another folder with --export"):
        effort_there = OnDevice(runs=effort.runs, warm_up=effort.warm_up, seed=options.seed)
        write_bundle(folder, loaded, wanted, made, name, effort_there)
    news(f"wrote {count(len(wanted), 'segment')} to {folder}; take it to the device: segsolve-run measure {folder}")


def _imported(folder: Path, loaded: LoadedModel, device: str | None) -> Profile:
    from segsolve.compiler.meter import times_of
    from segsolve.measure.run_profile import profile_of_stages
    from segsolve.profile.format import Environment
    from segsolve.profile.load import device_costs
    from segsolve_runtime.measure.bundle import load_bundle, load_times

    bundle, times = load_bundle(folder), load_times(folder)
    found = times_of(loaded, bundle, times)
    if not found:
        raise UsageError(f"{folder} holds no time of its segments", f"measure it: segsolve-run measure {folder}")
    name = device or bundle.device
    problem = device_costs(name)(loaded.graph).problem(tpus=1)
    environment = Environment(
        machine=times.machine,
        system=times.system,
        date=times.date,
        backend=times.backend,
        clock="wall, median",
        runs=bundle.runs,
        warm_up=bundle.warm_up,
        seed=bundle.seed,
        versions={"libedgetpu": times.library},
    )
    return profile_of_stages(loaded.graph, problem, f"{name} measured", found, environment)
