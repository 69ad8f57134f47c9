"""``segsolve verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from segsolve.cli.console import progress, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, Model, PlanDir, Seed, at_least


@guarded
def command(
    plan: PlanDir,
    model: Model,
    inputs: Annotated[int, typer.Option("--inputs", help="Number of random inputs.")] = 2,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Prove a plan's segments equal to the whole model, byte for byte, by running both."""
    from segsolve.graph.read import read_model
    from segsolve.segments.verify import verify
    from segsolve_runtime.plan import load_plan

    at_least("--inputs", inputs, 1)
    folder, loaded = load_plan(plan), read_model(model)
    with progress("comparing the segments with the whole model"):
        done = verify(folder, loaded, inputs=inputs, seed=seed)
    if as_json:
        show_json({"identical": True, **asdict(done)})
    else:
        typer.echo(
            f"identical: {len(folder.plan.stages)} segments and the whole model, {done.output_tensors} outputs and "
            f"{done.crossing_tensors} crossing tensors, {done.compared_bytes} bytes on {done.inputs} random inputs"
        )
