"""``segsolve solve``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.asking import with_constraints
from segsolve.cli.console import news, progress, show, show_json
from segsolve.cli.graph import solve_graph
from segsolve.cli.guard import guarded
from segsolve.cli.near import shortlist_share, show_shortlist
from segsolve.cli.no_plan import CONSTRAINTS, ON_CHIP, no_plan
from segsolve.cli.options import (
    Cpus,
    DeviceName,
    HostCores,
    Json,
    ModelsOrGraph,
    NoSpill,
    Optimistic,
    Seed,
    Signature,
    TimeLimit,
    TpuMemory,
    TpusOfFile,
    Workers,
    check_search,
    load_model_or_profile,
)
from segsolve.cli.pool import (
    PoolOptions,
    PoolText,
    RateTexts,
    SharingText,
    WeightText,
    pool_or_error,
    refuse_for_pools,
    solve_pool,
)
from segsolve.errors import ExitCode, UsageError
from segsolve.library.asking import Asking
from segsolve.library.costs import changes_of, device_count, keeps_state, refuse_changes, tpus_or
from segsolve.library.graphs import is_graph
from segsolve.question import Cuts, Layout, Objective
from segsolve.values import DEFAULT_DEVICE, SHOWN_POINTS, within

if TYPE_CHECKING:
    from fractions import Fraction

    from segsolve.graph.read import LoadedModel
    from segsolve.problem import Problem
    from segsolve.profile.source import DeviceFacts
    from segsolve.question import Question
    from segsolve.search.answer import Answer
    from segsolve.solvers.base import Limits


@guarded
@with_constraints
def command(
    models: ModelsOrGraph,
    tpus: TpusOfFile = None,
    device: DeviceName = DEFAULT_DEVICE,
    objective: Annotated[Objective, typer.Option(help="What the plan is best at.")] = Objective.THROUGHPUT,
    layout: Annotated[
        Layout | None,
        typer.Option(help="Any pipelines side by side and replicated stages, or one, as for models that keep state."),
    ] = None,
    cuts: Annotated[
        Cuts, typer.Option(help="Cut the execution order (chain), or also between branches of the graph (dag).")
    ] = Cuts.AUTO,
    batch: Annotated[
        int | None,
        typer.Option(help="Inferences of a batch, whose time is given, and minimised by --objective batch: 15."),
    ] = None,
    constraints: Mapping[str, Any] = MappingProxyType({}),
    pick: Annotated[
        int | None,
        typer.Option(help="Which point of --objective pareto is the plan, by its number; else the fastest."),
    ] = None,
    points: Annotated[
        int, typer.Option(help="Points of --objective pareto that are listed; --json and plan.json have all.")
    ] = SHOWN_POINTS,
    near: Annotated[
        str | None,
        typer.Option(
            "--within", help="For throughput: also the plans whose period is within so much of the best's, e.g. 5%."
        ),
    ] = None,
    most_plans: Annotated[int, typer.Option(help="Plans of --within at most, the best first.")] = 8,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for plan.json and the segment files.")
    ] = None,
    tpu_memory: TpuMemory = None,
    host_cores: HostCores = None,
    optimistic: Optimistic = False,
    no_spill: NoSpill = False,
    cpus: Cpus = None,
    planner: Annotated[str, typer.Option(help="Strategy; `segsolve compare` shows them side by side.")] = "cpsat",
    time_limit: TimeLimit = None,
    workers: Workers = 1,
    seed: Seed = 0,
    signature: Signature = None,
    pool: PoolText = None,
    rate: RateTexts = None,
    weights: WeightText = None,
    sharing: SharingText = "auto",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove the written segments equal to the whole model.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Find the best segmentation, prove it, and write the segments."""
    from segsolve.report.units import count
    from segsolve.search.ask import answer as ask
    from segsolve.search.front import picked
    from segsolve.solvers.base import Limits, Status, Stop

    check_search(tpus, time_limit, workers, seed)
    limits = Limits(time_limit_s=time_limit, workers=workers, seed=seed)
    model = models[0]
    if pool is not None or len(models) > 1 or rate or weights:
        refuse_for_pools(
            "in questions about pools yet",
            "leave it out",
            layout=layout,
            cuts=None if cuts is Cuts.AUTO else cuts,
            batch=batch,
            tpu_memory=tpu_memory,
            cpus=cpus,
            planner=None if planner == "cpsat" else planner,
            signature=signature,
            **{name: value for name, value in constraints.items() if value},
        )
        asked_for = PoolOptions(
            models=models,
            pool=pool_or_error(pool, models, rate),
            rates=rate or (),
            weights=weights,
            objective=objective.value,
            sharing=sharing,
            no_spill=no_spill,
            limits=limits,
        )
        solve_pool(asked_for, output, verify=verify, as_json=as_json)
        return
    asking = Asking(
        objective=objective,
        layout=layout or Layout.ANY,
        cuts=cuts,
        batch=batch,
        constraints=constraints,
    )
    asking.check(planner)
    within("--points", points, 1)
    share = shortlist_share(near, most_plans, asking)
    if pick is not None and objective is not Objective.PARETO:
        raise UsageError("--pick takes a point of a front", "give --objective pareto")
    if is_graph(model, cpus):
        asking.check_graph(device, planner, layout)
        refuse_changes(host_cores, optimistic=optimistic)
        if output is not None:
            raise UsageError("a graph has no segments to cut", "leave out -o; --json prints the plan as a document")
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
    loaded, costs = load_model_or_profile(
        model, device, changes_of(tpu_memory, host_cores, optimistic=optimistic), signature
    )
    if output is not None and loaded is None:
        raise UsageError(
            f"{model} is a profile: without the model, -o has no segments to cut",
            f"leave out -o, or give the model: segsolve solve MODEL.tflite --device {model} -o {output}",
        )
    if layout is None and keeps_state(loaded):
        asking = replace(asking, layout=Layout.PIPELINE)
    problem = costs.problem(tpus=tpus_or(tpus, device_count(costs)), no_spill=no_spill)
    asked = asking.question(problem, planner)
    with progress(f"solving {problem.name}") as observe:
        answer = ask(problem, asked, planner=planner, limits=limits, observe=observe)
    if pick is not None and answer.plan is not None:
        answer = picked(answer, pick)
    if share is None or not as_json:
        _show(problem, answer, costs.device, points, as_json=as_json)
    if answer.plan is None:
        rule = CONSTRAINTS if asked.constraints else ON_CHIP
        if answer.status is Status.INFEASIBLE and asked.constraints:
            rule = replace(rule, hint="; ".join(_instead(problem, asked, limits) or [rule.hint]))
        raise no_plan(count(problem.tpus, "TPU"), answer, rule, answer.planner)
    _write(output, loaded, costs.device, problem, answer, share, most_plans, verify=verify, as_json=as_json)
    if answer.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _write(
    output: Path | None,
    loaded: LoadedModel | None,
    device: DeviceFacts,
    problem: Problem,
    answer: Answer,
    share: Fraction | None,
    most_plans: int,
    *,
    verify: bool,
    as_json: bool,
) -> None:
    """Write the plan, or each plan of the shortlist into a folder of its own, by rank."""
    listed = () if share is None else show_shortlist(problem, answer, share, most_plans, as_json=as_json)
    if output is None or loaded is None:
        return
    if share is None:
        write_and_verify(output, loaded, device, problem, answer, verify=verify)
        return
    for rank, each in enumerate(listed, start=1):
        write_and_verify(output / f"{rank:02}", loaded, device, problem, each, verify=verify and rank == 1)
    news(f"compile them with segsolve build {output} --compile, and compare them with segsolve bench {output}")


def _check_writable(output: Path) -> None:
    from segsolve.plan.folder import check_writable

    check_writable(output)


def _instead(problem: Problem, asked: Question, limits: Limits) -> list[str]:
    """Say what contradicts, and what can be had in place of a latency or a rate that cannot."""
    from segsolve.report.answer import contradicting, instead
    from segsolve.search.attainable import attainable
    from segsolve.search.contradiction import contradiction

    said = []
    with progress("looking for what can be had") as _:
        if problem.no_spill or len([part for each in asked.constraints for part in each.parts]) > 1:
            said.append(contradicting(contradiction(problem, asked, limits)))
        said += [instead(one, asked) for one in attainable(problem, asked, limits)]
    return said


def _show(problem: Problem, answer: Answer, device: DeviceFacts, points: int, *, as_json: bool) -> None:
    from segsolve.report.answer import answer_document, answer_table

    if as_json:
        show_json(answer_document(problem, answer, device.ranges, device.start))
    elif answer.plan is not None:
        show(answer_table(problem, answer, device.name, points, device.ranges, device.start))


def write_and_verify(
    output: Path, loaded: LoadedModel, device: DeviceFacts, problem: Problem, answer: Answer, *, verify: bool
) -> None:
    """Write a plan's folder, and prove its segments equal to the whole model."""
    from segsolve.plan.folder import write_plan
    from segsolve.report.units import count
    from segsolve.segments.verify import verify as verify_segments

    folder = write_plan(output, loaded=loaded, device=device, problem=problem, answer=answer)
    news(f"wrote {output / 'plan.json'} and {count(len(set(folder.segment_paths())), 'segment')}")
    if verify:
        with progress("comparing the segments with the whole model"):
            done = verify_segments(folder, loaded)
        news(
            f"verified: {count(done.output_tensors, 'output')} and {count(done.crossing_tensors, 'crossing tensor')} "
            f"of the segments are identical to the whole model's on {count(done.inputs, 'random input')}"
        )
        if done.left_out:
            news(
                f"not verified: {count(done.left_out, 'operation')} that LiteRT cannot run here, or that hang on these"
            )
