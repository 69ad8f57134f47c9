"""Profile files in and out, and the cost source behind what a user names as a device."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from segsolve.device.model import load_device
from segsolve.errors import DeviceError
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.format import VERSION, Profile
from segsolve.profile.measured import MeasuredCosts, check_profile_of
from segsolve.profile.source import CostSource
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT, OPERATIONS

_HINT = "`segsolve profile` writes such a file; the solver's README documents it"


def is_profile(name: str | Path) -> bool:
    """Whether a name is that of a profile file, and not of a model, a device or its description."""
    return str(name).endswith(".json")


def device_costs(
    device: str, memory_bytes: int | None = None, *, optimistic: bool = False
) -> Callable[[Graph], CostSource]:
    """Return what makes a network's costs on a device of the catalogue, on a described or on a measured one.

    `memory_bytes` is the on-chip memory instead of the device's; with `optimistic`, what no rule is known for takes
    nothing of it, instead of the most that was seen. What is returned raises a DeviceError too, if the measured costs
    are those of another network.

    Raises:
        DeviceError: there is no such device, or its file is not valid.
    """
    if is_profile(device):
        profile = load_profile(Path(device))

        def measured(graph: Graph) -> CostSource:
            check_profile_of(profile, graph, device)
            return MeasuredCosts(profile=profile, graph=graph, memory_bytes=memory_bytes)

        return measured
    description = load_device(device)
    if memory_bytes is not None:
        description = description.with_memory(memory_bytes)
    if optimistic:
        description = description.optimistic()
    return lambda graph: AnalyticCosts(graph=graph, device=description)


def profile_costs(path: Path, memory_bytes: int | None = None, cpus: int = 0) -> CostSource:
    """Return the costs that a profile gives by itself, without its model, on its devices and some CPU cores.

    Raises:
        DeviceError: the profile cannot be read, or is not valid.
    """
    return MeasuredCosts(profile=load_profile(path), memory_bytes=memory_bytes, name=path.stem, cpus=cpus)


def load_profile(path: Path) -> Profile:
    """Read a profile file.

    Raises:
        DeviceError: it cannot be read, or is not a valid profile of this version.
    """
    try:
        document = json.loads(read_bounded_text(path, DOCUMENT))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}", "check the path of the profile") from None
    except (ValueError, RecursionError) as error:
        raise DeviceError(f"{path} is not a profile: it is not JSON: {error}", _HINT) from None
    if not isinstance(document, dict) or document.get("format") != "segsolve-profile":
        raise DeviceError(f'{path} is not a profile: it does not say "format": "segsolve-profile"', _HINT)
    if document.get("version") != VERSION or isinstance(document["version"], bool):
        found = json.dumps(document.get("version"))
        raise DeviceError(f"{path} is a profile of version {found}, this release reads version {VERSION}", _HINT)
    layers = document.get("layers")
    if isinstance(layers, list) and len(layers) > OPERATIONS.most:
        raise DeviceError(f"{path} has {len(layers)} layers, more than {OPERATIONS.said()}")
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        raise DeviceError(f"{path} is not a valid profile: {_first(error)}", _HINT) from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    why = first["msg"].removeprefix("Value error, ")
    return f"{where}: {why}" if where else why
