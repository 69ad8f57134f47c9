"""``segsolve devices``."""

from __future__ import annotations

from segsolve.cli.console import show_text
from segsolve.cli.guard import guarded


@guarded
def command() -> None:
    """List the devices of the catalogue."""
    from segsolve.device.model import device_names, load_device

    for name in device_names():
        show_text(f"{name:14} {load_device(name).title}")
