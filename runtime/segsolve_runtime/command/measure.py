"""measure: time the segments of a bundle on this machine, for segsolve profile --import."""

from __future__ import annotations

import argparse
from pathlib import Path

from segsolve_runtime.command.options import show
from segsolve_runtime.contract.writing import replace_file
from segsolve_runtime.errors import ResultError
from segsolve_runtime.measure.bundle import TIMES_FILE, BundledSegment, SegmentTimes, load_bundle, record_text
from segsolve_runtime.measure.stopwatch import BACKENDS, measure_bundle, open_bench
from segsolve_runtime.streams import say


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder from segsolve profile --export")
    parser.add_argument("--backend", default="edgetpu", choices=BACKENDS)
    parser.add_argument("--device", help="Edge TPU to measure on, e.g. usb:0; the first attached if left out")


def command(chosen: argparse.Namespace) -> int:
    """Measure, and write the times into the bundle."""

    def tell(segment: BundledSegment, times: SegmentTimes) -> None:
        spread = (times.upper_ns - times.lower_ns) / 1e6
        figures = f"{times.median_ns / 1e6:.2f} ms, quartiles {spread:.2f} apart, first {times.first_ns / 1e6:.1f}"
        show([f"operations {segment.ops[0]}-{segment.ops[-1]}: {figures}"])

    bundle = load_bundle(chosen.bundle)
    found = measure_bundle(chosen.bundle, bundle, open_bench(chosen.backend, chosen.device), tell)
    path = chosen.bundle / TIMES_FILE
    try:
        replace_file(path, record_text(found).encode())
    except OSError as error:
        raise ResultError(f"{path} cannot be written: {error.strerror}") from None
    say(f"wrote {path}; take the bundle back and read it with segsolve profile MODEL --import {chosen.bundle}")
    return 0
