"""The zoo's catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segsolve.report.grid import Grid
from segsolve.zoo.catalogue import Network


def zoo_document(networks: Sequence[Network]) -> dict[str, Any]:
    """Return the networks with their published sizes as a JSON document."""
    return {
        "networks": [
            {
                "name": n.name,
                "family": n.family,
                "title": n.title,
                "input_shape": list(n.input_shape),
                "params": n.params,
                "macs": n.macs,
                "source": n.source,
            }
            for n in networks
        ]
    }


def zoo_table(networks: Sequence[Network]) -> Grid:
    """Return one row per network."""
    table = Grid(
        "",
        *("name", "network", "input", "million\nparams", "million\nMACs"),
        left=("network", "input"),
        optional=("network", "input"),
    )
    for n in networks:
        size = "x".join(map(str, n.input_shape))
        table.add_row(n.name, n.title, size, f"{n.params / 1e6:.1f}", f"{n.macs / 1e6:,.0f}")
    return table
