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
    ModelsOrCosts,
    NoSpill,
    Optimistic,
    Seed,
    Signature,
    TimeLimit,
    TpuMemory,
    TpusOfFile,
    Workers,
    search_limits,
)
from segsolve.cli.pool import HostOf, PoolOptions, PoolText, RateTexts, SharingText, WeightText, solve_pool
from segsolve.cli.written import write_and_verify
from segsolve.errors import ExitCode, UsageError
from segsolve.library.asking import Asking
from segsolve.library.costs import changes_of, refuse_changes
from segsolve.library.graphs import is_graph
from segsolve.library.of_pools import names_one, pool_or_error, refuse_in_questions, refuse_without_pool, without_pool
from segsolve.library.solving import pose
from segsolve.question import Cuts, Layout, Objective
from segsolve.values import DEFAULT_DEVICE, SHOWN_POINTS, within

if TYPE_CHECKING:
    from fractions import Fraction

    from segsolve.library.answer import Answer
    from segsolve.problem import Problem
    from segsolve.question import Question
    from segsolve.solvers.base import Limits

_LOOK_S = 30.0  # for what can be had in place of what cannot, where no limit is given


@guarded
@with_constraints
def command(
    models: ModelsOrCosts,
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
    host_of: HostOf = None,
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
    from segsolve.plan.folder import check_writable
    from segsolve.report.units import count
    from segsolve.solvers.base import Status, Stop

    limits = search_limits(tpus, time_limit, workers, seed)
    model = models[0]
    is_alone = len(models) == 1 and not (rate or weights or host_of)
    named = names_one(models, tpu_memory, constraints)
    pool, tpus, device = without_pool(pool, tpus, device, is_alone=is_alone, named=named)
    if pool is not None or len(models) > 1 or rate or weights:
        refuse_in_questions(
            layout=layout,
            cuts=None if cuts is Cuts.AUTO else cuts,
            batch=batch,
            cpus=cpus,
            planner=None if planner == "cpsat" else planner,
            signature=signature,
            within=near,
            pick=pick,
        )
        asked_for = PoolOptions(
            models=models,
            pool=pool_or_error(pool, models, rate),
            rates=rate or (),
            weights=weights,
            limits=limits,
            more={
                "objective": objective.value,
                "sharing": sharing,
                "tpu_memory": tpu_memory,
                "host_cores": host_cores,
                "host_of": host_of,
                "optimistic": optimistic,
                "no_spill": no_spill,
                **constraints,
            },
        )
        solve_pool(asked_for, output, verify=verify, as_json=as_json)
        return
    refuse_without_pool(host_of=host_of)
    asking = Asking(objective=objective, layout=layout, cuts=cuts, batch=batch, constraints=constraints)
    asking.check(planner)
    within("--points", points, 1)
    share = shortlist_share(near, most_plans, asking)
    if pick is not None and objective is not Objective.PARETO:
        raise UsageError("--pick takes a point of a front", "give --objective pareto")
    if is_graph(model, cpus):
        asking.check_graph(device, planner)
        refuse_changes(host_cores, optimistic=optimistic)
        if output is not None:
            check_writable(output)
        solve_graph(
            model,
            tpus=tpus,
            cpus=cpus,
            tpu_memory=tpu_memory,
            no_spill=no_spill,
            limits=limits,
            output=output,
            as_json=as_json,
        )
        return
    if output is not None:
        check_writable(output)
    posed = pose(
        model,
        asking,
        tpus=tpus,
        device=device,
        changes=changes_of(tpu_memory, host_cores, optimistic=optimistic),
        no_spill=no_spill,
        planner=planner,
        signature=signature,
        tell=news,
    )
    with progress(f"solving {posed.problem.name}") as observe:
        answer = posed.solve(limits, observe, pick)
    problem, found = answer.problem, answer.found
    if share is None or not as_json:
        _show(answer, points, as_json=as_json)
    if found.plan is None:
        rule = CONSTRAINTS if found.question.constraints else ON_CHIP
        if found.stopped_by is Stop.FINISHED and found.question.constraints:
            is_sure = found.status is Status.INFEASIBLE
            said = _instead(problem, found.question, limits, is_sure=is_sure)
            rule = replace(rule, hint="; ".join(said or [rule.hint]))
        raise no_plan(count(problem.tpus, "TPU"), found, rule, found.found_by or found.planner)
    _write(output, answer, share, most_plans, verify=verify, as_json=as_json)
    if found.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _write(
    output: Path | None, answer: Answer, share: Fraction | None, most_plans: int, *, verify: bool, as_json: bool
) -> None:
    """Write the plan, or each plan of the shortlist into a folder of its own, by rank."""
    listed = () if share is None else show_shortlist(answer.problem, answer.found, share, most_plans, as_json=as_json)
    if output is None:
        return
    if share is None:
        write_and_verify(answer, output, verify=verify)
        return
    for rank, each in enumerate(listed, start=1):
        write_and_verify(replace(answer, found=each), output / f"{rank:02}", verify=verify and rank == 1)
    news(f"compile them with segsolve build {output} --compile, and compare them with segsolve bench {output}")


def _instead(problem: Problem, asked: Question, limits: Limits, *, is_sure: bool) -> list[str]:
    """Say what contradicts, if it is sure that something does, and what can be had in place of a latency or a rate."""
    from segsolve.report.answer import contradicting, instead
    from segsolve.search.attainable import attainable
    from segsolve.search.contradiction import contradiction

    said = []
    if limits.time_limit_s is None:
        limits = replace(limits, time_limit_s=_LOOK_S)
    with progress("looking for what can be had") as _:
        if is_sure and (problem.no_spill or len([part for each in asked.constraints for part in each.parts]) > 1):
            said.append(contradicting(contradiction(problem, asked, limits)))
        said += [instead(one, asked) for one in attainable(problem, asked, limits)]
    return said


def _show(answer: Answer, points: int, *, as_json: bool) -> None:
    from segsolve.report.answer import answer_table

    if as_json:
        show_json(answer.to_dict())
    elif answer.plan is not None:
        device = answer.device
        show(answer_table(answer.problem, answer.found, device.name, points, device.ranges, device.start))
