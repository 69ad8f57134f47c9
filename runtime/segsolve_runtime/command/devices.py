"""devices: list the Edge TPUs that are attached to this machine."""

from __future__ import annotations

import argparse

from segsolve_runtime.backends.edgetpu.choose import why_none
from segsolve_runtime.backends.edgetpu.library import open_library
from segsolve_runtime.command.options import add_json, show, show_json
from segsolve_runtime.errors import HardwareError
from segsolve_runtime.observe.heat import heat_of


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_json(parser)


def command(chosen: argparse.Namespace) -> int:
    """Print the devices."""
    library = open_library()
    found = library.devices()
    if chosen.json:
        listed = [{"name": d.name, "kind": d.kind, "path": d.path} for d in found]
        show_json({"library": library.file, "version": library.version, "attached": listed})
        return 0
    if not found:
        raise HardwareError(f"no Edge TPU is attached{why_none()}")
    for device in found:
        heat = heat_of(device.path)
        show([f"{device.name:8} {device.path}" + (f"  {heat}" if heat is not None else "")])
    return 0
