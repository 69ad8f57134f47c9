"""``segsolve inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve.cli.console import show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.options import DEFAULT_DEVICE, DeviceName, Json, Model, TpuMemory, load_costs


@guarded
def command(
    model: Model,
    device: DeviceName = DEFAULT_DEVICE,
    tpu_memory: TpuMemory = None,
    operations: Annotated[bool, typer.Option("--ops", help="List every operation.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a model is, what fits one TPU, and where it can be cut."""
    from segsolve.evaluate import score
    from segsolve.problem import Segmentation
    from segsolve.report.documents import inspect_document
    from segsolve.report.table import inspect_table

    loaded, costs = load_costs(model, device, tpu_memory)
    problem = costs.problem(tpus=1)
    one_tpu = score(problem, Segmentation(cuts=()))
    if as_json:
        show_json(inspect_document(loaded.graph, problem, one_tpu))
    else:
        show(inspect_table(loaded.graph, problem, one_tpu, costs.device.name, operations=operations))
