"""What ``segsolve run`` writes and says after a run: timeline, trace, profile, and doubts about the predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news
from segsolve.cli.running import Leg, RunOptions
from segsolve_runtime.contract.wording import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from segsolve_runtime.contract.plan import PlanFolder

_WORTH_IT = 0.03
"""Share of the bottleneck that another plan must save to be worth a hint: less is within the noise."""


def check_written(files: Iterable[Path | None], folder: PlanFolder, options: RunOptions, *, profile: bool) -> None:
    """Find out before a run whether what it is to leave can be written.

    Raises:
        OutputError: a file cannot be written.
        UsageError, ModelError: the profile needs the plan's model, which is not there.
    """
    from segsolve.library.plans import plan_model
    from segsolve.report.write import check_writable

    for path in files:
        if path is not None:
            check_writable(path)
    if profile:
        plan_model(folder, options.model)


def write_timeline(path: Path, leg: Leg, backend: str) -> None:
    """Write the measurement file of a run."""
    from segsolve.report.write import write_text
    from segsolve_runtime.observe.measurement import measurement_json, measurement_of

    write_text(path, measurement_json(measurement_of(leg.plan, leg.metrics, backend)))
    news(f"wrote {path}")


def write_trace(path: Path, leg: Leg, options: RunOptions) -> None:
    """Write a run's trace, predicted and measured, for Perfetto."""
    from segsolve.report.write import write_text
    from segsolve_runtime.observe.trace import chrome_trace, trace_json

    trace = chrome_trace(
        leg.plan, leg.metrics, backend=options.backend, queue_size=options.queue_size, heat=leg.temperatures
    )
    write_text(path, trace_json(trace))
    news(f"wrote {path}; open it at ui.perfetto.dev or chrome://tracing")


def write_profile(path: Path, leg: Leg, options: RunOptions) -> None:
    """Write what a run measured as costs for ``segsolve solve``, and say whether they ask for another plan."""
    from segsolve.library.plans import plan_model
    from segsolve.measure.run_profile import better_plan, profile_of_run
    from segsolve.profile.format import profile_json
    from segsolve.profile.load import planned_costs
    from segsolve.report.units import ms
    from segsolve.report.write import write_text

    plan = leg.plan
    graph = plan_model(leg.folder, options.model).graph
    source = planned_costs(plan.device, options.device)(graph)
    profile = profile_of_run(
        graph, source.problem(tpus=plan.solution.tpus_requested), plan, leg.metrics, options.backend
    )
    write_text(path, profile_json(profile))
    news(f"wrote {path}")
    better = better_plan(profile, graph, plan)
    if better and better[0] - better[1] > _WORTH_IT * better[0]:
        news(
            f"hint: by these costs another plan takes {ms(better[1])} ms per inference, this one {ms(better[0])} ms: "
            f"segsolve solve {plan.model.name} --device {path} --tpus {plan.solution.tpus_requested}"
        )


def say_heat(leg: Leg) -> None:
    """Say how hot devices are that tell it, and which stage that slows down."""
    from segsolve_runtime.observe.heat import is_throttled

    stages = {(stage.pipeline, stage.stage): stage for stage in leg.metrics.stages}
    for place, heat in leg.heat.items():
        stage = stages[place.pipeline, place.stage]
        throttled = is_throttled(heat, stage.time_p50_ns, stage.time_p95_ns)
        words = "warning: throttled, its inferences take unequally long: " if throttled else ""
        news(f"{words}{place.describe(leg.plan)} on {heat.device}: {heat}")


def say_doubts(legs: Sequence[Leg], backend: str) -> None:
    """Say where an emulated device was too slow to keep to its prediction, or had more of what all share."""
    from segsolve.report.units import ms
    from segsolve_runtime.flow.lanes import limited_by
    from segsolve_runtime.observe.drift import SLOWER, behind, drift_of

    if backend != "emulated":
        return
    for what in limited_by(legs[-1].plan):
        say_limit(what)
    for drift in drift_of(legs[-1].plan, legs[-1].metrics):
        if drift.ratio > SLOWER:
            news(
                f"warning: stage {drift.stage} took {ms(drift.measured_ns)} ms instead of {ms(drift.predicted_ns)}: "
                "this machine's CPU is slower than the device that it stands for"
            )
    for stage in behind(legs[-1].metrics):
        news(
            f"warning: this machine did not keep up with stage {stage.stage}: "
            f"{percent(stage.late / stage.inferences)} of its inferences were still at work when they were due; "
            "rate and latency are the machine's, not the plan's"
        )


def say_limit(what: str) -> None:
    """Say that something which devices share limits a plan that is emulated."""
    news(
        f"warning: the {what} that the devices share limits this plan, and is not emulated: it may run faster here "
        f"than predicted; the backend simulated holds it to the {what}"
    )
