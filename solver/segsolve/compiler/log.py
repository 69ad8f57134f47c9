"""Reads what ``edgetpu_compiler`` prints and what it writes beside a compiled model.

The versions differ: 2.0 says how much memory is available instead of how much remains, 16 forks and reports a timer
and the end of its child, those before 16 do not. Sizes come with two digits and a unit that suits them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"^\s*([\d.]+)\s*([KMG]?i?B)\s*$")
_OPERATION = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)\s+(\d+)\s+(\S.*?)\s*$")
_MAPPED = "Mapped to Edge TPU"
_INTERMITTENT = "Internal compiler error. Aborting!"
_USED = "On-chip memory used for caching model parameters"
_REMAINING = "On-chip memory remaining for caching model parameters"
_AVAILABLE = "On-chip memory available for caching model parameters"
_STREAMED = "Off-chip memory used for streaming uncached model parameters"
_REASONS = ("ERROR: ", "Compilation failed: ", "Invalid model", "Model not quantized", "Error: ")
_NO_REASON = re.compile(
    r"Compilation (child process|failed!|aborted)|^Started a compilation timeout|^Edge TPU Compiler"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Operations of one kind with the same fate; `status` is the compiler's own words."""

    kind: str
    count: int
    status: str

    @property
    def on_tpu(self) -> bool:
        """Whether they run on the Edge TPU."""
        return self.status.startswith(_MAPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the compiler said of one model; sizes in bytes, None where it said nothing.

    `failure` is its reason for making nothing, in one line, and None if it made a model.
    """

    version: str | None
    failure: str | None
    onchip_bytes: int | None
    onchip_free_bytes: int | None
    offchip_bytes: int | None
    subgraphs: int | None
    total_operations: int | None
    operations: tuple[Mapping, ...]

    @property
    def fallen_back(self) -> tuple[Mapping, ...]:
        """The operations that will run on the CPU."""
        return tuple(mapping for mapping in self.operations if not mapping.on_tpu)

    @property
    def is_intermittent(self) -> bool:
        """Whether it failed in a way that is known to go away when it is asked again."""
        return self.failure is not None and self.failure.startswith(_INTERMITTENT.rstrip("!"))


def read_report(printed: str, log: str = "") -> Report:
    """Return what the compiler printed (``stdout`` and ``stderr``) and wrote into the operation log of a model."""
    lines = printed.splitlines()
    values = dict(_key_values(lines))
    used, available = _bytes(values.get(_USED)), _bytes(values.get(_AVAILABLE))
    remaining = _bytes(values.get(_REMAINING))
    if remaining is None and used is not None and available is not None:
        remaining = max(0, available - used)
    succeeded = any(re.match(r"Models? compiled successfully", line.strip()) for line in lines)
    return Report(
        version=_version(lines) or _version(log.splitlines()),
        failure=None if succeeded else _failure(lines),
        onchip_bytes=used,
        onchip_free_bytes=remaining,
        offchip_bytes=_bytes(values.get(_STREAMED)),
        subgraphs=_number(values.get("Number of Edge TPU subgraphs")),
        total_operations=_number(values.get("Total number of operations")),
        operations=tuple(_operations(log.splitlines())) or tuple(_operations(lines)),
    )


def _key_values(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


def _operations(lines: Iterable[str]) -> Iterable[Mapping]:
    """Yield the rows of the table below ``Operator  Count  Status``."""
    inside = False
    for line in lines:
        if re.match(r"^Operator\s+Count\s+Status\s*$", line.strip()):
            inside = True
        elif inside and (match := _OPERATION.match(line)):
            yield Mapping(kind=match[1], count=int(match[2]), status=match[3])


def _version(lines: Iterable[str]) -> str | None:
    found = (re.match(r"Edge TPU Compiler version (\S+)", line.strip()) for line in lines)
    return next((match[1] for match in found if match), None)


def _failure(lines: Iterable[str]) -> str:
    """Return the line that says most about a failure."""
    said = [line.strip() for line in lines if line.strip()]
    for reason in _REASONS:
        for i, line in enumerate(said):
            if line.startswith(reason):
                detail = f" {said[i + 1]}" if line.startswith("Invalid model") and i + 1 < len(said) else ""
                return f"{line}{detail}".removeprefix("Compilation failed: ")
    informative = [line for line in said if not _NO_REASON.search(line)]
    return (informative[-1] if informative else "it gives no reason").rstrip("!. ")


def _bytes(text: str | None) -> int | None:
    match = _SIZE.match(text or "")
    return round(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
