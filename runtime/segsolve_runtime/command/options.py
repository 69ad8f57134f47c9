"""Options that several commands have."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from segsolve_runtime.backends.edgetpu.choose import parse_devices
from segsolve_runtime.bench.turns import Where
from segsolve_runtime.streams import visible, write_line


def whole(least: int) -> Callable[[str], int]:
    """Return what reads a whole number of at least so much."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def add_where(parser: argparse.ArgumentParser) -> None:
    """Add what plans run on."""
    parser.add_argument("--backend", default="edgetpu", choices=("edgetpu", "litert", "emulated", "simulated"))
    parser.add_argument("--devices", help="Edge TPUs in the plan's order, e.g. usb:0,pci:1; else the first attached")
    parser.add_argument(
        "--isolate", default="auto", choices=("auto", "all", "none"), help="stages with a process of their own"
    )
    parser.add_argument("--threads", type=whole(1), default=1, help="LiteRT threads per stage")
    parser.add_argument("--queue-size", type=whole(1), default=2, help="inferences that may wait between two stages")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print one document")


def where_of(chosen: argparse.Namespace) -> Where:
    """Return what plans run on."""
    return Where(
        backend=chosen.backend,
        threads=chosen.threads,
        devices=parse_devices(chosen.devices) if chosen.devices else (),
        isolate=chosen.isolate,
        queue_size=chosen.queue_size,
    )


def show_json(document: Any) -> None:
    """Print a document."""
    write_line(sys.stdout, json.dumps(document, indent=2))


def show(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        write_line(sys.stdout, visible(line))
