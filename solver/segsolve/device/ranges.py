"""How far a predicted time may be off: the model's own errors on rows that were left out of its fit, by regime."""

from __future__ import annotations

from enum import StrEnum

Ranges = tuple[tuple[str, float, float], ...]
"""The factors on a predicted time between which 80 % of measurements lay, by regime, as a device describes them."""

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


def factors_of(ranges: Ranges, kind: Regime) -> tuple[float, float] | None:
    """Return between which multiples of a predicted time 80 % of measurements lay; None if nothing is known."""
    return next(((low, high) for name, low, high in ranges if name == kind), None)


def time_range(ranges: Ranges, kind: Regime, time_ns: int) -> tuple[int, int] | None:
    """Return the least and the largest time, in ns, in which 80 % of measurements lay; None if nothing is known."""
    found = factors_of(ranges, kind)
    return (round(time_ns * found[0]), round(time_ns * found[1])) if found else None
