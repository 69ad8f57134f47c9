"""``segsolve verify``."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show_json, show_sentence
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, PlanDir, Seed
from segsolve.cli.pool import verify_pool
from segsolve.errors import UsageError
from segsolve.values import within
from segsolve_runtime.contract.document import jsonable

if TYPE_CHECKING:
    from segsolve.segments.verify import Frames
    from segsolve_runtime.contract.plan import Plan

_MOST_FILES = 100  # frames of `--input` that are compared, where nobody says how many


@guarded
def command(
    plan: PlanDir,
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL.tflite]", help="The whole model, if it is not where it was."),
    ] = None,
    inputs: Annotated[
        int | None, typer.Option("--inputs", help="Number of inputs: 2 random ones, a sequence for models with state.")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", metavar="[NAME=]FILE", help="Inputs of your own, as for run; repeatable."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Prove segments equal to the whole model by running both."""
    from segsolve.library.plans import plan_model
    from segsolve.report.units import count
    from segsolve.segments.verify import verify
    from segsolve_runtime.contract.plan import is_pool, load_plan

    if inputs is not None:
        within("--inputs", inputs, 1)
    within("--seed", seed, 0)
    if is_pool(plan):
        if model is not None or files:
            raise UsageError("the plan of a pool has several models", "leave out MODEL and --input")
        verify_pool(plan, inputs=inputs, seed=seed, as_json=as_json)
        return
    folder = load_plan(plan)
    loaded = plan_model(folder, model)
    frames = _frames(folder.plan, files, inputs) if files else None
    with progress("comparing the segments with the whole model"):
        done = verify(folder, loaded, inputs=inputs, seed=seed, frames=frames)
    if as_json:
        show_json({"identical": True, **jsonable(done)})
        return
    kind = "input" if files else "random input"
    show_sentence(
        f"identical, byte for byte: {count(done.output_tensors, 'output')} and "
        f"{count(done.crossing_tensors, 'crossing tensor')}, {count(done.compared_bytes, 'byte')} on "
        f"{count(done.inputs, kind)}"
    )
    if done.left_out:
        show_sentence(
            f"not compared: {count(done.left_out, 'operation')} that LiteRT cannot run here, or hang on these"
        )


def _frames(plan: Plan, files: list[str], most: int | None) -> Frames:
    from segsolve_runtime.io.inputs import open_inputs

    given = open_inputs(plan, files)
    for text in (*given.doubts, *given.notes):
        news(text)
    frames = list(islice(given.frames(), most or _MOST_FILES))
    if most is None and len(frames) == _MOST_FILES:
        news(f"the first {_MOST_FILES} inputs are compared; --inputs says how many")
    return frames
