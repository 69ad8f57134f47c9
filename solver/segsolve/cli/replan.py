"""Another plan for the devices that are left, while the frames that are not done wait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.graph.read import LoadedModel
    from segsolve_runtime.errors import DevicesLeftError
    from segsolve_runtime.plan import PlanFolder

PLANNER = "dp"
"""Exact, and done in milliseconds: frames are waiting."""


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
    loaded = read_model(path)
    check_model(loaded.graph, path, wanted)
    return loaded


def replan(
    folder: PlanFolder, loaded: LoadedModel, device: str | None, lost: DevicesLeftError, into: Path
) -> PlanFolder:
    """Solve a plan's model for the devices that are left, and write the plan to a folder.

    Raises:
        DevicesLeftError: no device is left; it is `lost`.
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    from segsolve.build import write_plan
    from segsolve.layouts.search import answer
    from segsolve.profile.load import device_costs
    from segsolve.report.units import count, fps
    from segsolve_runtime.places import places

    left = len(places(folder.plan)) - len(lost.lost)
    for reason in lost.lost.values():
        news(f"lost: {reason}")
    if left < 1:
        raise lost
    source = device_costs(device or folder.plan.device.name, folder.plan.device.memory_bytes)(loaded.graph)
    problem = source.problem(tpus=left)
    found = answer(problem, planner=PLANNER)
    made = write_plan(into, loaded=loaded, device=source.device, problem=problem, answer=found)
    news(
        f"solved again for {count(left, 'device')}: {count(len(made.plan.all_stages), 'stage')}, "
        f"{fps(made.plan.solution.throughput_fps)} inferences per second predicted; "
        f"going on with {count(len(lost.undone), 'inference')} that were under way"
    )
    return made


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
