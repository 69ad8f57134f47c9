"""Networks to which nothing was fitted: what devices took for them, where the measurements are at hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from benchmarks.calibration import cifar, detectors
from segsolve.device.model import load_device
from tests.shared import MEASUREMENTS


def rows(table: str) -> list[dict[str, str]]:
    path = MEASUREMENTS / f"{table}.csv"
    if not path.exists():
        pytest.skip("the measurements are not at hand")
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_sizes_and_times_of_networks_to_which_nothing_was_fitted() -> None:
    found = cifar.check(rows("latency_streaming"), load_device("edgetpu-usb-pi4"))
    assert len(found) == 6
    for row in found:
        published, predicted = np.array(row["published_mib"]), np.array(row["predicted_mib"])
        assert predicted.sum() == pytest.approx(published.sum(), abs=0.03), row["network"]
        assert predicted == pytest.approx(published, abs=0.15), row["network"]
        assert row["inside"], row["network"]
    assert np.mean([abs(row["error"]) for row in found]) < 0.1


def test_detectors_over_usb_to_which_nothing_was_fitted() -> None:
    """On the Dev Board, whose host was never measured, one of the two lies outside of its range."""
    found = [row for row in detectors.check(rows("latency_vendor_tables")) if row["device"] == "edgetpu-usb"]
    assert len(found) == 2
    assert all(row["inside"] for row in found)
