"""Temperature, trip points and clock of Edge TPUs on PCIe, as the kernel's driver tells in sysfs; on USB none does.

The files are those of the driver ``apex``: ``temp``, ``trip_point0_temp`` to ``trip_point2_temp`` (where the clock is
divided by 2, 4 and 8) and ``hw_temp_warn1``, in thousandths of a degree Celsius, and ``freq`` in Hz where it is told.
Never seen on hardware here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SYSFS = Path("/sys/class/apex")
SLOWED = 1.5
"""Slow inferences over those in the middle; a divided clock does at least as much to a stage that mostly computes."""
CLOSE_C = 3.0
"""A device that is so close to a trip point may pass it at any time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """A device's temperature and the first trip point in degrees Celsius, and its clock in MHz; None where not told."""

    device: str
    now_c: float
    trips_c: tuple[float, ...]
    clock_mhz: float | None

    @property
    def is_hot(self) -> bool:
        """Whether its clock is, or is about to be, divided."""
        return bool(self.trips_c) and self.now_c >= self.trips_c[0] - CLOSE_C

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "device": self.device,
            "temperature_c": self.now_c,
            "trip_points_c": list(self.trips_c),
            "clock_mhz": self.clock_mhz,
            "hot": self.is_hot,
        }

    def __str__(self) -> str:
        trip = f", clock divided from {self.trips_c[0]:.0f} C on" if self.trips_c else ""
        clock = f", {self.clock_mhz:.0f} MHz" if self.clock_mhz is not None else ""
        return f"{self.now_c:.1f} C{trip}{clock}"


def heat_of(device: str, sysfs: Path | None = None) -> Heat | None:
    """Return what is told of the device at a path such as ``/dev/apex_0``; None if nothing is, as on USB."""
    folder = (sysfs or SYSFS) / Path(device).name
    now = _number(folder / "temp")
    if now is None:
        return None
    trips = [_number(folder / f"trip_point{k}_temp") for k in range(3)]
    clock = _number(folder / "freq")
    return Heat(
        device=device,
        now_c=now / 1000,
        trips_c=tuple(sorted(trip / 1000 for trip in trips if trip is not None)),
        clock_mhz=None if clock is None else clock / 1e6,
    )


def is_throttled(heat: Heat, p50_ns: int, p95_ns: int) -> bool:
    """Whether a stage slowed down while its device was hot: half the clock doubles what it computes."""
    return heat.is_hot and p95_ns >= SLOWED * p50_ns


def hottest_c(devices: Iterable[str]) -> float | None:
    """Return the highest temperature of devices that tell it."""
    found = (heat_of(device) for device in devices)
    return max((heat.now_c for heat in found if heat is not None), default=None)


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
