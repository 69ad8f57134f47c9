"""What the compiler said of the residents of a pool: as a table for the terminal and as a JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from segsolve.report.grid import Grid
from segsolve.report.units import mib, or_dash
from segsolve_runtime.contract.document import members

if TYPE_CHECKING:
    from segsolve.compiler.pool import CompiledResident


def compiled_pool_table(done: Sequence[CompiledResident], version: str) -> RenderableType:
    """Return what the compiler keeps on chip of each resident beside what was predicted."""
    table = Grid(
        f"compiled together, TPU by TPU, with edgetpu_compiler {version}: weights in MiB",
        *("TPU", "model", "stage", "on chip", "predicted", "streamed", "predicted"),
        names=("model",),
    )
    last = ""
    for each in done:
        report = each.compiled.report
        table.add_row(
            each.device if each.device != last else "",
            each.model,
            str(each.stage),
            or_dash(mib, report.onchip_bytes),
            mib(each.predicted_onchip_bytes),
            or_dash(mib, report.offchip_bytes),
            mib(each.predicted_offchip_bytes),
        )
        last = each.device
    return table


def compiled_pool_document(done: Sequence[CompiledResident], version: str) -> dict[str, Any]:
    """Return what the compiler said of each resident."""
    return {
        "compiler": version,
        "residents": [
            {
                **members(each, "device", "model", "stage"),
                **members(each.compiled.report, "onchip_bytes", "offchip_bytes"),
                **members(each, "predicted_onchip_bytes", "predicted_offchip_bytes"),
            }
            for each in done
        ],
    }
