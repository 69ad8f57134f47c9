"""The fit of the rates: finds what made the times, keeps its targets, and draws the networks of the published ones."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from benchmarks.calibration import latency
from benchmarks.calibration.__main__ import check_latency
from benchmarks.calibration.measurements import Measurements
from benchmarks.calibration.networks import vendor_graph
from segsolve.device.latency import moved_bytes
from segsolve.device.model import load_device
from tests.shared import MEASUREMENTS

DEVICE = load_device("edgetpu-usb")
ROWS = Measurements(MEASUREMENTS).table("latency_vendor_tables")
KNOWN = {"invocation": 0.142, "conv": 0.88}
needs_measurements = pytest.mark.skipif(not ROWS, reason="the measurements are not at hand; set SEGSOLVE_EDGETPU")
# Float files in MB, as TensorFlow Lite's page of hosted models lists them.
HOSTED = {
    "mobilenetv1224x224": 16.9,
    "mobilenetv2224x224": 14.0,
    "mobilenetv10.25128": 1.9,
    "inceptionv3299": 95.3,
    "inceptionv4299": 170.7,
    "resnet-101v2299": 178.3,
    "inception-resnetv2299": 121.0,
    "densenet224": 43.6,
}


def sample(name: str, key: str, interface: str, x: latency.Rates) -> latency.Sample:
    features = latency.features(DEVICE, vendor_graph(key))
    ms = features.time(latency.rates_of(x, interface, KNOWN))
    return latency.Sample(name, key, interface, ms, features)


def test_the_fit_finds_the_parameters_that_made_the_times() -> None:
    x = {"invocation": 0.6, "conv": 0.88, "activation": 0.07, "slowdown": 1.6}
    keys = ("mobilenetv1224x224", "mobilenetv2224x224", "inceptionv1224", "mobilenetv10.25128")
    samples = [sample(key, key, interface, x) for key in keys for interface in ("USB", "PCIe")]
    assert latency.fit(samples, KNOWN) == pytest.approx(x, rel=1e-3)
    assert abs(latency.left_out(samples, KNOWN)).max() < 1e-3


def test_one_odd_row_hardly_moves_the_fit() -> None:
    x = {"invocation": 0.6, "conv": 0.88, "activation": 0.07, "slowdown": 1.6}
    keys = ("mobilenetv1224x224", "mobilenetv2224x224", "inceptionv1224", "squeezenet224", "mobilenetv10.25128")
    samples = [sample(key, key, interface, x) for key in keys for interface in ("USB", "PCIe")]
    samples[0] = replace(samples[0], ms=2 * samples[0].ms)
    assert latency.fit(samples, KNOWN) == pytest.approx(x, rel=0.05)


def test_a_normalisation_moves_nothing_that_it_is_charged_for() -> None:
    graph = vendor_graph("densenet224")
    moved = {op.kind: moved_bytes(DEVICE, graph, op) for op in graph.ops}
    assert moved["MUL"] == moved["ADD"] == 0
    concatenation = next(op for op in graph.ops if op.kind == "CONCATENATION")
    bytes_of = [graph.tensors[t].nbytes for t in (*concatenation.inputs, *concatenation.outputs)]
    assert moved_bytes(DEVICE, graph, concatenation) == sum(bytes_of) > 0


@pytest.mark.parametrize("key", HOSTED)
def test_a_drawing_has_the_size_of_the_hosted_file(key: str) -> None:
    graph = vendor_graph(key)
    constants = {t for op in graph.ops for t in op.constants}
    # Weights of the layers, biases, and constants per channel; axes and paddings are no parameters.
    numbers = sum(prod(graph.tensors[t].shape) for t in constants if graph.tensors[t].quantisation is not None)
    assert 4e-6 * numbers == pytest.approx(HOSTED[key], abs=0.15)


@needs_measurements
def test_networks_left_out_are_predicted_within_the_targets() -> None:
    samples = [s for interface in ("USB", "PCIe") for s in latency.vendor_samples(ROWS, DEVICE, interface)]
    _, found = check_latency(samples, KNOWN)
    for name, mean in (("edgetpu-usb", 0.06), ("edgetpu-dev-board", 0.035)):
        errors = found[name]["all"]
        assert errors["mean"] <= mean, name
        assert errors["worst"] <= 0.25, name
        assert found[name]["family_left_out"]["mean"] <= 1.2 * mean, name
