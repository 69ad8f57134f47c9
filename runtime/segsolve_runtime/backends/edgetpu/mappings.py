"""What devices on PCIe map of the host's memory: above a limit, their driver ends the process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from segsolve_runtime.backends.edgetpu.library import AttachedDevice
from segsolve_runtime.errors import HardwareError

MOST_MAPPED_BYTES = 1_500_000_000
"""About what the driver maps in all before it gives up, as users report it: eight large models at once."""


def check_mappings(segments: Iterable[tuple[AttachedDevice, Path]]) -> None:
    """Add up what the compiled segments of devices on PCIe map: their parameters and instructions, so nearly the file.

    Raises:
        HardwareError: it is more than the driver maps.
    """
    sizes = [(path.stat().st_size, device, path) for device, path in segments if device.kind == "pci"]
    total = sum(size for size, _, _ in sizes)
    if total > MOST_MAPPED_BYTES:
        size, device, path = max(sizes, key=lambda entry: entry[0])
        raise HardwareError(
            f"the {len(sizes)} segments on PCIe map {total / 1e9:.2f} GB, and its driver ends the process above about "
            f"{MOST_MAPPED_BYTES / 1e9:.1f} GB; the largest is {path.name} on {device}, {size / 1e6:.0f} MB: "
            "solve for fewer TPUs on PCIe, or use some on USB"
        )
