"""`segsolve.build`, `check`, `verify` and `replan`: what can be done with a plan's folder, or a pool's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, overload

from segsolve.errors import NoCertificateError, UsageError
from segsolve.library.answer import Answer
from segsolve.library.costs import Tell, quiet
from segsolve.values import MOST_TPUS, whole
from segsolve_runtime.contract.files import is_there

if TYPE_CHECKING:
    from segsolve.checker.check import Report
    from segsolve.checker.pool.check import PoolReport
    from segsolve.checker.steps import Step
    from segsolve.graph.read import LoadedModel
    from segsolve.library.pools import SolvedPool
    from segsolve.problem import Problem
    from segsolve.profile.source import CostSource
    from segsolve.question import Objective, Question
    from segsolve.search.answer import Answer as Found
    from segsolve.segments.verify import Verification
    from segsolve.solvers.base import Limits
    from segsolve_runtime.contract.plan import Plan, PlanFolder, Solution
    from segsolve_runtime.contract.pool import PoolFolder

PLANNER = "dp"
"""Of plans that are made anew: exact, and the fastest, for frames may be waiting."""


@overload
def build(answer: Answer, folder: str | Path, *, verify: bool = True) -> PlanFolder: ...
@overload
def build(answer: SolvedPool, folder: str | Path, *, verify: bool = True) -> PoolFolder: ...
def build(answer: Answer | SolvedPool, folder: str | Path, *, verify: bool = True) -> PlanFolder | PoolFolder:
    """Write an answer's plan, its segments and its certificate; prove the segments equal to the model with `verify`.

    Of a pool, that is the plan of each model, and the file that ties them. Of a graph or a profile without a model
    there are no segments, and nothing to prove equal.

    Raises:
        UsageError: the answer has no plan.
        OutputError: the folder cannot be written.
        MismatchError: a segment's outputs differ from the model's.
    """
    from segsolve.plan.folder import write_plan
    from segsolve.segments.verify import verify as prove

    if not isinstance(answer, Answer):
        pool = answer.write(folder)
        for plan, loaded in zip(pool.plans, answer.models, strict=True) if verify else ():
            prove(plan, loaded)
        return pool
    origin = answer.model or answer.costs
    if answer.plan is None or origin is None:
        raise UsageError("the answer has no plan to write", "ask for what can be had")
    made = write_plan(Path(folder), loaded=origin, device=answer.device, problem=answer.problem, answer=answer.found)
    if verify and answer.model is not None:
        prove(made, answer.model)
    return made


def check(folder: str | Path, observe: Callable[[Step], object] | None = None) -> Report | PoolReport:
    """Prove again that a plan, or a pool's, is what it says of itself, without the solver; `observe` hears each step.

    The report says whether it is certified, and over what; a plan that is not proves nothing.

    Raises:
        PlanError: the folder cannot be used.
        NoCertificateError: it has no certificate.
    """
    from segsolve.checker.check import check_folder
    from segsolve.checker.document import CERTIFICATE_FILE
    from segsolve.checker.pool.check import check_pool
    from segsolve_runtime.contract.plan import is_pool, load_plan
    from segsolve_runtime.contract.pool import load_pool

    root, observe = Path(folder), observe or (lambda _: None)
    if is_pool(root):
        pool = load_pool(root)
        if not is_there(pool.root / CERTIFICATE_FILE):
            raise NoCertificateError(
                "the pool's plan has no certificate: it does not make the rates that it is to keep"
            )
        return check_pool(pool, observe)
    found = load_plan(root, costs_only=True)
    if not is_there(found.root / CERTIFICATE_FILE):
        raise _missing(found.plan)
    return check_folder(found, observe)


def _missing(plan: Plan) -> NoCertificateError:
    if plan.solution.status == "optimal":
        return NoCertificateError("the plan has no certificate, that it is optimal is the solver's word")
    return NoCertificateError("the plan has no certificate, and does not claim to be optimal")


def verify(
    folder: str | Path, model: str | Path | None = None, *, inputs: int | None = None, seed: int = 0
) -> Verification | dict[str, Verification]:
    """Prove a plan's segments equal to the whole model, byte for byte, by running both on random inputs.

    Without `model` it is looked for where it was when the plan was made, and beside the plan; of a pool, each model's
    segments are, and what was compared is returned by model. Without `inputs` there are two, and more of a model that
    keeps state.

    Raises:
        PlanError, ModelError: the folder or the model cannot be used.
        MismatchError: they are not equal.
    """
    from segsolve.segments.verify import verify as prove
    from segsolve_runtime.contract.plan import is_pool, load_plan

    if is_pool(Path(folder)):
        if model is not None:
            raise UsageError("the plan of a pool has several models", "leave out the model; they are looked for")
        return dict(verified_models(Path(folder), inputs=inputs, seed=seed))
    found = load_plan(Path(folder))
    return prove(found, plan_model(found, None if model is None else Path(model)), inputs=inputs, seed=seed)


def verified_models(
    folder: Path, *, inputs: int | None, seed: int, begin: Callable[[str], object] = quiet
) -> Iterator[tuple[str, Verification]]:
    """Yield what was compared of each model of a pool, as `verify` does; `begin` hears the name before."""
    from segsolve.segments.verify import verify as prove
    from segsolve_runtime.contract.pool import load_pool

    found = load_pool(folder)
    for model, plan in zip(found.pool.models, found.plans, strict=True):
        begin(model.name)
        yield model.name, prove(plan, plan_model(plan, None), inputs=inputs, seed=seed)


@overload
def replan(
    folder: str | Path,
    *,
    tpus: int,
    model: str | Path | None = None,
    device: str | None = None,
    into: str | Path | None = None,
    tell: Tell = quiet,
) -> Answer: ...
@overload
def replan(
    folder: str | Path,
    *,
    lost: Collection[str],
    model: str | Path | None = None,
    into: str | Path | None = None,
    limits: Limits | None = None,
    tell: Tell = quiet,
) -> SolvedPool: ...
def replan(
    folder: str | Path,
    *,
    tpus: int | None = None,
    lost: Collection[str] | None = None,
    model: str | Path | None = None,
    device: str | None = None,
    into: str | Path | None = None,
    limits: Limits | None = None,
    tell: Tell = quiet,
) -> Answer | SolvedPool:
    """Ask a plan's question again for another number of devices, and write the answer's folder `into`, if named.

    Of a pool it is asked again without the devices that are `lost`, by the names that `pool.json` gives them, such as
    ``edgetpu-usb:0``, and `limits` are those of the search. Where so few devices do not keep a latency or a rate that
    was asked for, the limit is given up, and `tell` is told. The model is looked for beside the plan and in the current
    folder; `model` is its file, or of a pool the folder of the models.

    Raises:
        PlanError, UsageError, ModelError: the folder cannot be used, its model is not there, or no device is left.
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    from segsolve_runtime.contract.plan import is_pool, load_plan

    root, named = Path(folder), None if model is None else Path(model)
    answer: Answer | SolvedPool
    if is_pool(root):
        from segsolve.library.pool_again import asked_again as asked_of_pool
        from segsolve_runtime.contract.pool import load_pool

        if lost is None or tpus is not None or device is not None:
            raise UsageError(
                "the plan of a pool is made again without some of its devices", 'name them: lost=["edgetpu-usb:0"]'
            )
        answer = asked_of_pool(load_pool(root), lost, named, limits, tell)
    else:
        if tpus is None or lost is not None or limits is not None:
            raise UsageError("the plan of a model is made again for a number of TPUs", "say how many: tpus=3")
        whole("--tpus", tpus, 1, MOST_TPUS)
        found = load_plan(root)
        answer = asked_again(found, plan_model(found, named), device, tpus, tell)
    if into is not None:
        build(answer, into, verify=False)
    return answer


def asked_again(folder: PlanFolder, loaded: LoadedModel, device: str | None, tpus: int, tell: Tell) -> Answer:
    """Return the answer to a plan's question for another number of devices.

    Raises:
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    source = plan_costs(folder, loaded, device)
    record = folder.plan.solution.question
    problem = source.problem(tpus=tpus, no_spill=record is not None and record.no_spill)
    found = _answer(problem, folder.plan.solution, tell)
    return Answer(found=found, problem=problem, device=source.device, model=loaded)


def plan_model(folder: PlanFolder, model: Path | None) -> LoadedModel:
    """Return the model that a plan was made from: `model`, or a file of its name and content beside the plan or here.

    Raises:
        UsageError: there is none.
        ModelError: it cannot be read, or is another one.
    """
    from segsolve.graph.read import check_model, read_model
    from segsolve.report.plan_source import find_model

    wanted = folder.plan.model
    path = model or find_model(folder)
    if path is None:
        raise UsageError(f"the plan's model {wanted.name} is neither beside the plan nor here", "name it with --model")
    loaded = read_model(path, wanted.signature)
    check_model(loaded.graph, path, wanted)
    return loaded


def plan_costs(folder: PlanFolder, loaded: LoadedModel, device: str | None) -> CostSource:
    """Return the costs that a plan was made with, on its device or on the one that is named.

    Raises:
        DeviceError: they are not known.
    """
    from segsolve.profile.load import planned_costs

    return planned_costs(folder.plan.device, device)(loaded.graph)


def _answer(problem: Problem, solution: Solution, tell: Tell) -> Found:
    """Answer the question of a plan, and without its limits if nothing keeps them."""
    from segsolve.search.ask import answer

    question = _question(solution)
    limits = question.constraints.limits
    with suppress(UsageError):
        found = answer(problem, question, planner=PLANNER)
        if found.plan is not None or not limits:
            return found
    tell("no plan for the devices that are left keeps the latency or the rate that was asked for; going on without")
    free = question.constraints.without(*(limit.key for limit in limits))
    return answer(problem, replace(question, objective=_running(question.objective), constraints=free), planner=PLANNER)


def _question(solution: Solution) -> Question:
    """Return what a plan was asked for; of a front its plan of the most throughput runs."""
    from segsolve.plan.question import asked
    from segsolve.question import Objective, Question

    if solution.question is None:
        return Question()
    question = asked(solution.question)
    return replace(question, objective=Objective.THROUGHPUT) if question.objective is Objective.PARETO else question


def _running(objective: Objective) -> Objective:
    """Return what to aim at without limits: the fewest devices for nothing would be one."""
    from segsolve.question import Objective as Objectives

    return Objectives.THROUGHPUT if objective is Objectives.DEVICES else objective
