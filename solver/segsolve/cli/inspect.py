"""``segsolve inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import show, show_json
from segsolve.cli.guard import guarded
from segsolve.cli.measuring import parse_ranges
from segsolve.cli.options import DeviceName, Json, Optimistic, Signature, TpuMemory, load_costs
from segsolve.library.costs import changes_of
from segsolve.values import DEFAULT_DEVICE, within

if TYPE_CHECKING:
    from segsolve.graph.model import Restriction
    from segsolve.profile.source import CostSource


@guarded
def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Quantised model, or a compiled one.")],
    device: DeviceName = DEFAULT_DEVICE,
    tpu_memory: TpuMemory = None,
    optimistic: Optimistic = False,
    operations: Annotated[
        bool, typer.Option("--ops", help="List every operation, or every layer of the segments.")
    ] = False,
    segments: Annotated[
        str, typer.Option(help="Ranges of operations to explain as segments, layer by layer, e.g. 0-21,22-65.")
    ] = "",
    signature: Signature = None,
    as_json: Json = False,
) -> None:
    """Show what a model is, what fits one TPU, where it can be cut.

    Of a model that edgetpu_compiler has compiled, it shows what the file holds.
    """
    from segsolve.compiler.package import read_compiled
    from segsolve.cost.plan import score_cut
    from segsolve.profile.analytic import AnalyticCosts
    from segsolve.report.documents import inspect_document, segments_document
    from segsolve.report.inspected import inspected_document, inspected_facts
    from segsolve.report.placed import segments_table
    from segsolve.report.table import inspect_table

    if compiled := read_compiled(model):
        from segsolve.report.compiled import model_document, model_table

        if as_json:
            show_json(model_document(compiled))
        else:
            show(model_table(compiled))
        return
    ranges = parse_ranges("--segments", segments)
    loaded, costs = load_costs(model, device, changes_of(tpu_memory, optimistic=optimistic), signature)
    problem = costs.problem(tpus=1)
    one_tpu = score_cut(problem, ())
    for _, end in ranges:
        within("--segments", end - 1, 0, len(problem.ops) - 1)
    if as_json:
        document = inspect_document(loaded.graph, problem, one_tpu) | {"host": _on_host(costs)}
        if isinstance(costs, AnalyticCosts):
            document |= inspected_document(costs, one_tpu)
        show_json(document | {"segments": segments_document(problem, ranges)} if ranges else document)
        return
    more = inspected_facts(costs, one_tpu) if isinstance(costs, AnalyticCosts) else ()
    layers = operations and not ranges
    show(inspect_table(loaded.graph, problem, one_tpu, costs.device.name, operations=layers, more=more))
    if ranges:
        show(segments_table(problem, ranges, costs.device.name, layers=operations))


def _on_host(costs: CostSource) -> tuple[Restriction, ...]:
    from segsolve.profile.analytic import AnalyticCosts

    return costs.mapped.fallbacks if isinstance(costs, AnalyticCosts) else ()
