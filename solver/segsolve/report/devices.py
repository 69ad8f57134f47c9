"""The catalogue of devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segsolve.device.model import Device
from segsolve.report.grid import Grid
from segsolve.report.units import mib


def devices_document(devices: Sequence[Device]) -> dict[str, Any]:
    """Return the devices as a JSON document; a device without a shared link has None there."""
    return {
        "devices": [
            {"name": d.name, "title": d.title, "memory_bytes": d.memory_bytes, "link_mib_per_s": d.link_mib_per_s}
            for d in devices
        ]
    }


def devices_table(devices: Sequence[Device]) -> Grid:
    """Return one row per device."""
    table = Grid(
        "",
        *("device", "on chip\nMiB", "shared link\nMiB/s", "what it is"),
        left=("what it is",),
        optional=("shared link\nMiB/s", "on chip\nMiB"),
    )
    for d in devices:
        link = "-" if d.link_mib_per_s is None else f"{d.link_mib_per_s:,.0f}"
        table.add_row(d.name, mib(d.memory_bytes), link, d.title)
    return table
