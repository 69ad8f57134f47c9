"""The catalogue of devices, and where every figure of their descriptions is from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from segsolve.device.model import DeviceFile, Figure
from segsolve.report.grid import Grid
from segsolve.report.units import mib


def devices_document(devices: Iterable[DeviceFile]) -> dict[str, Any]:
    """Return the devices as a JSON document; a device without a shared link has None there."""
    return {
        "devices": [
            {
                "name": described.name,
                "title": described.title,
                "memory_bytes": (device := described.device()).memory_bytes,
                "runner": described.runner,
                "link_mib_per_s": device.link_mib_per_s,
                "ranges": {name: each.model_dump() for name, each in described.ranges().items()},
                "figures": [{"name": name, **figure.model_dump()} for name, figure in described.figures().items()],
            }
            for described in devices
        ]
    }


def devices_table(devices: Iterable[DeviceFile]) -> Grid:
    """Return one row per device."""
    table = Grid(
        "",
        *("device", "on chip\nMiB", "shared link\nMiB/s", "what it is"),
        left=("what it is",),
        optional=("shared link\nMiB/s", "on chip\nMiB"),
    )
    for d in (described.device() for described in devices):
        link = "-" if d.link_mib_per_s is None else f"{d.link_mib_per_s:,.0f}"
        table.add_row(d.name, mib(d.memory_bytes), link, d.title)
    return table


def figures_list(devices: Collection[DeviceFile]) -> RenderableType:
    """Return every figure with its origin; one that several devices have in common stands once."""
    parts: list[RenderableType] = []
    for name, by_figure in _by_figure(devices).items():
        parts.append(Text(f"\n{name}" if parts else name, style="bold"))
        for figure, of in by_figure.items():
            where = "" if len(of) == len(devices) else f" on {', '.join(of)}"
            unit = "" if figure.unit == "1" else f" {figure.unit}"
            parts.append(Padding(Text(f"{figure.value:g}{unit}{where}"), (0, 0, 0, 2)))
            parts.append(Padding(Text(f"{figure.source}; error: {figure.error}", style="dim"), (0, 0, 0, 4)))
    return Group(*parts, *_ranges(devices))


def _ranges(devices: Collection[DeviceFile]) -> Iterable[RenderableType]:
    """Yield what drives a device, and how far its times may be off, if it is the only one that was asked for."""
    if len(devices) != 1:
        return
    (device,) = devices
    yield Text("\ndriven by", style="bold")
    yield Padding(Text(device.runner or "not said"), (0, 0, 0, 2))
    yield Text("\n80 % of measured times lay at these multiples of the predicted one", style="bold")
    for name, each in device.ranges().items():
        yield Padding(Text(f"{name}: {each.low:g} to {each.high:g}"), (0, 0, 0, 2))
        yield Padding(Text(each.source, style="dim"), (0, 0, 0, 4))


def _by_figure(devices: Iterable[DeviceFile]) -> dict[str, dict[Figure, list[str]]]:
    """Return for each name its figures, and for each figure the devices that have it."""
    found: dict[str, dict[Figure, list[str]]] = defaultdict(lambda: defaultdict(list))
    for device in devices:
        for name, figure in device.figures().items():
            found[name][figure].append(device.name)
    return found
