from __future__ import annotations

import subprocess
import sys

import pytest

from segsolve import zoo
from segsolve.errors import UsageError
from segsolve.zoo.builder import Builder

# Multiply-accumulates as their sources count them, where these do more than round ours.
OTHERWISE_COUNTED = {
    "resnet50": (1.0, 100_000_000),  # 3.858 billion, cut to 3.8
    "mobilenetv2": (1.0, 1_000_000),  # 300.8 million, cut to 300
    "vgg16": (15_346_630_656 / 15_470_264_320, 100_000_000),  # convolutions only: 15.347 billion
    "inceptionv3": (1.0, 10_000_000),  # 5.713 billion; 5.72 in the source
    "xception": (1.003, 10_000_000),  # 8.357 billion; 8.38 in the source
    "yolov5s": (1.0, 10_000_000),  # 2.054 billion; the source counts more than convolutions
    "yolov8n": (1.0, 10_000_000),  # 1.093 billion
    # With normalisations, which the file has folded.
    "efficientnet-lite0": (1.057, 1_000_000),
    "efficientnet-lite1": (1.051, 1_000_000),
    "efficientnet-lite2": (1.046, 1_000_000),
    "efficientnet-lite3": (1.041, 1_000_000),
    "efficientnet-lite4": (1.034, 1_000_000),
}


# Parameters that were published in fewer digits than the zoo counts.
ROUNDED = {
    "ssd-mobilenetv1": 6_800_000,  # Howard et al. (2017), table 13
    "efficientdet-lite0": 3_200_000,  # github.com/google/automl, efficientdet, table of the Lite models
    "efficientdet-lite1": 4_200_000,
    "efficientdet-lite2": 5_300_000,
}


@pytest.mark.parametrize(("name", "published"), ROUNDED.items())
def test_parameters_round_to_the_published_ones(name: str, published: int) -> None:
    assert abs(zoo.get(name).params - published) <= 50_000


def last_digit(published: int) -> int:
    """The value of the last digit that a rounded number has."""
    digits = str(published)
    return int("1" + "0" * (len(digits) - len(digits.rstrip("0"))))


@pytest.mark.parametrize("name", zoo.names())
def test_a_network_has_the_published_parameters_and_its_macs_round_to_the_published_ones(name: str) -> None:
    network, net = zoo.get(name), Builder()
    network.build(net)
    factor, unit = OTHERWISE_COUNTED.get(name, (1.0, last_digit(network.macs) / 2))
    assert net.parameters == network.params
    assert abs(factor * net.macs - network.macs) <= unit


@pytest.mark.parametrize("name", zoo.names())
def test_a_network_is_a_chain_of_named_values_from_its_input_to_its_last_step(name: str) -> None:
    network, net = zoo.get(name), Builder()
    output = network.build(net)
    assert net.image is not None
    assert net.image.shape == (1, *network.input_shape)
    assert net.steps[-1].output is output
    known = {net.image}
    for step in net.steps:
        assert known.issuperset(step.inputs)
        known.add(step.output)
    assert len({value.name for value in known}) == len(known)


def test_the_catalogue_describes_every_network() -> None:
    for name in zoo.names():
        network = zoo.get(name)
        assert network.name == name
        assert network.title
        assert network.source
        assert network.family


@pytest.mark.parametrize("name", ["synthetic-conv-32", "synthetic-dense-777"])
def test_synthetic_networks_exist_for_any_width(name: str) -> None:
    network, net = zoo.get(name), Builder()
    network.build(net)
    assert (net.parameters, net.macs) == (network.params, network.macs)


@pytest.mark.parametrize("name", ["synthetic-conv-0", "synthetic-dense-999999999"])
def test_synthetic_networks_of_absurd_width_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="out of range") as caught:
        zoo.get(name)
    assert "between 1 and" in caught.value.hint


def test_an_unknown_network_is_refused_with_near_matches() -> None:
    with pytest.raises(UsageError, match="no network 'ResNet-101'") as caught:
        zoo.get("ResNet-101")
    assert "resnet101" in caught.value.hint


def test_an_unknown_network_without_near_match_is_refused_with_all_names() -> None:
    with pytest.raises(UsageError) as caught:
        zoo.get("?")
    assert "mobilenetv2" in caught.value.hint


def test_the_catalogue_loads_without_numeric_libraries() -> None:
    script = (
        "import sys, segsolve.zoo; print([m for m in ('numpy', 'ai_edge_litert', 'flatbuffers') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert answer.stdout.strip() == "[]"
