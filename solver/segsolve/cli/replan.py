"""Another plan for the devices that are left, while the frames that are not done wait."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.graph.read import LoadedModel
    from segsolve.problem import Problem
    from segsolve.profile.source import CostSource
    from segsolve.question import Objective, Question
    from segsolve.search.answer import Answer
    from segsolve_runtime.contract.plan import PlanFolder, Solution
    from segsolve_runtime.errors import DevicesLeftError

PLANNER = "dp"
"""Exact, and the fastest: frames are waiting."""


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


def replan(
    folder: PlanFolder, loaded: LoadedModel, device: str | None, lost: DevicesLeftError, into: Path
) -> PlanFolder:
    """Ask the plan's question again for the devices that are left, and write the answer to a folder.

    Where no plan of so few devices keeps a latency or a rate that was asked for, the limit is given up, and said so.

    Raises:
        DevicesLeftError: no device is left, or no plan for so few; it is `lost`.
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    from segsolve.plan.folder import write_plan
    from segsolve.report.units import count, fps
    from segsolve_runtime.contract.places import places

    left = len(places(folder.plan)) - len(lost.lost)
    for reason in lost.lost.values():
        news(f"lost: {reason}")
    if left < 1:
        raise lost
    source = costs(folder, loaded, device)
    record = folder.plan.solution.question
    problem = source.problem(tpus=left, no_spill=record is not None and record.no_spill)
    found = _answer(problem, folder.plan.solution)
    if found.plan is None:
        news(f"no plan on {count(left, 'device')} keeps what was asked for")
        raise lost
    made = write_plan(into, loaded=loaded, device=source.device, problem=problem, answer=found)
    news(
        f"solved again for {count(left, 'device')}: {count(len(made.plan.all_stages), 'stage')}, "
        f"{fps(made.plan.solution.throughput_fps)} inferences per second predicted; "
        f"going on with {count(len(lost.undone), 'inference')} that were under way"
    )
    return made


def costs(folder: PlanFolder, loaded: LoadedModel, device: str | None) -> CostSource:
    """Return the costs that a plan was made with, on its device or on the one that is named.

    Raises:
        DeviceError: they are not known.
    """
    from segsolve.profile.load import device_costs

    made_for = folder.plan.device
    return device_costs(device or made_for.name, made_for.memory_bytes)(loaded.graph)


def _answer(problem: Problem, solution: Solution) -> Answer:
    """Answer the question of a plan, and without its limits if nothing keeps them."""
    from segsolve.search.ask import answer

    question = _question(solution)
    kept = question.constraints
    is_free = kept.max_latency_ns is None and kept.min_fps is None
    with suppress(UsageError):  # what is not planned on a shared link is a matter of limits too
        found = answer(problem, question, planner=PLANNER)
        if found.plan is not None or is_free:
            return found
    news("no plan for the devices that are left keeps the latency or the rate that was asked for; going on without")
    free = replace(kept, max_latency_ns=None, min_fps=None)
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


def compiled(made: PlanFolder, tool: Compiler) -> PlanFolder:
    """Compile the segments of a new plan, and return it.

    Raises:
        CompilerError: a segment cannot be compiled.
    """
    from segsolve.compiler.build import CompiledStages, tpu_files, write_compiled

    files = tpu_files(made)
    done = CompiledStages(compiler=tool).compile_files([made.root / file for file in files])
    write_compiled(made, dict(zip(files, done, strict=True)), tool.version)
    return made
