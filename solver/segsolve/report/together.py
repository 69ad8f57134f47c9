"""What the compiler said of models that share a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.compiler.run import Compiled
from segsolve.report.grid import Grid
from segsolve.report.units import mib, or_dash
from segsolve_runtime.contract.document import members


def together_table(made: Mapping[Path, Compiled], version: str) -> RenderableType:
    """Return a row for each model in the order in which they share the memory; sizes are the compiler's."""
    table = Grid(
        f"compiled together by edgetpu_compiler {version}, for one TPU: weights in MiB",
        *("model", "on chip", "left", "streamed", "operations", "on CPU"),
        left=("model",),
    )
    for file, each in made.items():
        report = each.report
        table.add_row(
            file.stem,
            *(or_dash(mib, n) for n in (report.onchip_bytes, report.onchip_free_bytes, report.offchip_bytes)),
            or_dash(str, report.total_operations),
            str(sum(mapping.count for mapping in report.fallen_back)),
        )
    said = "They share the memory of one TPU in this order: what comes first keeps its weights there."
    return Group(table, Text(said))


def together_document(made: Mapping[Path, Compiled], version: str) -> dict[str, Any]:
    """Return the same as JSON, sizes in bytes; null where the compiler said nothing."""
    return {
        "compiler": version,
        "models": [
            {
                "file": file,
                **members(each.report, "onchip_bytes", "onchip_free_bytes", "offchip_bytes"),
                "operations": each.report.total_operations,
                "operations_on_cpu": sum(mapping.count for mapping in each.report.fallen_back),
            }
            for file, each in made.items()
        ],
    }
