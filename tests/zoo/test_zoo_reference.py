"""The networks against what the TFLite converter made of the Keras models, where such files are at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segsolve.graph import flatbuffer

from .files import Model, is_constant, is_quantised, operator_name

FOLDER = Path(os.environ.get("SEGSOLVE_MODELS", Path(__file__).parents[3] / "shared" / "models"))
REFERENCES = {"resnet50": "keras_resnet50_224_int8.tflite", "inceptionv3": "keras_inceptionv3_299_int8.tflite"}
CLASSES = 1000


@pytest.fixture(scope="module", params=REFERENCES)
def pair(request: pytest.FixtureRequest, model: Model) -> tuple[Any, Any]:
    path = FOLDER / REFERENCES[request.param]
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand; set SEGSOLVE_MODELS")
    return model(request.param), flatbuffer.unpack(flatbuffer.read_bytes(path), path)


def description(model: Any) -> list[Any]:
    """Each operation with its options and what goes in and out: tensors by producer, shape, type and quantisation."""
    graph = model.subgraphs[0]
    producers: dict[int, Any] = {int(index): "input" for index in graph.inputs}
    lines = []
    for position, operator in enumerate(graph.operators):
        inputs = [index for index in operator.inputs if index >= 0]
        if operator_name(model, operator) == "FULLY_CONNECTED":
            inputs = inputs[:2]  # the references lost their bias, which was all zero before training
        lines.append(
            (
                operator_name(model, operator),
                model.operatorCodes[operator.opcodeIndex].version,
                vars(operator.builtinOptions),
                [(producers.get(int(index)), tensor_description(model, index)) for index in inputs],
                [tensor_description(model, index) for index in operator.outputs],
            )
        )
        producers.update({int(index): position for index in operator.outputs})
    return lines


def tensor_description(model: Any, index: int) -> Any:
    tensor = model.subgraphs[0].tensors[index]
    quantisation = tensor.quantization
    scales = len(quantisation.scale) if is_quantised(tensor) else 0
    dimension = quantisation.quantizedDimension if scales > 1 else None
    return tuple(tensor.shape), tensor.type, scales, dimension


def constant_bytes(model: Any) -> int:
    """Bytes of weights and biases, each buffer once."""
    tensors = model.subgraphs[0].tensors
    buffers = {t.buffer for t in tensors if is_constant(model, t) and is_quantised(t)}
    return sum(len(model.buffers[index].data) for index in buffers)


def test_operations_options_shapes_and_wiring_are_those_of_the_converter(pair: tuple[Any, Any]) -> None:
    ours, theirs = map(description, pair)
    assert len(ours) == len(theirs)
    for position, (mine, reference) in enumerate(zip(ours, theirs, strict=True)):
        assert mine == reference, f"operation {position}"


def test_weights_take_the_same_bytes_but_for_the_bias_of_the_classifier(pair: tuple[Any, Any]) -> None:
    ours, theirs = map(constant_bytes, pair)
    assert ours - theirs == 4 * CLASSES


def test_integer_parameters_are_the_same(pair: tuple[Any, Any]) -> None:
    def paddings_and_axes(model: Any) -> list[list[int]]:
        graph = model.subgraphs[0]
        return [
            model.buffers[graph.tensors[operator.inputs[1]].buffer].data.view(np.int32).tolist()
            for operator in graph.operators
            if operator_name(model, operator) in {"PAD", "MEAN"}
        ]

    ours, theirs = map(paddings_and_axes, pair)
    assert ours == theirs
