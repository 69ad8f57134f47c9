"""Pipelines of dense layers in hand-made threads: what each stage and inference costs the one host that feeds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.calibration.fit import Array
from benchmarks.calibration.measurements import Row

_FASTEST_STREAM = 2.25  # ms/MiB: the least that anyone measured, over USB on a PC


@dataclass(frozen=True, slots=True)
class Threads:
    """One published row: units of a layer, TPUs, the time per inference, and MiB streamed by each stage."""

    units: int
    tpus: int
    ms: float
    streamed: tuple[float, ...]

    @property
    def contradicts_itself(self) -> bool:
        """Whether it took less than any stream of the bytes that it names; the 16 rows on two TPUs that stream do."""
        return self.ms < _FASTEST_STREAM * max(self.streamed)

    def time(self, serial: float, resident: float, first: float, stream: float) -> float:
        """Return the time per inference in ms: that of the slowest stage, or of the host, whichever is longer."""
        stages = (first + stream * mib if mib else resident for mib in self.streamed)
        return max(*stages, serial * self.tpus)


def rows(table: Sequence[Row]) -> list[Threads]:
    """Return the rows of dense_pipelines.csv."""
    return [
        Threads(
            units=int(row["hidden_neurons"]),
            tpus=int(row["n_tpus"]),
            ms=float(row["ms_per_inference"]),
            streamed=tuple(map(float, row["offchip_mib_per_segment"].split("|"))),
        )
        for row in table
    ]


def host_bound(row: Threads) -> bool:
    """Return whether nothing streams: then the stages take less than the host."""
    return not any(row.streamed)


def serial_ms(found: Sequence[Threads]) -> float:
    """Return what a stage and inference cost the host, in ms: the median of the rows in which nothing streams."""
    return float(np.median([row.ms / row.tpus for row in found if host_bound(row)]))


def left_out(found: Sequence[Threads], alone: Mapping[str, float]) -> Array:
    """Return the relative errors with all rows on as many TPUs left out of the fit of the host's cost.

    `alone` is what a single TPU shows in the dense sweep: "resident_ms", "first_stream_ms" and "stream".
    """
    errors = []
    for row in found:
        serial = serial_ms([other for other in found if other.tpus != row.tpus])
        predicted = row.time(serial, alone["resident_ms"], alone["first_stream_ms"], alone["stream"])
        errors.append(predicted / row.ms - 1)
    return np.array(errors)
