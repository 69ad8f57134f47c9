"""Pools as people name them: kinds and counts, a file, what is attached; and what is known better of the devices."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsolve.errors import DeviceError, UsageError
from segsolve.library.costs import changes_of
from segsolve.values import MOST_TPUS, within
from segsolve_runtime.contract.files import read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT

if TYPE_CHECKING:
    from segsolve.device.model import Changes, Device
    from segsolve.graph.model import Graph
    from segsolve.graph.read import LoadedModel
    from segsolve.pool.model import Pool
    from segsolve.problem import SharedLink
    from segsolve.profile.source import CostSource

_TEXT = re.compile(r"\s*([^:,]+?)\s*(?::\s*(\d{1,6})\s*)?")
_FORM = "write kinds and counts, e.g. edgetpu-m2:2,edgetpu-usb:1, or card8; or name a file (POOL.toml); or say attached"
_CARD = re.compile(r"^\s*card:?([0-9]+)\s*$")  # a card of so many
_OF_KIND = {"name", "count", "device", "link", "devices", "memory"}
_OF_POOL = {"kind", "host_cores", "host_of", "optimistic"}


@dataclass(frozen=True, kw_only=True)
class NamedPool:
    """A pool, for each of its kinds the device that the costs come from, and what is known better than its description.

    A host feeds all kinds: it and its cores are those of each.
    """

    pool: Pool
    devices: tuple[str, ...]
    changes: tuple[Changes, ...]

    @property
    def is_described(self) -> bool:
        """Whether nothing is known better than the descriptions of the devices."""
        return self.changes == (changes_of(None),) * len(self.changes)

    @cached_property
    def sha256(self) -> str:
        """A hash of all that is known of the devices: the pool's kinds, and what their descriptions say."""
        from segsolve.device.model import load_device
        from segsolve.profile.load import is_profile, kind_parts

        def said(part: str, known: Changes) -> Any:
            if is_profile(part):
                return read_bounded_text(Path(part), DOCUMENT)
            return asdict(replace(load_device(part).changed(known), start=None))  # which decides no plan

        kinds = zip(self.devices, self.changes, strict=True)
        known = [[said(part, changes) for part in kind_parts(device)] for device, changes in kinds]
        content = [[asdict(kind) for kind in self.pool.kinds], [asdict(c) for c in self.changes], known]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def costs(self) -> list[Callable[[Graph], CostSource]]:
        """Return what makes networks' costs on each kind (DeviceError as for `kind_costs`)."""
        from segsolve.profile.load import kind_costs

        return [kind_costs(device, known) for device, known in zip(self.devices, self.changes, strict=True)]

    @property
    def host_of(self) -> str | None:
        """The device whose description is right about the host of all kinds, if one was named."""
        return self.changes[0].host_of

    def changed(
        self,
        tpu_memory: str | None = None,
        host_cores: int | None = None,
        host_of: str | None = None,
        *,
        optimistic: bool = False,
    ) -> NamedPool:
        """Return the pool with what a user knows better of it: memory as ``6MiB``, or by kind as ``edgetpu-m2=6MiB``.

        Raises:
            UsageError: a value makes no sense, or names a kind that is not there.
            DeviceError: a device is not known, or the kinds' descriptions are of different hosts, and none was named.
        """
        memory = self._memory(tpu_memory)
        found = []
        for kind, known in zip(self.pool.kinds, self.changes, strict=True):
            own = changes_of(memory.get(kind.name), host_cores, host_of=host_of, optimistic=optimistic)
            better = {name: value for name, value in asdict(own).items() if value is not None and value is not False}
            found.append(replace(known, **better))
        better_known = replace(self, changes=tuple(found))
        better_known._check_host()
        return better_known

    def _check_host(self) -> None:
        """Raise a DeviceError if two kinds were described on different hosts: a machine has one."""
        from segsolve.device.model import load_device
        from segsolve.profile.load import is_profile, kind_parts

        first: tuple[str, Device] | None = None
        for device, known in zip(self.devices, self.changes, strict=True):
            name = kind_parts(device)[0]
            if is_profile(name):  # which was measured where it runs
                continue
            found = load_device(name).changed(known)
            first = first or (name, found)
            if found.machine != first[1].machine:
                raise DeviceError(
                    f"a pool has one host, and {first[0]} ({first[1].title}) and {name} ({found.title}) describe two",
                    f"name the description of yours: --host-of {name}, or host_of in the file of the pool",
                )

    def _memory(self, text: str | None) -> dict[str, str]:
        names = [kind.name for kind in self.pool.kinds]
        if text is None or "=" not in text:
            return {} if text is None else dict.fromkeys(names, text)
        parts = [part.rpartition("=") for part in text.split(",")]
        if odd := [name for name, _, _ in parts if name.strip() not in names]:
            raise UsageError(
                f"--tpu-memory is {text!r}: {odd[0]!r} is no kind of the pool", f"known: {', '.join(names)}"
            )
        return {name.strip(): size for name, _, size in parts}


def parse_pool(text: str) -> NamedPool:
    """Return the pool that `--pool` names: kinds and counts (`card8`: a card of eight), a file, or what is attached.

    Raises:
        UsageError: the text names no pool.
        DeviceError: the file cannot be used, or no device is attached.
    """
    if text.strip() == "attached":
        return _attached()
    if text.endswith(".toml") and ":" not in text and "," not in text:
        return _from_file(Path(text))
    counts: dict[str, int] = {}
    for part in text.split(","):
        match = None if part.strip().isdecimal() else _TEXT.fullmatch(_CARD.sub(r"edgetpu-card:\1", part))
        if not match:
            raise UsageError(f"--pool is {text!r}", _FORM)
        number = int(match[2] or 1)
        within(f"--pool: the number of {match[1]}", number, 1, MOST_TPUS)
        counts[match[1]] = counts.get(match[1], 0) + number
    return _named([{"device": name, "count": count} for name, count in counts.items()])


def _from_file(path: Path) -> NamedPool:
    try:
        document = tomllib.loads(read_bounded_text(path, DOCUMENT))
    except OSError as error:
        raise DeviceError(f"{path} cannot be read: {error.strerror}", _FORM) from None
    except (ValueError, RecursionError) as error:  # absurdly deep, not UTF-8, or not TOML
        raise DeviceError(f"{path} is not TOML: {error}", "the solver's README describes a pool's file") from None
    if wrong := sorted(set(document) - _OF_POOL):
        raise DeviceError(f"{path}: a pool has no {wrong[0]!r}", f"known: {', '.join(sorted(_OF_POOL))}")
    kinds = document.get("kind")
    hint = 'write a table for each kind: [[kind]] with device = "edgetpu-m2" and count = 2'
    if not isinstance(kinds, list) or not kinds or not all(isinstance(kind, dict) for kind in kinds):
        raise DeviceError(f"{path} names no kinds of devices", hint)
    for kind in kinds:
        if wrong := sorted(set(kind) - _OF_KIND):
            raise DeviceError(f"{path}: a kind has no {wrong[0]!r}", f"known: {', '.join(sorted(_OF_KIND))}")
        if not isinstance(kind.get("device"), str):
            raise DeviceError(f"{path}: a kind names no device", hint)
        names = kind.get("devices", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DeviceError(f"{path}: devices of {kind['device']} are no list of names", hint)
        count = kind.setdefault("count", len(names) or 1)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_TPUS:
            raise DeviceError(f"{path}: the count of {kind['device']} is {count!r}", f"give 1 to {MOST_TPUS}")
        if names and len(names) != count:
            raise DeviceError(f"{path}: {kind['device']} has {count} devices and {len(names)} names", hint)
        if not isinstance(kind.get("link", ""), str) or not isinstance(kind.get("name", ""), str):
            raise DeviceError(f"{path}: name and link of {kind['device']} are no text", hint)
    named = _named(kinds)
    return replace(named, changes=tuple(_known(path, document, kind) for kind in kinds))


def _known(path: Path, document: Mapping[str, Any], kind: Mapping[str, Any]) -> Changes:
    """Return what a pool's file knows better of one of its kinds."""
    cores, is_optimistic, memory = document.get("host_cores"), document.get("optimistic", False), kind.get("memory")
    host_of = document.get("host_of")
    if isinstance(cores, bool) or not isinstance(cores, int | None):
        raise DeviceError(f"{path}: host_cores is {cores!r}", "give a number of cores")
    if not isinstance(host_of, str | None):
        raise DeviceError(f"{path}: host_of is {host_of!r}", 'name a device, as "edgetpu-usb-pi5"')
    if not isinstance(is_optimistic, bool):
        raise DeviceError(f"{path}: optimistic is {is_optimistic!r}", "say true or false")
    if isinstance(memory, bool) or not isinstance(memory, int | str | None):
        raise DeviceError(f"{path}: the memory of {kind['device']} is {memory!r}", 'write a size, as "6MiB"')
    try:
        return changes_of(None if memory is None else str(memory), cores, host_of=host_of, optimistic=is_optimistic)
    except UsageError as error:
        raise DeviceError(f"{path}: {error}", error.hint) from None


def _attached() -> NamedPool:
    """Return what `segsolve devices --attached` finds, as `--guess` describes it: USB devices, and those on PCIe."""
    from segsolve.device.guess import guess, host_of
    from segsolve_runtime.backends.edgetpu.library import open_library

    found = open_library().devices()
    if not found:
        raise DeviceError("no Edge TPU is attached", "`segsolve doctor` says what is missing")
    names = {device.path: device.name for device in found}
    named = _named(
        [
            {"device": one.device, "count": len(one.paths), "devices": [names[path] for path in one.paths]}
            for one in guess(found)
        ]
    )
    return replace(named, changes=(changes_of(None, host_of=host_of()),) * len(named.changes))


def _named(kinds: Sequence[Mapping[str, Any]]) -> NamedPool:
    from segsolve.pool.model import Kind, Pool
    from segsolve.problem import SharedLink
    from segsolve.profile.load import kind_parts

    made = tuple(
        Kind(
            name=kind.get("name") or Path(kind_parts(str(kind["device"]))[0]).stem,
            count=kind["count"],
            link=kind.get("link"),
            names=tuple(kind.get("devices", ())),
        )
        for kind in kinds
    )
    if len({kind.name for kind in made}) != len(made):
        raise UsageError("two kinds of the pool have the same name", "give each a name of its own")
    links = {kind.link: SharedLink(ns_per_mib=0) for kind in made if kind.link}
    return NamedPool(
        pool=Pool(kinds=made, links=tuple((str(name), link) for name, link in links.items())),
        devices=tuple(str(kind["device"]) for kind in kinds),
        changes=(changes_of(None),) * len(made),
    )


def with_links(named: NamedPool, models: Sequence[LoadedModel]) -> Pool:
    """Give kinds whose description has a link that all such devices share that link, as slow as described."""
    from segsolve.pool.model import Kind, Pool

    links: dict[str, SharedLink] = {}
    kinds: list[Kind] = []
    for kind, costs in zip(named.pool.kinds, named.costs(), strict=True):
        link = costs(models[0].graph).problem(tpus=1).link
        name = kind.link or (f"link of {kind.name}" if link else None)
        if name and link:
            links[name] = max(link, links.get(name, link), key=lambda each: each.ns_per_mib)
        kinds.append(replace(kind, link=name if name in links or link else None))
    return Pool(kinds=tuple(kinds), links=tuple(links.items()))
