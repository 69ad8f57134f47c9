"""``segsolve verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from segsolve.cli.console import progress, show_json, show_text
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, Model, PlanDir, Seed, within


@guarded
def command(
    plan: PlanDir,
    model: Model,
    inputs: Annotated[int, typer.Option("--inputs", help="Number of random inputs.")] = 2,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Prove a plan's segments equal to the whole model by running both."""
    from segsolve.graph.read import read_model
    from segsolve.report.units import count
    from segsolve.segments.verify import verify
    from segsolve_runtime.contract.plan import load_plan

    within("--inputs", inputs, 1)
    within("--seed", seed, 0)
    folder = load_plan(plan)
    loaded = read_model(model, folder.plan.model.signature)
    with progress("comparing the segments with the whole model"):
        done = verify(folder, loaded, inputs=inputs, seed=seed)
    if as_json:
        show_json({"identical": True, **asdict(done)})
    else:
        show_text(
            f"identical, byte for byte: {count(done.output_tensors, 'output')} and "
            f"{count(done.crossing_tensors, 'crossing tensor')}, {count(done.compared_bytes, 'byte')} on "
            f"{count(done.inputs, 'random input')}"
        )
