"""``segsolve tune`` of several models on a pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.on_device import check_alone
from segsolve.cli.pool import TOO_FEW, PoolOptions, end, written
from segsolve.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.library.pool_tune import PoolRound, TunedPool
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.flow.metrics import Metrics


MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class PoolMeter:
    """Where plans are run: `devices` are the Edge TPUs in the pool's order, `periods` how many of a plan are run."""

    backend: str
    devices: str | None
    compiler: Path | None
    jobs: int | None
    periods: int
    seed: int

    def opened(self) -> Callable[[PoolFolder], Mapping[str, Metrics]]:
        """Return what runs a plan (UsageError, CompilerError: it cannot)."""
        from segsolve.compiler.run import find_compiler
        from segsolve_runtime.backends.edgetpu.choose import parse_devices

        for option, value in (("--devices", self.devices), ("--compiler", self.compiler)):
            check_alone(option, value, self.backend)
        tool = find_compiler(self.compiler, jobs=self.jobs) if self.backend == "edgetpu" else None
        names = parse_devices(self.devices) if self.devices is not None else ()
        return lambda folder: _measured(folder, self, names, tool)


def tune_pool(
    options: PoolOptions,
    meter: PoolMeter,
    *,
    rounds: int,
    output: Path | None,
    profiles: Path | None,
    verify: bool,
    as_json: bool,
) -> None:
    """Solve, run the plan, correct the costs, and solve again until the best plan is one that ran; write that."""
    from segsolve.library.named_pools import parse_pool
    from segsolve.library.pool_tune import tune_pool as tune
    from segsolve.pool.folder import check_pool_writable
    from segsolve.pool.model import Goal
    from segsolve.report.pool.answer import pool_table
    from segsolve.report.units import count

    if profiles is not None and profiles.suffix:
        raise UsageError(f"--profile-out is {profiles}, but each model has one on each kind", "name a folder")
    if output is not None:
        check_pool_writable(output)
        profiles = profiles or output.with_name(f"{output.name}-measured")  # which the plan's costs are
    asked = dict(options.question)
    of_devices = {name: asked.pop(name, None) for name in ("tpu_memory", "host_cores", "host_of")}
    named = parse_pool(asked.pop("pool")).changed(**of_devices, optimistic=bool(asked.pop("optimistic", False)))
    limits, tell = asked.pop("limits"), asked.pop("tell")
    is_late = asked["objective"] == Goal.LATENCY

    run = meter.opened()
    with (
        TemporaryDirectory() as temporary,
        progress(f"tuning {count(len(options.models), 'model')} on {meter.backend}"),
    ):
        tuned = tune(
            options.models,
            named,
            run,
            backend=meter.backend,
            into=profiles or Path(temporary),
            most_rounds=rounds,
            limits=limits,
            observe=lambda done: news(_round(done, is_late=is_late)),
            tell=tell,
            **asked,
        )
        if as_json:
            show_json(tuned.to_dict())
        elif tuned.solved is not None:
            show(pool_table(tuned.solved.found))
        if profiles is not None and tuned.profiles:
            news(f"wrote {', '.join(map(str, tuned.profiles))}: solve again with --pool {tuned.pool}")
        if tuned.solved is None:
            raise _none_kept(tuned, count(len(named.pool.devices), "TPU"))
        news(_end(tuned))
        if output is not None:
            written(tuned.solved, output, verify=verify)
        end(tuned.solved.found)


def _round(done: PoolRound, *, is_late: bool) -> str:
    """Return a line of news on a plan that ran; `is_late` where the least latency was asked for."""
    from segsolve.report.units import ms

    what, ran = ("worst latency", "a period took") if is_late else ("period", "took")
    out = "" if done.keeps else ", and no plan that was asked for"
    return (
        f"round {done.number}: a {what} of {ms(done.predicted_ns)} ms was predicted, and {ran} {ms(done.ran_ns)} ms; "
        f"{ms(done.corrected_ns)} ms by the costs as corrected{out}"
    )


def _end(tuned: TunedPool) -> str:
    from segsolve.refine import End
    from segsolve.report.units import count

    ends = "no other looks better" if tuned.end is End.STANDS else "more rounds may find a better one"
    return f"{count(len(tuned.rounds), 'plan')} ran; this one is the best by the costs as measured, and {ends}"


def _none_kept(tuned: TunedPool, devices: str) -> typer.Exit:
    """Say why no plan that ran is one that was asked for, and return the exit to raise."""
    from segsolve.cli.guard import say_error
    from segsolve.cli.no_plan import no_plan
    from segsolve.report.units import count

    if tuned.last.found.plan is None:
        return no_plan(devices, tuned.last.found, TOO_FEW)
    ran = count(len(tuned.rounds), "plan")
    say_error(f"{ran} ran on {devices}, and none keeps what was asked for, by the costs as measured", TOO_FEW.hint)
    return typer.Exit(ExitCode.NO_PLAN)


def _measured(
    folder: PoolFolder, meter: PoolMeter, devices: Sequence[str], compiler: Compiler | None
) -> Mapping[str, Metrics]:
    """Compile a plan where that is needed, run some periods of it, and return what each model took."""
    from segsolve_runtime.contract.frames import random_frames
    from segsolve_runtime.pool import Pool

    if compiler is not None:
        from segsolve.compiler.pool import compile_pool

        compile_pool(folder, compiler)
    weights = {model.name: model.weight for model in folder.pool.models}
    with Pool.load(folder, backend=meter.backend, devices=devices) as pool:
        pool.warm_up()
        frames = {
            name: random_frames(pipeline.plan, meter.periods * weights[name], meter.seed)
            for name, pipeline in pool.pipelines.items()
        }
        pool.run(frames, lambda model, result: None)
        return dict(pool.metrics().models)
