"""The graphs of the networks against what converted Keras models of the same name measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from segsolve import zoo
from segsolve.zoo.builder import Builder
from segsolve.zoo.importer import imported
from segsolve.zoo.steps import Step, Value

# Operations, most tensors alive at a cut, and cuts that a single tensor crosses, in the files that the TFLite converter
# of TensorFlow 2.21 made of Keras 3.15's models.
CONVERTED = {
    "resnet50": (75, 2, 22),
    "mobilenetv2": (65, 2, 34),
    "densenet121": (311, 2, 78),
    "nasnetmobile": (571, 11, 5),
    "inceptionv3": (125, 5, 20),
    "xception": (104, 2, 20),
    "resnet101v2": (217, 2, 49),
    "inceptionresnetv2": (335, 4, 53),
}


def draw(name: str) -> Builder:
    net = Builder()
    zoo.get(name).build(net)
    return net


def alive(steps: list[Step]) -> list[int]:
    """Count the tensors that cross each cut between two steps."""
    last = {value: position for position, step in enumerate(steps) for value in step.inputs}
    counts = []
    for position in range(len(steps) - 1):
        born = [step.output for step in steps[: position + 1]]
        counts.append(sum(last.get(value, -1) > position for value in born))
    return counts


@pytest.mark.parametrize("name", CONVERTED)
def test_a_network_has_the_operations_and_cuts_of_the_converted_model(name: str) -> None:
    steps = draw(name).steps
    counts = alive(steps)
    assert (len(steps), max(counts), counts.count(1)) == CONVERTED[name]


def test_mobilenet_has_the_operations_of_the_converted_model_without_its_dynamic_batch() -> None:
    assert len(draw("mobilenet").steps) == 34 - len(("SHAPE", "STRIDED_SLICE", "PACK"))


def test_normalisations_behind_concatenations_and_sums_stay() -> None:
    operators = Counter(step.operator for step in draw("densenet121").steps)
    assert operators["MUL"] == 58 + 3 + 1  # dense layers, transitions, and the last one
    assert operators["ADD"] == operators["MUL"]


def image() -> tuple[Builder, Value]:
    net = Builder()
    return net, net.input(8, 8, 4)


def names_of(steps: list[Step]) -> list[Any]:
    return [step.output.name for step in steps]


def test_import_lists_branches_by_name() -> None:
    net, x = image()
    late = net.conv("b", x, 4, 1)
    early = net.conv("a", x, 4, 1)
    net.add("sum", late, early)
    assert names_of(imported(net.steps, x)) == ["a", "b", "sum"]


def test_import_counts_names_up_that_the_first_trace_has_used() -> None:
    net, x = image()
    first = net.conv("conv", x, 4, 1)  # becomes conv_1
    second = net.conv("conv_1", x, 4, 1)  # becomes conv_1_2, behind the tenth
    tenth = net.conv("conv_10", x, 4, 1)
    net.concat("all", (first, second, tenth))
    assert names_of(imported(net.steps, x)) == ["conv", "conv_10", "conv_1", "all"]


def test_import_merges_equal_steps_without_parameters() -> None:
    net, x = image()
    left, right = net.max_pool("left", x, 2), net.max_pool("right", x, 2)
    net.add("sum", left, right)
    steps = imported(net.steps, x)
    assert names_of(steps) == ["left", "sum"]
    assert steps[1].inputs == (left, left)


def test_import_fuses_a_relu_that_alone_uses_a_convolution() -> None:
    net, x = image()
    y = net.conv("conv", x, 4, 1)
    rectified = net.relu("activation", y)
    net.max_pool("pool", rectified, 2)
    conv, pool = imported(net.steps, x)
    assert (conv.operator, conv.options["fusedActivationFunction"]) == ("CONV_2D", "RELU")
    assert (conv.output.name, conv.output.range) == ("conv", rectified.range)
    assert pool.inputs == (conv.output,)


def test_import_leaves_a_relu_whose_input_is_needed_elsewhere() -> None:
    net, x = image()
    y = net.conv("conv", x, 4, 1)
    net.add("sum", net.relu("activation", y), y)
    assert names_of(imported(net.steps, x)) == ["conv", "activation", "sum"]
