"""`segsolve.build`, `check`, `verify` and `replan`: what can be done with a plan's folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.errors import NoCertificateError, UsageError
from segsolve.library.answer import Answer
from segsolve.library.costs import Tell, quiet
from segsolve.values import MOST_TPUS, within
from segsolve_runtime.contract.files import is_there

if TYPE_CHECKING:
    from segsolve.checker.check import Report
    from segsolve.checker.pool.check import PoolReport
    from segsolve.checker.steps import Step
    from segsolve.graph.read import LoadedModel
    from segsolve.problem import Problem
    from segsolve.profile.source import CostSource
    from segsolve.question import Objective, Question
    from segsolve.search.answer import Answer as Found
    from segsolve.segments.verify import Verification
    from segsolve_runtime.contract.plan import Plan, PlanFolder, Solution

PLANNER = "dp"
"""Of plans that are made anew: exact, and the fastest, for frames may be waiting."""


def build(answer: Answer, folder: str | Path, *, verify: bool = True) -> PlanFolder:
    """Write an answer's plan, its segments and its certificate; prove the segments equal to the model with `verify`.

    Raises:
        UsageError: the answer has no plan, or came without a model.
        OutputError: the folder cannot be written.
        MismatchError: a segment's outputs differ from the model's.
    """
    from segsolve.plan.folder import write_plan

    if answer.plan is None or answer.model is None:
        what = "no plan" if answer.plan is None else "no model"
        raise UsageError(f"the answer has {what} to write segments of", "solve a .tflite model that has a plan")
    made = write_plan(
        Path(folder), loaded=answer.model, device=answer.device, problem=answer.problem, answer=answer.found
    )
    if verify:
        from segsolve.segments.verify import verify as prove

        prove(made, answer.model)
    return made


def check(folder: str | Path, observe: Callable[[Step], object] | None = None) -> Report:
    """Prove again that a plan is what it says of itself, without the solver; `observe` hears each step.

    The report says whether it is certified, and over what; a plan that is not proves nothing.

    Raises:
        PlanError: the folder cannot be used.
        NoCertificateError: it has no certificate.
    """
    from segsolve.checker.check import check_folder
    from segsolve.checker.document import CERTIFICATE_FILE
    from segsolve_runtime.contract.plan import load_plan

    found = load_plan(Path(folder))
    if not is_there(found.root / CERTIFICATE_FILE):
        raise _missing(found.plan)
    return check_folder(found, observe or (lambda _: None))


def check_pool(folder: str | Path, observe: Callable[[Step], object] | None = None) -> PoolReport:
    """Do what `check` does for the plan of a pool: price everything again, and prove its bound again.

    Raises:
        PlanError: the folder cannot be used.
        NoCertificateError: it has no certificate.
    """
    from segsolve.checker.document import CERTIFICATE_FILE
    from segsolve.checker.pool.check import check_pool as check_again
    from segsolve_runtime.contract.pool import load_pool

    found = load_pool(Path(folder))
    if not is_there(found.root / CERTIFICATE_FILE):
        raise NoCertificateError("the pool's plan has no certificate: none is made for the least latency")
    return check_again(found, observe or (lambda _: None))


def _missing(plan: Plan) -> NoCertificateError:
    if plan.solution.status == "optimal":
        return NoCertificateError("the plan has no certificate, that it is optimal is the solver's word")
    return NoCertificateError("the plan has no certificate, and does not claim to be optimal")


def verify(folder: str | Path, model: str | Path | None = None, *, inputs: int = 2, seed: int = 0) -> Verification:
    """Prove a plan's segments equal to the whole model, byte for byte, by running both on random inputs.

    Without `model` it is looked for where it was when the plan was made, and beside the plan.

    Raises:
        PlanError, ModelError: the folder or the model cannot be used.
        MismatchError: they are not equal.
    """
    from segsolve.segments.verify import verify as prove
    from segsolve_runtime.contract.plan import load_plan

    found = load_plan(Path(folder))
    return prove(found, plan_model(found, None if model is None else Path(model)), inputs=inputs, seed=seed)


def replan(
    folder: str | Path,
    *,
    tpus: int,
    model: str | Path | None = None,
    device: str | None = None,
    into: str | Path | None = None,
    tell: Tell = quiet,
) -> Answer:
    """Ask a plan's question again for another number of devices, and write the answer's folder `into`, if named.

    Where no plan of so few devices keeps a latency or a rate that was asked for, the limit is given up, and `tell` is
    told. The model is looked for beside the plan and in the current folder.

    Raises:
        PlanError, UsageError, ModelError: the folder cannot be used, or its model is not there.
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    from segsolve_runtime.contract.plan import load_plan

    within("tpus", tpus, 1, MOST_TPUS)
    found = load_plan(Path(folder))
    loaded = plan_model(found, None if model is None else Path(model))
    answer = asked_again(found, loaded, device, tpus, tell)
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
