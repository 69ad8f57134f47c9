"""Profile files in and out, and the cost source behind what a user names as a device."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from segsolve.device.model import Changes, load_device
from segsolve.errors import DeviceError
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.format import VERSION, Profile
from segsolve.profile.measured import MeasuredCosts, check_profile_of
from segsolve.profile.source import CostSource
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT, OPERATIONS
from segsolve_runtime.contract.plan import Device as PlannedDevice

_HINT = "`segsolve profile` writes such a file; the solver's README documents it"


def is_profile(name: str | Path) -> bool:
    """Whether a name is that of a profile file, and not of a model, a device or its description."""
    return str(name).endswith(".json")


def device_costs(device: str, changes: Changes | None = None) -> Callable[[Graph], CostSource]:
    """Return what makes a network's costs on a device of the catalogue, on a described or on a measured one.

    `changes` is what is known better. What is returned raises a DeviceError too, if the measured costs are those of
    another network.

    Raises:
        DeviceError: there is no such device, its file is not valid, or does not have what is to be changed.
    """
    known = changes or Changes()
    if is_profile(device):
        profile = _changeable(load_profile(Path(device)), Path(device), known)

        def measured(graph: Graph) -> CostSource:
            check_profile_of(profile, graph, device)
            return MeasuredCosts(
                profile=profile, graph=graph, memory_bytes=known.memory_bytes, host_cores=known.host_cores
            )

        return measured
    description = load_device(device).changed(known)
    return lambda graph: AnalyticCosts(graph=graph, device=description)


def kind_costs(device: str, changes: Changes | None = None) -> Callable[[Graph], CostSource]:
    """Return what makes networks' costs on a kind of a pool: ``DEVICE``, or ``DEVICE+PROFILE.json+...``.

    A network has the costs of the profile that was measured for it, on the device's memory; one without such a profile
    has those of the device. `changes` is what is known better of the device, and of its host.

    Raises:
        DeviceError: as for `device_costs`.
    """
    first, *others = kind_parts(device)
    paths = [Path(name) for name in others]
    if odd := [name for name in others if not is_profile(name)]:
        raise DeviceError(f"{odd[0]} is not a profile", "write DEVICE+PROFILE.json, with a profile for each model")
    profiles = [load_profile(path) for path in paths]
    known = [profile.model.sha256 if profile.model else None for profile in profiles]
    if None in known:
        raise DeviceError(f"{paths[known.index(None)]} does not say which model it was measured for", _HINT)
    unmeasured, cores = device_costs(first, changes), changes.host_cores if changes else None

    def costs(graph: Graph) -> CostSource:
        for path, profile, of in zip(paths, profiles, known, strict=True):
            if of == graph.sha256:
                check_profile_of(profile, graph, str(path))
                memory = unmeasured(graph).device.memory_bytes
                return MeasuredCosts(profile=profile, graph=graph, memory_bytes=memory, host_cores=cores)
        return unmeasured(graph)

    return costs


def kind_parts(device: str) -> list[str]:
    """Return the device and the profiles of a kind; a file whose name has a plus is one part."""
    return [device] if "+" not in device or Path(device).exists() else device.split("+")


def planned_costs(made_for: PlannedDevice, device: str | None = None) -> Callable[[Graph], CostSource]:
    """Return what makes a network's costs as a plan has them, on its device or on the one that is named.

    Raises:
        DeviceError: as for `device_costs`.
    """
    changes = Changes(
        memory_bytes=made_for.memory_bytes,
        host_cores=made_for.host.cores if made_for.host else None,
        optimistic=made_for.optimistic,
    )
    name = device or made_for.name
    if is_profile(name):  # which says less, and takes no other changes
        has_host = load_profile(Path(name)).device.host is not None
        changes = replace(changes, host_cores=changes.host_cores if has_host else None, optimistic=False)
    return device_costs(name, changes)


def profile_costs(path: Path, changes: Changes | None = None, cpus: int = 0) -> CostSource:
    """Return the costs that a profile gives by itself, without its model, on its devices and some CPU cores.

    Raises:
        DeviceError: the profile cannot be read, is not valid, or does not have what is to be changed.
    """
    known = changes or Changes()
    return MeasuredCosts(
        profile=_changeable(load_profile(path), path, known),
        memory_bytes=known.memory_bytes,
        name=path.stem,
        cpus=cpus,
        host_cores=known.host_cores,
    )


def _changeable(profile: Profile, path: Path, changes: Changes) -> Profile:
    """Return a profile, unless something is to be changed of it that it does not have."""
    if changes.optimistic:
        raise DeviceError(f"{path} was measured, nothing of it is optimistic", "leave out --optimistic")
    if changes.host_cores is not None and profile.device.host is None:
        raise DeviceError(f"{path} says nothing of a host", 'leave out --host-cores, or add "host" to its device')
    return profile


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
