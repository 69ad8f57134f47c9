"""``segsolve run`` of a pool's plan: a source per model, and on with another plan where devices were lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.guard import say_error
from segsolve.cli.running import RunOptions, compiler_of, opening, served
from segsolve.cli.traffic import Traffic, TrafficOptions, traffic
from segsolve.errors import ExitCode, UsageError
from segsolve_runtime.contract.files import make_folder
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.errors import StageError

if TYPE_CHECKING:
    from segsolve_runtime.contract.arrays import Array
    from segsolve_runtime.contract.plan import Plan
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.errors import PoolDevicesLeftError
    from segsolve_runtime.pool import Pool, PoolMetrics

DEFAULT_PERIODS, SIMULATED_PERIODS = 20, 200
REPLAN_S = 5.0
"""How long another plan is searched for while frames wait."""


@dataclass(frozen=True, slots=True)
class PoolLeg:
    """What was run on one plan; a new one begins where devices were lost."""

    folder: PoolFolder
    metrics: PoolMetrics
    finished: bool
    ended: Sequence[str] = ()
    """Models of which no pipeline was whole any more, while the others went on."""


@dataclass(frozen=True, slots=True)
class PoolFiles:
    """What a run leaves beside its results: a trace, and folders for a measurement and for profiles of each model."""

    timeline: Path | None = None
    trace: Path | None = None
    profiles: Path | None = None

    def check(self, folder: PoolFolder, options: RunOptions) -> None:
        """Find out before the run whether they can be written (OutputError), and make sense (UsageError)."""
        from segsolve.library.pool_again import question_of
        from segsolve.report.write import check_writable

        for option, named in (("--timeline", self.timeline), ("--profile-out", self.profiles)):
            if named is not None and options.backend == "simulated":
                raise UsageError(f"{option}: a simulated pool measures nothing", "--trace shows when what would run")
            if named is not None and named.suffix:
                raise UsageError(f"{option} is {named}, but each model has one", "name a folder")
        for path in (self.trace, *self._measurements(folder).values(), self.profiles and self.profiles / "any"):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                check_writable(path)
        if self.profiles is not None:
            question_of(folder, models=options.model)  # not known only after the run would be too late

    def _measurements(self, folder: PoolFolder) -> dict[str, Path]:
        return {m.name: self.timeline / f"{m.name}.json" for m in folder.pool.models} if self.timeline else {}

    def write(self, leg: PoolLeg, options: RunOptions) -> None:
        """Write what a run measured on a plan."""
        from segsolve.report.write import write_text
        from segsolve_runtime.observe.measurement import measurement_json, measurement_of
        from segsolve_runtime.pool_trace import pool_trace

        plans = {m.name: plan.plan for m, plan in zip(leg.folder.pool.models, leg.folder.plans, strict=True)}
        for name, path in self._measurements(leg.folder).items():
            write_text(path, measurement_json(measurement_of(plans[name], leg.metrics.models[name], options.backend)))
        if self.timeline is not None:
            news(f"wrote a measurement of each model to {self.timeline}")
        if self.profiles is not None:
            self._write_profiles(self.profiles, leg, options)
        if self.trace is not None:
            found = pool_trace(leg.folder, leg.metrics, backend=options.backend, queue_size=options.queue_size)
            self.write_trace(found)

    def _write_profiles(self, into: Path, leg: PoolLeg, options: RunOptions) -> None:
        from segsolve.library.pool_profiles import pool_text, profiles_of_run
        from segsolve.profile.format import profile_json
        from segsolve.report.write import write_text

        file, paths = leg.folder.pool, {}
        for (k, m), profile in profiles_of_run(leg.folder, leg.metrics.models, options.backend, options.model).items():
            name = f"{file.kinds[k].name}-{file.models[m].name}"
            paths[k, m] = into / f"{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}.json"
            write_text(paths[k, m], profile_json(profile))
        news(f"wrote {', '.join(map(str, paths.values()))}: solve again with --pool {pool_text(leg.folder, paths)}")

    def write_trace(self, trace: dict[str, Any]) -> None:
        """Write a trace, if it is asked for."""
        from segsolve.report.write import write_text
        from segsolve_runtime.observe.trace import trace_json

        if self.trace is not None:
            write_text(self.trace, trace_json(trace))
            news(f"wrote {self.trace}; open it at ui.perfetto.dev or chrome://tracing")


def run_pool(options: RunOptions, wanted: TrafficOptions, labels: Sequence[str], files: PoolFiles) -> None:
    """Run the plan of a pool, a source per model, in the proportion of its weights; `wanted.count` are periods.

    `labels` are files, for all models or MODEL=FILE.
    """
    from segsolve.report.pool.run import pool_run_document, pool_run_table
    from segsolve.report.units import count
    from segsolve_runtime.contract.pool import load_pool

    folder = load_pool(options.plan)
    files.check(folder, options)
    if options.backend == "simulated":
        _simulate(folder, options, wanted, files)
        return
    _check_inputs(wanted.inputs, [model.name for model in folder.pool.models])
    try:
        with ExitStack() as stack:
            if wanted.output is not None and not _is_file(wanted.output, len(folder.plans)):
                make_folder(wanted.output)
            own = _own_traffic(folder, wanted, labels)
            plans = {model.name: plan.plan for model, plan in zip(folder.pool.models, folder.plans, strict=True)}
            flows = {name: stack.enter_context(traffic(plans[name], one)) for name, one in own.items()}
            legs = _run_legs(options, folder, flows)
    except StageError:
        if wanted.output is not None:
            news(f"wrote the results of each model until then to {wanted.output}")
        raise
    if wanted.output is not None:
        news(f"wrote the results of each model to {wanted.output}")
    last, before = legs[-1], legs[:-1]
    files.write(last, options)
    if options.backend == "emulated":
        _say_doubts(last)
    if wanted.as_json:
        document = pool_run_document(last.folder, last.metrics, options.backend)
        earlier = [pool_run_document(leg.folder, leg.metrics, options.backend) for leg in before]
        show_json(document | ({"before": earlier} if earlier else {}))
    else:
        for leg in legs:
            show(pool_run_table(leg.folder, leg.metrics, options.backend))
    if not last.finished:
        say_error("interrupted")
        raise typer.Exit(ExitCode.INTERRUPTED)
    failed = sum(m.accepted - m.count - m.dropped for m in last.metrics.models.values())
    if failed or last.ended:
        early = f", and of {', '.join(last.ended)} there are no more results" if last.ended else ""
        say_error(f"{count(failed, 'inference')} failed{early}")
        raise typer.Exit(ExitCode.PARTIAL)


def _say_doubts(leg: PoolLeg) -> None:
    """Say what this machine was too slow for, and what it does not emulate."""
    from segsolve.cli.aftermath import say_limit
    from segsolve_runtime.observe.drift import behind

    if (what := leg.folder.pool.limited_by) is not None:
        say_limit(what if what == "host" else f"link {what}")
    for name, metrics in leg.metrics.models.items():
        if stages := behind(metrics):
            late, of = sum(stage.late for stage in stages), sum(stage.inferences for stage in stages)
            news(
                f"warning: this machine's CPU did not keep up with {name}: {percent(late / of)} of its stages' "
                "inferences were still at work when they were due; its rate and latency are the machine's, "
                "not the plan's"
            )


def _simulate(folder: PoolFolder, options: RunOptions, wanted: TrafficOptions, files: PoolFiles) -> None:
    from segsolve.report.pool.run import simulated_document, simulated_table
    from segsolve_runtime.pool import simulate, simulate_asked
    from segsolve_runtime.pool_trace import pool_trace

    how = folder, wanted.count or SIMULATED_PERIODS, options.queue_size
    run, asked = simulate(*how), simulate_asked(*how)
    files.write_trace(pool_trace(folder, None, backend="simulated", queue_size=options.queue_size, predicted=run))
    if wanted.as_json:
        show_json(simulated_document(folder.pool, run, asked))
    else:
        show(simulated_table(folder.pool, run, asked))


def _run_legs(options: RunOptions, folder: PoolFolder, flows: Mapping[str, Traffic]) -> list[PoolLeg]:
    """Run all frames, on the plan and on further ones where devices are lost.

    Raises:
        PoolDevicesLeftError: no device is left.
        UsageError, DeviceError, ModelError: another plan is needed, and what it is made from is not known.
    """
    from segsolve.library.pool_again import question_of
    from segsolve_runtime.errors import PoolDevicesLeftError

    replans = options.on_fault == "replan"
    if replans:
        question_of(folder, models=options.model)  # not known only when a device is lost would be too late
    tool = compiler_of(options)
    frames: dict[str, Iterator[Mapping[str, Array]]] = {name: flow.frames for name, flow in flows.items()}
    legs: list[PoolLeg] = []
    with ExitStack() as stack:
        while True:
            pool = _opened(folder, options)
            with pool:
                try:
                    ended = _run_through(pool, frames, flows, options)
                    return [*legs, PoolLeg(folder, pool.metrics(), ended is not None, [*(ended or ())])]
                except PoolDevicesLeftError as error:
                    if not replans:
                        raise
                    legs.append(PoolLeg(folder, pool.metrics(), finished=False))
                    lost, left = perf_counter(), error
            into = Path(stack.enter_context(TemporaryDirectory())) / "plan"
            gone = pool.lost(left)
            folder = _replanned(folder, gone, left, options, into)
            if tool is not None:
                from segsolve.compiler.pool import compile_pool

                compile_pool(folder, tool)
            kept = [
                name
                for device, name in zip(pool.folder.pool.devices, pool.names, strict=False)
                if device.name not in gone
            ]
            options = replace(options, devices=tuple(kept))
            news(f"solved, cut{' and compiled' if tool else ''} in {perf_counter() - lost:.1f} s")
            for model, of in left.of.items():
                frames[model] = chain(of.undone.values(), frames[model])


def _opened(folder: PoolFolder, options: RunOptions) -> Pool:
    from segsolve_runtime.pool import Pool

    pool = Pool.load(folder, **opening(options))
    try:
        pool.warm_up()
    except BaseException:
        pool.close()
        raise
    return pool


def _run_through(
    pool: Pool, frames: Mapping[str, Iterator[Mapping[str, Array]]], flows: Mapping[str, Traffic], options: RunOptions
) -> Mapping[str, Exception] | None:
    """Take all results; return the models that ended before their frames, with the reasons; None if interrupted."""
    from segsolve.report.units import count
    from segsolve_runtime.observe.exporter import Observed

    observed = [
        Observed(
            plan=pipeline.plan,
            metrics=pipeline.metrics,
            labels={"model": name},
            devices=[*pipeline.devices.values()],
            homes=pool.homes(name),
        )
        for name, pipeline in pool.pipelines.items()
    ]
    live = [name for name, flow in flows.items() if flow.live]
    prints = any(flow.prints for flow in flows.values())
    text = f"running {count(len(flows), 'model')} on {options.backend}"
    try:
        with served(observed, options), ExitStack() as stack:
            if not prints:
                stack.enter_context(progress(text))
            ended = pool.run(
                frames,
                lambda model, result: flows[model].take(result),
                fail=(lambda model, error: flows[model].fail(error)) if options.on_fault == "skip" else None,
                live=live,
                in_proportion=not live,
            )
    except KeyboardInterrupt:
        return None
    for name, reason in ended.items():
        news(f"{name} ended before its frames did: {reason}")
    return ended


def _replanned(
    folder: PoolFolder, gone: Mapping[str, str], error: PoolDevicesLeftError, options: RunOptions, into: Path
) -> PoolFolder:
    """Ask the pool's question again for the devices that are left, and write the answer to a folder."""
    from segsolve.library.pool_again import asked_again
    from segsolve.report.units import count, fps
    from segsolve.solvers.base import Limits

    left = len(folder.pool.devices) - len(gone)
    for name, reason in gone.items():
        news(f"lost {name}: {reason}")
    if left < 1:
        raise error
    solved = asked_again(folder, list(gone), options.model, Limits(time_limit_s=REPLAN_S), news)
    if solved.found.plan is None:
        news(f"no plan on {count(left, 'device')} serves every model")
        raise error
    made = solved.write(into)
    rates = ", ".join(f"{model.name} {fps(model.rate_fps)}" for model in made.pool.models)
    undone = sum(len(of.undone) for of in error.of.values())
    news(
        f"solved again for {count(left, 'device')}: {rates} inferences per second predicted; "
        f"going on with {count(undone, 'inference')} that were under way"
    )
    return made


def _own_traffic(folder: PoolFolder, wanted: TrafficOptions, labels: Sequence[str]) -> dict[str, TrafficOptions]:
    """Return for each model what goes in and what becomes of its results.

    Raises:
        UsageError: nothing is there to be read as was asked for.
    """
    found, models = {}, folder.pool.models
    for model, plan in zip(models, folder.plans, strict=True):
        given = _of_model(wanted.inputs, model.name, len(models))
        count = None if wanted.count is None else wanted.count * model.weight
        detects = wanted.detections and _is_detector(plan.plan)
        top = wanted.top if not detects and _is_classifier(plan.plan) else None
        output = wanted.output
        if output is not None and not _is_file(output, len(models)):
            output /= f"{model.name}.{'jsonl' if detects or top else 'npz'}"
        found[model.name] = replace(
            wanted,
            name=model.name,
            inputs=given,
            count=count if given else count or DEFAULT_PERIODS * model.weight,
            detections=detects,
            top=top,
            labels=_labels(labels, model.name) if detects or top else None,
            pictures=wanted.pictures and (wanted.pictures / model.name if len(models) > 1 else wanted.pictures)
            if detects
            else None,
            dequantize=wanted.dequantize and not detects and not top,
            output=output,
        )
    if wanted.detections and not any(one.detections for one in found.values()):
        raise UsageError("--detections: no model of the pool is a detector that can be read", "leave it out")
    if wanted.top and not any(one.top for one in found.values()):
        raise UsageError("--top: no model of the pool ends in one vector of scores", "leave it out")
    return found


def _is_file(output: Path, models: int) -> bool:
    """Whether results go to one file, which is only where there is one model (UsageError); else to a folder."""
    is_file = output.suffix in (".npz", ".jsonl")
    if is_file and models > 1:
        raise UsageError(f"--output is {output}, but {models} models have results", "name a folder")
    return is_file


def _labels(labels: Sequence[str], name: str) -> Path | None:
    """Return a model's file of labels: its own, or the one for all."""
    own = [text.removeprefix(f"{name}=") for text in labels if text.startswith(f"{name}=")]
    common = [text for text in labels if "=" not in text]
    return Path([*own, *common][0]) if own or common else None


def _is_detector(plan: Plan) -> bool:
    from segsolve_runtime.errors import InputError
    from segsolve_runtime.io.detections import DEFAULT_THRESHOLD, detector
    from segsolve_runtime.io.pixels import canvas_of

    try:
        detector([plan.tensor(n) for n in plan.outputs], canvas_of(plan.tensor(plan.inputs[0])), DEFAULT_THRESHOLD)
    except InputError:
        return False
    return True


def _is_classifier(plan: Plan) -> bool:
    from segsolve_runtime.errors import InputError
    from segsolve_runtime.io.top import top_classes

    try:
        top_classes([plan.tensor(name) for name in plan.outputs], 1, None)
    except InputError:
        return False
    return True


def _check_inputs(inputs: Sequence[str], names: Sequence[str]) -> None:
    """Raise a UsageError if inputs are given and do not say of which model, or not for all."""
    if not inputs or len(names) == 1:
        return
    if missing := [name for name in names if not any(text.startswith(f"{name}=") for text in inputs)]:
        raise UsageError(f"--input gives nothing to {missing[0]}", "write --input MODEL=FILES for every model")
    if odd := [text for text in inputs if not any(text.startswith(f"{name}=") for name in names)]:
        raise UsageError(f"--input {odd[0]!r} is for no model of the pool", f"known: {', '.join(names)}")


def _of_model(inputs: Sequence[str], name: str, models: int) -> list[str]:
    """Return the inputs of one model: those that begin with its name, without it."""
    own = [text.removeprefix(f"{name}=") for text in inputs if text.startswith(f"{name}=")]
    if models == 1 and not own:
        return list(inputs)
    return own
