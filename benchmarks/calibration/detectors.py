"""Detectors of the vendor's tables, whose boxes are put together on the host: nothing was fitted to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.calibration.measurements import Row
from benchmarks.common import zoo_file
from segsolve.cost.plan import score_cut
from segsolve.device.model import load_device
from segsolve.device.ranges import time_range
from segsolve.graph.read import read_graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.report.ranges import regime_of

NETWORKS = {"MobileNet v1 SSD": "ssd-mobilenetv1", "MobileNet v2 SSD": "ssd-mobilenetv2"}
"""Networks of the zoo by their names in the tables."""
_DEVICES = {"USB3": "edgetpu-usb", "PCIe": "edgetpu-dev-board"}


def check(table: Sequence[Row]) -> list[dict[str, object]]:
    """Return times in ms as published and as predicted for the network of the zoo, and whether they lie in range."""
    return [found for row in table if row["model"] in NETWORKS for found in _checked(row)]


def _checked(row: Row) -> Iterator[dict[str, object]]:
    with zoo_file(NETWORKS[row["model"]]) as path:
        graph = read_graph(path)
    for name in (name for interface, name in _DEVICES.items() if interface in row["interface"]):
        device, measured = load_device(name), float(row["ms"])
        stage = score_cut(AnalyticCosts(graph=graph, device=device).problem(tpus=1), ()).stages[0]
        low, high = time_range(device.ranges, regime_of(stage), stage.time_ns) or (0, 0)
        yield {
            "network": row["model"],
            "device": name,
            "ms": measured,
            "predicted_ms": stage.time_ns / 1e6,
            "error": stage.time_ns / 1e6 / measured - 1,
            "inside": low <= measured * 1e6 <= high,
        }
