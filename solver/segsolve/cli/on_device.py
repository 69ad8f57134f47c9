"""What ``profile`` and ``tune`` share where they measure on Edge TPUs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.compiler.build import CompiledStages
    from segsolve.compiler.meter import DeviceMeter
    from segsolve.graph.read import LoadedModel
    from segsolve.measure.operations import Effort
    from segsolve.problem import Problem
    from segsolve.profile.format import Environment
    from segsolve_runtime.measure.bundle import SegmentTimes
    from segsolve_runtime.measure.stopwatch import Bench

DeviceCosts = Annotated[
    str | None,
    typer.Option("--device", help="On edgetpu: description or profile of the device, whose costs are corrected."),
]
Devices = Annotated[
    str | None, typer.Option("--devices", help="On edgetpu: the Edge TPU to measure on, e.g. usb:0; else the first.")
]
CompilerPath = Annotated[
    Path | None, typer.Option("--compiler", help="The vendor's compiler if it is not on the path.")
]
Jobs = Annotated[int | None, typer.Option("--jobs", help="Segments compiled at a time; one per processor core.")]
Cache = Annotated[
    bool, typer.Option("--cache/--no-cache", help="Keep compiled segments in the user's cache, by content.")
]
DEFAULT_DEVICES = {"usb": "edgetpu-usb", "pci": "edgetpu-pcie"}


def open_bench_of(devices: str | None) -> Bench:
    """Return the Edge TPU to measure on.

    Raises:
        HardwareError: it is not there, or libedgetpu is not.
    """
    from segsolve_runtime.backends.edgetpu.choose import parse_devices
    from segsolve_runtime.measure.stopwatch import open_bench

    names = parse_devices(devices) if devices is not None else ()
    return open_bench("edgetpu", names[0] if names else None)


def open_compiler(compiler: Path | None, jobs: int | None, *, cache: bool) -> CompiledStages:
    """Return what compiles segments (CompilerError if the compiler is missing)."""
    from segsolve.compiler.build import CompiledStages
    from segsolve.compiler.run import cache_folder, find_compiler

    return CompiledStages(compiler=find_compiler(compiler, jobs=jobs, cache=cache_folder() if cache else None))


def open_meter(loaded: LoadedModel, stages: CompiledStages, bench: Bench, effort: Effort, seed: int) -> DeviceMeter:
    """Return the meter of a model on an Edge TPU, which says what it measures."""
    from segsolve.compiler.meter import DeviceMeter
    from segsolve.report.units import ms
    from segsolve_runtime.measure.stopwatch import Effort as Runs

    def tell(stage: tuple[int, int], times: SegmentTimes) -> None:
        spread = ms(times.upper_ns - times.lower_ns)
        news(f"measured on {times.device}: operations {stage[0]}-{stage[1] - 1}, {ms(times.median_ns)} ms, +-{spread}")

    return DeviceMeter(
        loaded=loaded,
        stages=stages,
        bench=bench,
        effort=Runs(runs=effort.runs, warm_up=effort.warm_up, seed=seed),
        tell=tell,
    )


def environment_of(bench_name: str, library: str, compiler: str, effort: Effort, seed: int) -> Environment:
    """Return what a profile says of the machine and the measurement on an Edge TPU."""
    from datetime import UTC, datetime
    from importlib.metadata import version
    from platform import python_version, release, system

    from segsolve.profile.format import Environment

    return Environment(
        machine=bench_name,
        system=f"{system()} {release()}",
        date=datetime.now(UTC).date().isoformat(),
        backend="edgetpu",
        clock="wall, median",
        runs=effort.runs,
        warm_up=effort.warm_up,
        seed=seed,
        versions={
            "libedgetpu": library,
            "edgetpu_compiler": compiler,
            "segsolve": version("segsolve"),
            "python": python_version(),
        },
    )


def default_ranges(problem: Problem) -> tuple[tuple[int, int], ...]:
    """Return what is worth measuring first: the stages of the best layout and of the vendor's cut, and the whole.

    Stages on the host's CPU are left out.
    """
    from itertools import pairwise

    from segsolve.plan.model import Processor
    from segsolve.question import Cuts, Question
    from segsolve.search.ask import answer
    from segsolve.search.baselines import compiler as vendor

    found = answer(problem, Question(cuts=Cuts.CHAIN), planner="dp").plan
    best = [s for p in found.pipelines for s in p.stages if s.processor is Processor.EDGETPU] if found else []
    ranges = [(s.ops[0], s.ops[-1] + 1) for s in best]
    return tuple(dict.fromkeys((*ranges, *pairwise((0, *vendor.segment(problem), len(problem.ops))))))


def check_alone(option: str, value: object, backend: str) -> None:
    """Raise a UsageError if an option for Edge TPUs is given with another backend."""
    if value is not None and backend != "edgetpu":
        raise UsageError(f"{option} says nothing on {backend}", "add --backend edgetpu")
