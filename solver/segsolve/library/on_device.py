"""An Edge TPU of this machine on which the segments of a model are compiled and measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.library.costs import Tell

if TYPE_CHECKING:
    from segsolve.compiler.build import CompiledStages
    from segsolve.compiler.meter import DeviceMeter
    from segsolve.graph.read import LoadedModel
    from segsolve.measure.operations import Effort
    from segsolve.problem import Problem
    from segsolve.profile.format import Environment, Profile
    from segsolve.profile.source import CostSource
    from segsolve_runtime.measure.bundle import SegmentTimes
    from segsolve_runtime.measure.stopwatch import Bench


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How to measure on Edge TPUs, as the user says it; `costs` are a description or a profile."""

    costs: str | None
    devices: str | None
    compiler: Path | None
    jobs: int | None
    cache: bool
    effort: Effort
    seed: int

    def open_compiler(self) -> CompiledStages:
        """Return what compiles segments (CompilerError if the compiler is missing)."""
        from segsolve.compiler.build import CompiledStages
        from segsolve.compiler.run import cache_folder, find_compiler

        cache = cache_folder() if self.cache else None
        return CompiledStages(compiler=find_compiler(self.compiler, jobs=self.jobs, cache=cache))


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDevice:
    """An Edge TPU that is open to measure the segments of a model, with the costs that this corrects."""

    loaded: LoadedModel
    source: CostSource
    bench: Bench
    stages: CompiledStages
    meter: DeviceMeter
    options: DeviceOptions

    @property
    def effort(self) -> tuple[str, str]:
        """How many segments were compiled and measured so far, in words."""
        from segsolve.report.units import count

        return count(len(self.stages.compiler.compiled), "compilation"), count(len(self.meter.measured), "measurement")

    def profile(self, tpus: int) -> Profile:
        """Return what was measured as a profile."""
        from segsolve.measure.run_profile import profile_of_stages

        graph, name = self.loaded.graph, f"{self.source.device.name} measured"
        return profile_of_stages(graph, self.source.problem(tpus=tpus), name, self.meter.measured, self._environment())

    def _environment(self) -> Environment:
        """Return what a profile says of the machine and the measurement."""
        from datetime import UTC, datetime
        from importlib.metadata import version
        from platform import python_version, release, system

        from segsolve.profile.format import Environment

        assert self.bench.library is not None
        return Environment(
            machine=self.bench.name,
            system=f"{system()} {release()}",
            date=datetime.now(UTC).date().isoformat(),
            backend="edgetpu",
            clock="wall, median",
            runs=self.options.effort.runs,
            warm_up=self.options.effort.warm_up,
            seed=self.options.seed,
            versions={
                "libedgetpu": self.bench.library.version,
                "edgetpu_compiler": self.stages.compiler.version,
                "segsolve": version("segsolve"),
                "python": python_version(),
            },
        )


def open_device(loaded: LoadedModel, options: DeviceOptions, say: Tell) -> OnDevice:
    """Open the Edge TPU, the compiler and a meter; `say` hears what it measures.

    Raises:
        HardwareError: the Edge TPU is not there, or libedgetpu is not.
        CompilerError: the compiler is missing.
        DeviceError: the costs are not known.
    """
    from segsolve.compiler.meter import DeviceMeter
    from segsolve.device.guess import fitting
    from segsolve.profile.load import device_costs
    from segsolve.report.units import ms
    from segsolve_runtime.backends.edgetpu.choose import parse_devices
    from segsolve_runtime.measure.stopwatch import Effort as Runs
    from segsolve_runtime.measure.stopwatch import open_bench

    def tell(stage: tuple[int, int], times: SegmentTimes) -> None:
        spread = ms(times.upper_ns - times.lower_ns)
        say(f"measured on {times.device}: operations {stage[0]}-{stage[1] - 1}, {ms(times.median_ns)} ms, +-{spread}")

    names = parse_devices(options.devices) if options.devices is not None else ()
    bench = open_bench("edgetpu", names[0] if names else None)
    assert bench.device is not None and bench.library is not None
    source = device_costs(options.costs or fitting(bench.device.kind))(loaded.graph)
    stages, effort = options.open_compiler(), options.effort
    runs = Runs(runs=effort.runs, warm_up=effort.warm_up, seed=options.seed)
    meter = DeviceMeter(loaded=loaded, stages=stages, bench=bench, effort=runs, tell=tell)
    return OnDevice(loaded=loaded, source=source, bench=bench, stages=stages, meter=meter, options=options)


def default_ranges(problem: Problem) -> tuple[tuple[int, int], ...]:
    """Return what is worth measuring first: the stages of the best layout and of the vendor's cut, and the whole.

    Stages on the host's CPU are left out.
    """
    from segsolve.plan.model import Processor
    from segsolve.question import Cuts, Question
    from segsolve.search.ask import answer
    from segsolve.search.baselines import compiler as vendor

    found = answer(problem, Question(cuts=Cuts.CHAIN), planner="dp").plan
    best = [s for p in found.pipelines for s in p.stages if s.processor is Processor.EDGETPU] if found else []
    ranges = [(s.ops[0], s.ops[-1] + 1) for s in best]
    return tuple(dict.fromkeys((*ranges, *pairwise((0, *vendor.segment(problem), len(problem.ops))))))
