"""The catalogue of devices, and where every figure of their descriptions is from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from segsolve.device.guess import Guess
from segsolve.device.model import ALIASES, DeviceFile, describe_device
from segsolve.report.grid import Grid
from segsolve.report.units import count, mib
from segsolve_runtime.contract.document import jsonable

_BUS = {"usb": "USB", "pci": "PCIe"}


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
                "ranges": described.ranges(),
                "figures": [{"name": name, **jsonable(figure)} for name, figure in described.figures().items()],
            }
            for described in devices
        ]
    }


def devices_table(devices: Iterable[DeviceFile], default: str) -> RenderableType:
    """Return a line per device, and below what other names there are."""
    table = Grid(
        "",
        *("device", "on chip\nMiB", "shared link\nMiB/s", "what it is"),
        optional=("on chip\nMiB", "shared link\nMiB/s"),
        text=("what it is",),
    )
    for d in (described.device() for described in devices):
        link = "-" if d.link_mib_per_s is None else f"{d.link_mib_per_s:,.0f}"
        table.add_row(d.name, mib(d.memory_bytes), link, d.title)
    others = "; ".join(f"{old} is {new}" for old, new in ALIASES.items())
    return Group(
        table,
        Text(f"The default is {default}. Older names: {others}."),
        Text(
            "`segsolve devices NAME` shows every figure, where it is from, and how far times may be off; "
            "`--guess` says which fits what is attached."
        ),
    )


def guess_document(machine: str, guesses: Sequence[Guess]) -> dict[str, Any]:
    """Return what is attached to this machine, and which descriptions fit, as a JSON document."""
    return {"machine": machine or None, "guesses": guesses}


def guess_text(machine: str, guesses: Sequence[Guess]) -> str:
    """Return the same in sentences, with what to type."""
    lines = [f"This machine is a {machine}." if machine else "This machine does not name its board: taken for a PC."]
    for one in guesses:
        titled = f"{one.device} ({describe_device(one.device).title})"
        lines += [f"{count(len(one.paths), 'Edge TPU')} on {_BUS[one.kind]}: {', '.join(one.paths)}"]
        lines += [f"  {titled} comes nearest: {one.why}.", *(f"  But {note}." for note in one.notes)]
    if len(guesses) == 1:
        lines.append(f"`segsolve solve MODEL.tflite --device {guesses[0].device} --tpus {len(guesses[0].paths)}`")
    else:
        pool = ",".join(f"{one.device}:{len(one.paths)}" for one in guesses)
        lines.append(f"`segsolve solve MODEL.tflite --pool {pool}` plans for all of them")
    return "\n".join(lines)


def figures_list(device: DeviceFile) -> RenderableType:
    """Return every figure of a device with its origin, what drives it, and how far its times may be off."""
    parts: list[RenderableType] = [Text(f"{device.name}: {device.title}", style="bold")]
    for name, figure in device.figures().items():
        unit = "" if figure.unit == "1" else f" {figure.unit}"
        parts += _entry(name, f"{figure.value:g}{unit}", f"{figure.source}; error: {figure.error}")
    parts += _entry("driven by", device.runner or "not said")
    parts.append(Text("\n80 % of measured times lay at these multiples of the predicted one", style="bold"))
    for name, each in device.ranges().items():
        parts.append(_indented(f"{name}: {each.low:g} to {each.high:g}", 2))
        parts.append(_indented(each.source, 4, "dim"))
    return Group(*parts)


def _entry(name: str, value: str, origin: str = "") -> Iterable[RenderableType]:
    yield Text(f"\n{name}", style="bold")
    yield _indented(value, 2)
    if origin:
        yield _indented(origin, 4, "dim")


def _indented(text: str, columns: int, style: str = "") -> RenderableType:
    return Padding(Text(text, style=style), (0, 0, 0, columns), expand=False)
