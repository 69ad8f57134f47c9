"""Copies of a network on one host that drives their devices in turn: what they gain if they do not keep step.

A closed queue: each copy's device works by itself, then waits for the host, which serves one at a time. Its mean value
analysis gives the rates (Reiser and Lavenberg, 1980); service times scatter like those of any process without memory.
"""

from __future__ import annotations

from collections.abc import Mapping

COPIES = 8
"""Devices on the cards that are sold."""
IMAGE_MIB = 224 * 224 * 3 / 2**20
"""What the networks that are copied most take of a frame."""
PUBLISHED = (3.8, 4.8)
"""How many times faster eight copies of small networks were than one, in the hands of others."""


def gains(copies: int, alone_ms: float, serial_ms: float) -> list[float]:
    """Return how many times faster than one each number of copies is, 1 to `copies`."""
    waiting, found = 0.0, []
    for count in range(1, copies + 1):
        at_host = serial_ms * (1 + waiting)
        rate = count / (alone_ms - serial_ms + at_host)
        waiting = rate * at_host
        found.append(rate * alone_ms)
    return found


def in_step(copies: int, alone_ms: float, serial_ms: float) -> list[float]:
    """Return the same of copies that never meet at the host, which is what a plan's rate says."""
    return [min(float(count), alone_ms / serial_ms) for count in range(1, copies + 1)]


def at_knee(copies: int = COPIES) -> float:
    """Return what part of the host copies make use of that could just use all of it."""
    return gains(copies, float(copies), 1.0)[-1] / copies


def check(serial_ms: float, frame_ms: float) -> list[Mapping[str, float]]:
    """Compare, by the time of one alone, eight copies and the mean error over 1 to 8 of a plan's rate.

    An inference of one stage takes the host `serial_ms` and, for an image, `frame_ms`.
    """
    rows: list[Mapping[str, float]] = []
    ours_ms, serial_ms = serial_ms / at_knee() + frame_ms, serial_ms + frame_ms
    for alone in (1.2, 1.57, 1.8, 2.07, 2.4, 3.0, 5.0, 20.0):
        queued = gains(COPIES, alone, serial_ms)
        errors = {
            name: sum(abs(said / gain - 1) for said, gain in zip(listed, queued, strict=True)) / COPIES
            for name, listed in (
                ("without_host", [float(n) for n in range(1, COPIES + 1)]),
                ("measured", in_step(COPIES, alone, serial_ms)),
                ("ours", in_step(COPIES, alone, ours_ms)),
            )
        }
        rows.append({"alone_ms": alone, "queued": queued[-1], "plan": in_step(COPIES, alone, ours_ms)[-1], **errors})
    return rows
