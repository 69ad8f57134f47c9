"""Runs a plan for ``segsolve run``: through the pipeline, and on with another plan where devices were lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from segsolve.cli.console import news
from segsolve.cli.traffic import Traffic
from segsolve.errors import UsageError
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.graph.read import LoadedModel
    from segsolve_runtime.contract.arrays import Array
    from segsolve_runtime.contract.places import Place
    from segsolve_runtime.contract.plan import Plan, PlanFolder
    from segsolve_runtime.flow.faults import FaultPolicy
    from segsolve_runtime.flow.metrics import Metrics
    from segsolve_runtime.observe.began import Began
    from segsolve_runtime.observe.exporter import Observed
    from segsolve_runtime.observe.heat import Heat, HeatSample
    from segsolve_runtime.pipeline import Pipeline

REJOIN_S = 60.0
"""How long a run waits for a device to come back where it cannot go on without one."""
ON_FAULT = ("stop", "skip", "retry", "replan")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of ``run`` about the pipeline, as the user gave them."""

    plan: Path
    backend: str
    threads: int
    devices: tuple[str, ...]
    isolate: str
    queue_size: int
    on_fault: str
    rejoin: bool
    stage_timeout_s: float | None
    model: Path | None
    device: str | None
    metrics_port: int | None
    metrics_address: str
    recorded: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A pipeline that is ready, and how it began."""

    pipeline: Pipeline
    began: Began


@dataclass(frozen=True, slots=True)
class Leg:
    """What was run on one plan; a new one begins where devices were lost."""

    folder: PlanFolder
    metrics: Metrics
    finished: bool
    heat: Mapping[Place, Heat] = field(default_factory=dict)
    """Of the devices that tell it, at the end."""
    began: Began | None = None
    outage_s: float | None = None
    """How long nothing ran before it, since a device was lost."""
    temperatures: Sequence[HeatSample] = ()
    """In the course of it, if its timeline was recorded."""

    @property
    def plan(self) -> Plan:
        """The plan of this leg."""
        return self.folder.plan


def check_running(options: RunOptions) -> None:
    """Raise a UsageError if the options make no sense, before a plan is loaded."""
    from segsolve_runtime.backends import Isolation

    if options.on_fault not in ON_FAULT:
        raise UsageError(f"--on-fault is {options.on_fault!r}", f"known: {', '.join(ON_FAULT)}")
    if options.isolate not in get_args(Isolation):
        raise UsageError(f"--isolate is {options.isolate!r}", f"known: {', '.join(get_args(Isolation))}")
    if options.rejoin and options.on_fault == "replan":
        raise UsageError("--rejoin waits for devices that replan goes on without", "choose one of them")
    if options.stage_timeout_s is not None and not 0 < options.stage_timeout_s < 1e6:
        raise UsageError(f"--stage-timeout is {options.stage_timeout_s:g}", "give a positive number of seconds")
    if options.metrics_port is not None:
        within("--metrics-port", options.metrics_port, 1, 65_535)


def run_legs(options: RunOptions, flow_of: Traffic, first: Opened, folder: PlanFolder) -> tuple[Leg, ...]:
    """Run all frames, on the opened pipeline `first` and on further plans where devices are lost; close them all.

    Raises:
        DevicesLeftError: no device is left.
        UsageError, DeviceError, ModelError: another plan is needed, and what it is made from is not known.
    """
    from segsolve.cli.replan import compiled
    from segsolve_runtime.errors import DevicesLeftError
    from segsolve_runtime.observe.heat import HeatLog, heat_of

    legs: list[Leg] = []
    outage_s: float | None = None
    frames: Iterator[Mapping[str, Array]] = flow_of.frames
    with ExitStack() as stack:
        began, pipeline = first.began, stack.enter_context(first.pipeline)
        loaded, tool = _model(options, folder), compiler_of(options)
        while True:
            try:
                with HeatLog(pipeline.devices if options.recorded else {}) as log:
                    finished = _run_through(pipeline, frames, flow_of, options, began)
                found = {place: heat_of(device) for place, device in pipeline.devices.items()}
                heat = {place: one for place, one in found.items() if one is not None}
                metrics = pipeline.metrics()
                last = Leg(folder, metrics, finished=finished, heat=heat, began=began, outage_s=outage_s)
                legs.append(replace(last, temperatures=tuple(log.samples)))
                return tuple(legs)
            except DevicesLeftError as error:
                if loaded is None:
                    raise
                legs.append(Leg(folder, pipeline.metrics(), finished=False, began=began, outage_s=outage_s))
                into = Path(stack.enter_context(TemporaryDirectory())) / "plan"
                lost = perf_counter()
                pipeline.close()  # the devices that are left must be free for the next one
                folder, options = _replanned(options, folder, loaded, error, into, pipeline.devices)
                solved = perf_counter()
                folder = folder if tool is None else compiled(folder, tool)
                made = perf_counter()
                say_first_result(folder.plan, options.backend)
                opened = open_pipeline(options, folder)
                began, pipeline = opened.began, stack.enter_context(opened.pipeline)
                outage_s = perf_counter() - lost
                parts = f"{solved - lost:.1f} to solve and cut, {made - solved:.1f} to compile" if tool else ""
                parts = parts or f"{solved - lost:.1f} to solve and cut"
                news(f"the outage took {outage_s:.1f} s: {parts}, {began.ready_s:.1f} to open and warm up")
                frames = chain(error.undone.values(), frames)


def open_pipeline(options: RunOptions, folder: PlanFolder) -> Opened:
    """Open a plan as the options say, and warm it up; on devices, say how long that took."""
    from segsolve_runtime.observe.began import Began
    from segsolve_runtime.pipeline import Pipeline

    began = perf_counter()
    pipeline = Pipeline.load(folder, **opening(options))
    opened = perf_counter()
    if options.backend != "simulated":
        pipeline.warm_up()
    found = Began(since=began, open_s=opened - began, warm_up_s=perf_counter() - opened)
    if options.backend != "simulated" and pipeline.devices:
        parts = f"{found.open_s:.1f} to open, {found.warm_up_s:.1f} to run each once"
        news(f"ready after {found.ready_s:.1f} s: {parts}")
    return Opened(pipeline, found)


def say_first_result(plan: Plan, backend: str) -> None:
    """Say before a plan is opened on devices how long its first result is predicted to take."""
    from segsolve.report.start import seconds
    from segsolve_runtime.contract.start import first_result

    found = first_result(plan)
    if found is not None and backend == "edgetpu":
        news(f"opening the devices: the first result is predicted after {seconds(found.total_ns)}")


def opening(options: RunOptions) -> dict[str, Any]:
    """Return how a plan is opened, as `Pipeline.load` and `Pool.load` take it."""
    return {
        "backend": options.backend,
        "threads": options.threads,
        "devices": options.devices,
        "isolate": "all" if options.rejoin else options.isolate,  # only a process of its own can open a device again
        "queue_size": options.queue_size,
        "record": options.recorded,
        "faults": _fault_policy(options),
    }


def _fault_policy(options: RunOptions) -> FaultPolicy:
    """Return what happens after a fault, as `--on-fault` says."""
    from segsolve_runtime.flow.faults import FaultPolicy

    timeout_s = options.stage_timeout_s
    match on_fault := options.on_fault:
        case "skip" | "retry":
            return FaultPolicy(
                on_fault=on_fault, stage_timeout_s=timeout_s, rejoin_s=REJOIN_S if options.rejoin else None
            )
        case "replan":
            return FaultPolicy(on_fault="give-back", stage_timeout_s=timeout_s)
        case _:
            return FaultPolicy(stage_timeout_s=timeout_s)


def _model(options: RunOptions, folder: PlanFolder) -> LoadedModel | None:
    """Read what another plan would be made from before anything runs: it may be missing."""
    from segsolve.library.plans import plan_costs, plan_model

    if options.on_fault != "replan":
        return None
    loaded = plan_model(folder, options.model)
    plan_costs(folder, loaded, options.device)  # not known only when a device is lost would be too late
    return loaded


def compiler_of(options: RunOptions) -> Compiler | None:
    """Return what compiles another plan's segments, if that would be needed, before anything runs."""
    if options.on_fault != "replan" or options.backend != "edgetpu":
        return None
    from segsolve.compiler.run import find_compiler

    return find_compiler()


def _replanned(
    options: RunOptions,
    folder: PlanFolder,
    loaded: LoadedModel,
    error: Exception,
    into: Path,
    devices: Mapping[Place, str],
) -> tuple[PlanFolder, RunOptions]:
    from segsolve.cli.replan import replan
    from segsolve_runtime.contract.places import places
    from segsolve_runtime.errors import DevicesLeftError

    assert isinstance(error, DevicesLeftError)
    made = replan(folder, loaded, options.device, error, into)
    left = tuple(device for place, device in devices.items() if place not in error.lost)
    return made, replace(options, devices=left[: len(places(made.plan))])


def _run_through(
    pipeline: Pipeline, frames: Iterable[Mapping[str, Array]], flow: Traffic, options: RunOptions, began: Began
) -> bool:
    """Take all results; say if that came to its end and was not interrupted."""
    from segsolve.cli.live import LiveView, live
    from segsolve.report.units import count
    from segsolve_runtime.observe.exporter import Observed

    total = "all inferences" if flow.count is None else count(flow.count, "inference")
    devices = [*pipeline.devices.values()]
    observed = Observed(plan=pipeline.plan, metrics=pipeline.metrics, devices=devices)
    view = LiveView(pipeline.plan, pipeline.metrics, total=flow.count, backend=options.backend, devices=devices)
    try:
        with served([observed], options), live(view, f"running {total} on {options.backend}", prints=flow.prints):
            drop: Literal["oldest"] | None = "oldest" if flow.live else None
            if options.on_fault != "skip":
                for outputs in pipeline.map(frames, drop=drop, copy=False):
                    began.note_result()
                    flow.take(outputs)
            else:
                for outcome in pipeline.map(frames, drop=drop, copy=False, on_error="yield"):
                    began.note_result()
                    flow.fail(outcome) if isinstance(outcome, Exception) else flow.take(outcome)
    except KeyboardInterrupt:
        return False
    return True


@contextmanager
def served(observed: Sequence[Observed], options: RunOptions) -> Iterator[None]:
    """Serve the metrics of what runs, if that was asked for."""
    if options.metrics_port is None:
        yield
        return
    from segsolve_runtime.observe.exporter import serve_metrics

    port, address = options.metrics_port, options.metrics_address
    with serve_metrics(observed, port=port, address=address):
        news(f"metrics at http://{address}:{port}/metrics")
        yield
