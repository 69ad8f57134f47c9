"""``segsolve devices``."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve.cli.console import show, show_json, show_text
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json
from segsolve.values import DEFAULT_DEVICE


@guarded
def command(
    device: Annotated[
        str | None,
        typer.Argument(metavar="DEVICE|FILE.toml", help="A device of the catalogue, or a description of your own."),
    ] = None,
    attached: Annotated[
        bool, typer.Option("--attached", help="The Edge TPUs that are attached to this machine instead.")
    ] = False,
    guess: Annotated[
        bool, typer.Option("--guess", help="The description that fits the Edge TPUs that are attached.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the devices, or tell the origin of every figure of one."""
    if guess:
        _guessed(as_json)
    elif attached:
        _attached(as_json)
    else:
        _described(device, as_json)


def _described(name: str | None, as_json: bool) -> None:
    from segsolve.device.model import describe_device, device_names, load_device
    from segsolve.report.devices import devices_document, devices_table, figures_list

    names = (name,) if name else device_names()
    for each in names:
        load_device(each)  # refuses figures that the formulas cannot take
    described = [describe_device(each) for each in names]
    if as_json:
        show_json(devices_document(described))
    else:
        show(figures_list(described[0]) if name else devices_table(described, DEFAULT_DEVICE))


def _guessed(as_json: bool) -> None:
    from segsolve.device import guess
    from segsolve.report.devices import guess_document, guess_text
    from segsolve_runtime.backends.edgetpu import system
    from segsolve_runtime.errors import HardwareError

    root = system.ROOT
    machine, guesses = guess.machine(root), guess.guess(guess.seen(root), root)
    if as_json:
        show_json(guess_document(machine, guesses))
    elif not guesses:
        raise HardwareError(
            "Linux shows no Edge TPU on USB or PCIe: choose a description by hand, of `segsolve devices`"
        )
    else:
        show_text(guess_text(machine, guesses))


def _attached(as_json: bool) -> None:
    from segsolve_runtime.backends.edgetpu.choose import why_none
    from segsolve_runtime.backends.edgetpu.library import open_library
    from segsolve_runtime.errors import HardwareError

    library = open_library()
    devices = library.devices()
    if as_json:
        listed = [{"name": d.name, "kind": d.kind, "path": d.path} for d in devices]
        show_json({"library": library.file, "version": library.version, "attached": listed})
    elif not devices:
        raise HardwareError(f"no Edge TPU is attached{why_none()}")
    else:
        for device in devices:
            show_text(f"{device.name:8} {device.path}")
