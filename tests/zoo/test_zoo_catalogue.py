from __future__ import annotations

import subprocess
import sys

import pytest

from segsolve import zoo
from segsolve.errors import UsageError
from segsolve.zoo.builder import Builder


@pytest.mark.parametrize("name", zoo.names())
def test_a_network_has_the_published_parameters_exactly_and_the_published_macs_nearly(name: str) -> None:
    network, net = zoo.get(name), Builder()
    network.build(net)
    assert net.parameters == network.params
    assert net.macs == pytest.approx(network.macs, rel=0.06)  # published with few digits, or with normalisations


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
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
