"""Writes the folder of a pool's plan: a plan's folder for each model, the file that ties them, and its certificate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

from segsolve.cost.plan import PlanScore, Score, rounded_down
from segsolve.errors import OutputError
from segsolve.graph.read import LoadedModel
from segsolve.plan.folder import CERTIFICATE_FILE, begins_with, changed_folder, put_plan
from segsolve.plan.model import Pipeline, Plan
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.certificate import certificate
from segsolve.pool.evaluate import PoolScore
from segsolve.pool.plan import PoolPlan, Resident
from segsolve.question import Cuts, Question
from segsolve.search.answer import Answer
from segsolve.solvers.base import Confirmation, Status
from segsolve_runtime.contract import pool as poolfile
from segsolve_runtime.contract.changes import Change, settle
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.document import jsonable, members
from segsolve_runtime.contract.files import is_file, is_there
from segsolve_runtime.contract.plan import PLAN_FILE, POOL_FILE
from segsolve_runtime.contract.start import Start

_MODELS = "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the costs of a pool come from.

    By kind: the device, its on-chip memory, and whether what large images may take of it is left aside. `host_of` is
    the device whose description is right about the host, where that was said.
    """

    devices: Sequence[str]
    memory_bytes: Sequence[int]
    optimistic: Sequence[bool]
    host_of: str | None = None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a model's plan says of the devices of a pool."""

    name: str
    memory_bytes: int
    is_optimistic: bool = False
    start: Start | None = None
    ranges: tuple[tuple[str, float, float], ...] = ()


def write_pool(
    folder: Path,
    answer: PoolAnswer,
    models: Sequence[LoadedModel],
    described: Described,
) -> poolfile.PoolFolder:
    """Write a pool's folder, in place of an older one there, and read it back.

    Raises:
        OutputError: the folder cannot be written, or holds something else.
        ValueError: the answer has no plan.
    """
    if answer.plan is None or answer.score is None:
        raise ValueError("there is no plan to write")
    plan, score = answer.plan, answer.score
    facts = _Facts(
        name="+".join(kind.name for kind in answer.problem.pool.kinds),
        memory_bytes=max(described.memory_bytes),
        is_optimistic=any(described.optimistic),
    )
    with changed_folder(folder, _refuse_to_overwrite) as change:
        hashes = [_put_model(change, folder, answer, m, plan, score, loaded, facts) for m, loaded in enumerate(models)]
        document = _document(answer, plan, score, hashes, described)
        proof = certificate(answer, plan)
        if proof is not None:
            binding = {
                "pool_sha256": poolfile.content_sha256(document.model_dump(mode="json")),
                "models": [m.graph.sha256 for m in models],
            }
            content = json.dumps(proof | {"binding": binding}, separators=(",", ":")).encode()
            change.put(CERTIFICATE_FILE, content)
            document = document.model_copy(update={"certificate_sha256": hashlib.sha256(content).hexdigest()})
        change.put(POOL_FILE, digested_json(document).encode())
        for stale in (folder / CERTIFICATE_FILE, *(folder / _MODELS).rglob("*")):
            if is_file(stale) or stale.is_symlink():
                change.remove(stale.relative_to(folder).as_posix())
    return poolfile.load_pool(folder)


def check_pool_writable(folder: Path) -> None:
    """Raise the OutputError that `write_pool` would raise for a folder, before time is spent on solving."""
    with changed_folder(folder, _refuse_to_overwrite):
        pass


def _refuse_to_overwrite(folder: Path) -> None:
    file = folder / POOL_FILE
    ours = begins_with(file, "segsolve-pool")
    taken = [name for name in (POOL_FILE, _MODELS, PLAN_FILE, CERTIFICATE_FILE) if is_there(folder / name)]
    if taken and not ours:
        raise OutputError(f"{folder} holds {taken[0]}, which is not of a pool's plan", "choose another folder with -o")
    for model in (folder / _MODELS).glob("*"):
        settle(model)


def model_plan(plan: PoolPlan, model: int) -> Plan:
    """Return what one model does in a pool's plan, as a plan of its own."""
    return Plan(
        pipelines=tuple(
            Pipeline(stages=tuple(stage.as_stage for stage in plan.pipelines[p].stages)) for p in plan.of_model(model)
        )
    )


def _put_model(
    change: Change,
    folder: Path,
    answer: PoolAnswer,
    model: int,
    plan: PoolPlan,
    score: PoolScore,
    loaded: LoadedModel,
    facts: _Facts,
) -> str:
    """Let a change write a model's own plan, and return what the pool's file knows it by."""
    own = model_plan(plan, model)
    costs = PlanScore(
        pipelines=tuple(
            Score(
                stages=score.stages[p],
                replicas=tuple(len(stage.devices) for stage in plan.pipelines[p].stages),
            )
            for p in plan.of_model(model)
        )
    )
    problem = replace(answer.problem.costs[model][0], tpus=max(1, own.tpus), host=None)  # which all models share
    found = Answer(
        question=Question(cuts=Cuts.CHAIN),
        planner="pool",
        status=Status.FEASIBLE,
        plan=own,
        score=costs,
        value=Fraction(costs.period_ns),
        bound=Fraction(0),
        cuts="chain",
        found_by=answer.found_by,
        confirmed_by=(Confirmation(by="evaluator", claim="what the plan costs", strength="exact", seconds=0.0),),
        stopped_by=answer.stopped_by,
        seed=answer.seed,
    )
    place = _folder_of(answer, model)
    return put_plan(
        change.below(place),
        folder / place,
        loaded=loaded,
        device=facts,
        problem=problem,
        answer=found,
        together=[_company(plan, p) for p in plan.of_model(model)],
    )


def _company(plan: PoolPlan, pipeline: int) -> tuple[object, ...]:
    """Return what is compiled together with each stage of a pipeline: equal pipelines have equal segments only then."""
    return tuple(
        tuple((plan.model_of(r), plan.stage(r).ops) for r in plan.residents[d]) if len(plan.residents[d]) > 1 else ()
        for stage in plan.pipelines[pipeline].stages
        for d in stage.devices
    )


def _folder_of(answer: PoolAnswer, model: int) -> str:
    name = answer.problem.workload.demands[model].model
    return f"{_MODELS}/{model}-{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}"


def _document(
    answer: PoolAnswer,
    plan: PoolPlan,
    score: PoolScore,
    hashes: Sequence[str],
    described: Described,
) -> poolfile.PoolFile:
    problem = answer.problem
    pool, workload = problem.pool, problem.workload
    names = [name for kind in pool.kinds for name in (kind.names or (None,) * kind.count)]
    return poolfile.PoolFile(
        kinds=[
            poolfile.PoolKind(
                **members(kind, "name", "count", "link"), device=device, memory_bytes=memory, optimistic=known
            )
            for kind, device, memory, known in zip(
                pool.kinds, described.devices, described.memory_bytes, described.optimistic, strict=True
            )
        ],
        links=[
            poolfile.PoolLink(name=name, ns_per_mib=link.ns_per_mib, load_ns=up(load))
            for (name, link), load in zip(pool.links, score.link_loads, strict=True)
        ],
        devices=[
            poolfile.PoolDevice(
                name=pool.device_name(d),
                kind=pool.devices[d],
                attached=names[d],
                residents=[_resident(answer, plan, r, d) for r in residents],
                load_ns=up(score.device_loads[d]),
            )
            for d, residents in enumerate(plan.residents)
        ],
        models=[
            poolfile.PoolModel(
                name=demand.model,
                folder=_folder_of(answer, m),
                plan_sha256=hashes[m],
                weight=demand.weight,
                constraints=jsonable(dict(demand.kept.values)),
                pins=[poolfile.PoolPin(**asdict(pin)) for pin in demand.pins],
                rate_fps=rounded_down(score.rate_fps(m)),
                latency_ns=score.latency_ns(m),
                own_latency_ns=score.own_latency_ns(m),
                shares=[str(share) for p in plan.of_model(m) if (share := plan.pipelines[p].share) is not None],
            )
            for m, demand in enumerate(workload.demands)
        ],
        host_load_ns=up(score.host_load),
        host_cores=problem.host_cores,
        host_of=described.host_of,
        solution=poolfile.PoolSolution(
            status="optimal" if answer.status is Status.OPTIMAL else "feasible",
            objective=workload.goal.value,
            sharing=workload.sharing.value,
            scale_fps=None if workload.scale_fps is None else str(workload.scale_fps),
            no_spill=problem.costs[0][0].no_spill,
            period_ns=score.period_ns,
            objective_ns=up(answer.value or Fraction(0)),
            bound_ns=up(answer.bound),
            gap=answer.gap or 0.0,
            **members(answer, "over", "best_without_copies", "found_by", "stopped_by", "wall_s", "seed"),
            confirmed_by=[poolfile.PoolConfirmation(**asdict(c)) for c in answer.confirmed_by],
        ),
    )


def _resident(answer: PoolAnswer, plan: PoolPlan, resident: Resident, device: int) -> poolfile.PoolResident:
    pipelines = plan.of_model(plan.model_of(resident))
    return poolfile.PoolResident(
        model=answer.problem.workload.demands[plan.model_of(resident)].model,
        pipeline=pipelines.index(resident.pipeline),
        stage=resident.stage,
        replica=plan.stage(resident).devices.index(device),
    )


def up(value: Fraction) -> int:
    """Round up to whole ns."""
    return -(-value.numerator // value.denominator)
