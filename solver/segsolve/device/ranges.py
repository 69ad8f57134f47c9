"""How far a predicted time may be off: the model's own errors on rows that were left out of its fit, by regime."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from segsolve.device.model import Device

_SHARE = 0.25  # of a time, from which on its regime is that of a part
_SMALL_NS = 3_000_000


class Regime(StrEnum):
    """What a time consists of, as far as errors differ by it."""

    SPILLING = "spilling"
    TRANSFERS = "transfers"
    HOST = "host"
    SMALL = "small"
    PLAIN = "plain"


def regime(*, time_ns: int, stream_ns: int, transfer_ns: int, host_ns: int = 0) -> Regime:
    """Return the regime of a stage, or of the slowest stage of a plan.

    `stream_ns` and `transfer_ns` are the parts of `time_ns` that weights from the host, and tensors to and from it,
    add. `host_ns` is what the inference keeps the host busy: from the stage's time on, the host is what limits.
    """
    if host_ns >= time_ns:
        return Regime.HOST
    if stream_ns >= _SHARE * time_ns:
        return Regime.SPILLING
    if transfer_ns >= _SHARE * time_ns:
        return Regime.TRANSFERS
    return Regime.SMALL if time_ns < _SMALL_NS else Regime.PLAIN


def time_range(device: Device, kind: Regime, time_ns: int) -> tuple[int, int] | None:
    """Return the least and the largest time, in ns, in which 80 % of measurements lay; None if nothing is known."""
    for name, low, high in device.ranges:
        if name == kind:
            return round(time_ns * low), round(time_ns * high)
    return None


def plan_range(device: Device, stages: Iterable[tuple[int, int, int]], host_ns: int = 0) -> tuple[int, int] | None:
    """Return the same for the period of a pipeline, from the time, stream and transfer ns of each of its stages."""
    slowest = max(stages)
    time_ns, stream_ns, transfer_ns = slowest
    found = regime(time_ns=time_ns, stream_ns=stream_ns, transfer_ns=transfer_ns, host_ns=host_ns)
    return time_range(device, found, max(time_ns, host_ns))
