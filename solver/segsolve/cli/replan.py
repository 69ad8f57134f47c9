"""Another plan for the devices that are left, while the frames that are not done wait."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.graph.read import LoadedModel
    from segsolve_runtime.contract.plan import PlanFolder
    from segsolve_runtime.errors import DevicesLeftError


def replan(
    folder: PlanFolder, loaded: LoadedModel, device: str | None, lost: DevicesLeftError, into: Path
) -> PlanFolder:
    """Ask the plan's question again for the devices that are left, and write the answer to a folder.

    Where no plan of so few devices keeps a latency or a rate that was asked for, the limit is given up, and said so.

    Raises:
        DevicesLeftError: no device is left, or no plan for so few; it is `lost`.
        DeviceError: the costs that the plan was made with are not known; name them.
    """
    from segsolve.library.plans import asked_again, build
    from segsolve.report.units import count, fps
    from segsolve_runtime.contract.places import places

    left = len(places(folder.plan)) - len(lost.lost)
    for reason in lost.lost.values():
        news(f"lost: {reason}")
    if left < 1:
        raise lost
    found = asked_again(folder, loaded, device, left, news)
    if found.plan is None:
        news(f"no plan on {count(left, 'device')} keeps what was asked for")
        raise lost
    made = build(found, into, verify=False)
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
