"""The question that a pool's plan answers, from its folder: to hold other ways beside the plan, or to ask it again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.errors import UsageError
from segsolve.library.costs import Tell, quiet
from segsolve.library.named_pools import NamedPool
from segsolve.library.pools import PosedPool, SolvedPool, pose_pool

if TYPE_CHECKING:
    from segsolve.pool.model import Pool, Workload
    from segsolve.pool.simple import Way
    from segsolve.solvers.base import Limits
    from segsolve_runtime.contract.pool import PoolFile, PoolFolder

_DEDICATED_S = 20.0


def question_of(
    folder: PoolFolder,
    *,
    models: Path | None = None,
    left: Collection[int] | None = None,
    tell: Tell = quiet,
) -> PosedPool:
    """Read the models of a pool's plan and return its question, for those of its devices that are `left`.

    The models are looked for where they were, beside the plan, here, and in the folder `models`. Kinds of which no
    device is left are no part of the question.

    Raises:
        UsageError: a model is not there, or no device is left.
        ModelError: a model cannot be read.
        DeviceError: the costs that the plan was made with are not known.
    """
    file = folder.pool
    paths = [_model(folder, number, models) for number in range(len(file.models))]
    named = _pool(file, left)
    no_spill = file.solution.no_spill
    posed = pose_pool(paths, named, rates={}, weights={}, no_spill=no_spill, tell=tell)
    workload = _without_pins(workload_of(file), {kind.name for kind in named.pool.kinds}, tell)
    rows = (
        tuple(demand.kept.restricted(costs) for costs in row)
        for row, demand in zip(posed.problem.costs, workload.demands, strict=True)
    )
    return replace(posed, problem=replace(posed.problem, workload=workload, costs=tuple(rows)))


def _without_pins(workload: Workload, kinds: Collection[str], tell: Tell) -> Workload:
    """Return a workload without what is pinned to kinds of which no device is left, and tell of it."""
    demands = []
    for demand in workload.demands:
        pins = tuple(pin for pin in demand.pins if pin.kind in kinds)
        for pin in demand.pins:
            if pin not in pins:
                tell(f"no device is left that {demand.model} was asked to have {pin.words}; it runs elsewhere")
        demands.append(replace(demand, pins=pins))
    return replace(workload, demands=tuple(demands))


def workload_of(file: PoolFile) -> Workload:
    """Return what a pool's plan was asked to serve."""
    from segsolve.pool.model import Demand, Goal, Pin, Sharing, Workload
    from segsolve.question.kept import Constraints

    asked = file.solution
    return Workload(
        demands=tuple(
            Demand(
                model=model.name,
                weight=model.weight,
                kept=Constraints.of(**model.constraints),
                pins=tuple(Pin(**dict(pin)) for pin in model.pins),
            )
            for model in file.models
        ),
        scale_fps=None if asked.scale_fps is None else Fraction(asked.scale_fps),
        goal=Goal(asked.objective),
        sharing=Sharing(asked.sharing),
    )


def _pool(file: PoolFile, left: Collection[int] | None) -> NamedPool:
    """Return the kinds of a pool, with as many devices as are left, and their names."""
    from segsolve.device.model import Changes
    from segsolve.pool.model import Kind, Pool
    from segsolve.problem import SharedLink

    kinds, devices, changes = [], [], []
    for number, kind in enumerate(file.kinds):
        own = [d for d, device in enumerate(file.devices) if device.kind == number]
        kept = own if left is None else [d for d in own if d in left]
        if not kept:
            continue
        names = [file.devices[d].attached for d in kept]
        known = tuple(name for name in names if name) if all(names) else ()
        kinds.append(Kind(name=kind.name, count=len(kept), link=kind.link, names=known))
        devices.append(kind.device)
        changes.append(
            Changes(
                memory_bytes=kind.memory_bytes,
                host_of=file.host_of,
                host_cores=file.host_cores or None,
                optimistic=kind.optimistic,
            )
        )
    if not kinds:
        raise UsageError("no device of the pool is left", "name the devices that are there")
    links = tuple((link.name, SharedLink(ns_per_mib=link.ns_per_mib)) for link in file.links)
    used = {kind.link for kind in kinds}
    pool: Pool = Pool(kinds=tuple(kinds), links=tuple(link for link in links if link[0] in used))
    return NamedPool(pool=pool, devices=tuple(devices), changes=tuple(changes))


def _model(folder: PoolFolder, number: int, models: Path | None) -> Path:
    from segsolve.report.plan_source import find_model

    wanted = folder.plans[number].plan.model
    beside = (folder.root, folder.root.parent, *(() if models is None else (models,)))
    path = find_model(folder.plans[number], beside)
    if path is None:
        raise UsageError(
            f"the plan's model {wanted.name} is neither beside the plan nor here", "name its folder with --model"
        )
    return path


def asked_again(
    folder: PoolFolder, lost: Collection[str], models: Path | None, limits: Limits | None, tell: Tell
) -> SolvedPool:
    """Return the answer to the question of a pool's plan without the devices that are lost; as for `replan`."""
    from segsolve.pool.model import Sharing
    from segsolve.report.units import count

    devices = [device.name for device in folder.pool.devices]
    if unknown := sorted(set(lost) - set(devices)):
        raise UsageError(f"the pool has no device {unknown[0]!r}", f"known: {', '.join(devices)}")
    left = [number for number, name in enumerate(devices) if name not in lost]
    asked = question_of(folder, models=models, left=left, tell=tell)
    solved, workload = asked.solve(limits), asked.problem.workload
    if solved.found.plan is None and workload.sharing is Sharing.NEVER:
        tell(f"{count(len(left), 'TPU')} cannot serve every model apart; they share")
        shared = replace(asked.problem, workload=replace(workload, sharing=Sharing.AUTO))
        solved = replace(asked, problem=shared).solve(limits)
    if solved.found.plan is not None and not solved.found.keeps_rates:
        tell("the devices that are left do not make the rates that were asked for; going on with what they make")
    return solved


def report(folder: Path, models: Path | None = None) -> tuple[str, str]:
    """Return the page of a pool's plan, and what it lacks (nothing, for a complete one).

    Raises:
        PlanError: the folder cannot be used.
    """
    from segsolve.errors import SegsolveError
    from segsolve.report.pool.page import pool_html
    from segsolve.report.pool.view import pool_view
    from segsolve_runtime.contract.pool import load_pool

    found = load_pool(folder)
    try:
        ways, missing = _ways(found, models), ""
    except SegsolveError as error:
        ways, missing = (), str(error)
    return pool_html(pool_view(found, ways, missing)), missing


def _ways(folder: PoolFolder, models: Path | None) -> tuple[Way, ...]:
    """Return what simple uses of a pool come to, and the best without shared TPUs."""
    from segsolve.errors import DeviceError
    from segsolve.pool.evaluate import score_pool
    from segsolve.pool.model import Goal, Sharing
    from segsolve.pool.read import plan_of
    from segsolve.pool.simple import ways_beside
    from segsolve.pool.solve import solve_pool
    from segsolve.solvers.base import Limits

    problem = question_of(folder, models=models).problem
    if score_pool(problem, plan_of(folder)).period_ns != folder.pool.period_ns:
        raise DeviceError("the devices as they are known now do not predict what the plan's file says", "solve again")
    apart = replace(problem.workload, sharing=Sharing.NEVER, goal=Goal.RATES)
    dedicated = solve_pool(replace(problem, workload=apart), limits=Limits(time_limit_s=_DEDICATED_S))
    return tuple(ways_beside(dedicated))
