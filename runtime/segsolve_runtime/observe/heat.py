"""Temperature, trip points and clock of Edge TPUs on PCIe, as the kernel's driver tells in sysfs; on USB none does.

The files are those of the driver ``apex``: ``temp``, ``trip_point0_temp`` to ``trip_point2_temp`` (where the clock is
divided by 2, 4 and 8) and ``hw_temp_warn1``, in thousandths of a degree Celsius, and ``freq`` in Hz where it is told.
Never seen on hardware here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Self

from segsolve_runtime.contract.places import Place

SYSFS = Path("/sys/class/apex")
SLOWED = 1.5
"""Slow inferences over those in the middle; a divided clock does at least as much to a stage that mostly computes."""
_MOST_SAMPLES = 100_000
"""So that the memory of a long run is bounded; half a day of one device."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatSample:
    """A device's heat at a time in ns since the run began."""

    at_ns: int
    place: Place
    heat: Heat


class HeatLog:
    """Reads the heat of devices again and again, in a thread of its own, while a run goes on."""

    def __init__(self, devices: Mapping[Place, str], *, every_s: float = 0.5, sysfs: Path | None = None) -> None:
        self.samples: list[HeatSample] = []
        self._devices = {place: device for place, device in devices.items() if heat_of(device, sysfs) is not None}
        self._every_s, self._sysfs = every_s, sysfs
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="segsolve-heat", daemon=True)

    def __enter__(self) -> Self:
        self._began = perf_counter_ns()
        if self._devices:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._devices:
            self._thread.join()

    def _read(self) -> None:
        while True:
            for place, device in self._devices.items():
                if (heat := heat_of(device, self._sysfs)) is not None:
                    self.samples.append(HeatSample(at_ns=perf_counter_ns() - self._began, place=place, heat=heat))
            if len(self.samples) >= _MOST_SAMPLES or self._ended.wait(self._every_s):
                return
