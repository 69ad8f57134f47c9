"""What the written files contain: the schema's rules for int8, and all weights that were published."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from segsolve import zoo

from .files import Content, Model, activations, is_constant, is_quantised, operator_name

CHECKED = (
    "resnet50",
    "mobilenet",
    "mobilenetv2",
    "inceptionv3",
    "xception",
    "synthetic-conv-64",
    "synthetic-dense-256",
)

# Parameters that are published but not in the file, because a batch normalisation has become weights and bias. The
# numbers follow from the non-trainable parameters in Keras's summaries, which are the 2 moving statistics per channel.
FOLDED = {
    "resnet50": 2 * 53_120,  # 4 of 5 per channel: the convolution has a bias of its own, and keeps it
    "mobilenet": 3 * 21_888 // 2,  # 3 of 4 per channel: the bias in the file is new
    "mobilenetv2": 3 * 34_112 // 2,
    "inceptionv3": 2 * 34_432 // 2,  # 2 of 3 per channel: no gamma
    "xception": 3 * 54_528 // 2,
    "synthetic-conv-64": 0,
    "synthetic-dense-256": 0,
}
SAME_QUANTISATION = {"AVERAGE_POOL_2D", "CONCATENATION", "MAX_POOL_2D", "PAD", "RESHAPE", "STRIDED_SLICE"}


@pytest.mark.parametrize("name", CHECKED)
def test_the_file_holds_the_published_parameters_but_those_of_folded_normalisations(model: Model, name: str) -> None:
    built = model(name)
    numbers = sum(
        int(np.prod(tensor.shape))
        for tensor in built.subgraphs[0].tensors
        if is_constant(built, tensor) and is_quantised(tensor) and built.buffers[tensor.buffer].data.any()
    )  # without the zeros that stand for a missing bias
    assert numbers == zoo.get(name).params - FOLDED[name]


@pytest.mark.parametrize("name", CHECKED)
def test_weights_are_symmetric_per_channel_and_biases_have_the_scale_of_the_products(model: Model, name: str) -> None:
    built = model(name)
    tensors = built.subgraphs[0].tensors
    seen = 0
    for operator in built.subgraphs[0].operators:
        kind = operator_name(built, operator)
        if kind not in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
            continue
        source, weights, bias = (tensors[i] for i in operator.inputs)
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        assert weights.quantization.quantizedDimension == axis
        assert (weights.type, bias.type) == (schema.TensorType.INT8, schema.TensorType.INT32)
        assert len(weights.quantization.scale) == weights.shape[axis] == bias.shape[0]
        assert not weights.quantization.zeroPoint.any()
        assert not bias.quantization.zeroPoint.any()
        np.testing.assert_allclose(
            bias.quantization.scale, source.quantization.scale[0] * weights.quantization.scale, rtol=1e-6
        )
        assert built.buffers[weights.buffer].data.view(np.int8).min() >= -127
        seen += 1
    assert seen > 0


def test_a_layer_without_bias_or_normalisation_shares_zeros_with_others_of_its_width(model: Model) -> None:
    built = model("xception")
    tensors = built.subgraphs[0].tensors
    biases = [t for t in tensors if t.name.endswith(b"_depthwise/bias") and t.shape[0] == 728]
    assert len(biases) > 20
    (buffer,) = {bias.buffer for bias in biases}
    assert not built.buffers[buffer].data.any()


@pytest.mark.parametrize("name", [*CHECKED, "densenet121", "nasnetmobile"])
def test_operations_that_only_move_or_choose_values_keep_the_quantisation(model: Model, name: str) -> None:
    built = model(name)
    for operator in built.subgraphs[0].operators:
        if operator_name(built, operator) in SAME_QUANTISATION:
            around = activations(built, [*operator.inputs, *operator.outputs])
            assert len({(t.quantization.scale[0], t.quantization.zeroPoint[0]) for t in around}) == 1


@pytest.mark.parametrize("name", CHECKED)
def test_every_activation_is_int8_with_one_scale_and_an_exact_zero(model: Model, name: str) -> None:
    built = model(name)
    for tensor in activations(built, range(len(built.subgraphs[0].tensors))):
        assert tensor.type == schema.TensorType.INT8
        assert len(tensor.quantization.scale) == 1
        assert tensor.quantization.scale[0] > 0
        assert -128 <= tensor.quantization.zeroPoint[0] <= 127


@pytest.mark.parametrize("name", [name for name in CHECKED if not name.startswith("synthetic")])
def test_probabilities_have_the_prescribed_quantisation(model: Model, name: str) -> None:
    graph = model(name).subgraphs[0]
    output = graph.tensors[graph.outputs[0]]
    assert output.name == b"predictions"
    assert (output.quantization.scale[0], output.quantization.zeroPoint[0]) == (1 / 256, -128)


@pytest.mark.parametrize("name", CHECKED)
def test_the_file_says_what_it_is(model: Model, name: str) -> None:
    built = model(name)
    assert built.version == 3
    assert built.description.decode() == f"segsolve zoo: {name}, seed 0"
    assert all(code.deprecatedBuiltinCode == code.builtinCode for code in built.operatorCodes)
    names = [tensor.name for tensor in built.subgraphs[0].tensors]
    assert len(set(names)) == len(names)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(content: Content) -> None:
    again, other = zoo.build("mobilenetv2", seed=0), zoo.build("mobilenetv2", seed=1)
    assert again == content("mobilenetv2")
    assert other != again
    assert len(other) == len(again)


def test_networks_of_different_names_share_no_weights(model: Model) -> None:
    first, second = (model(name).buffers[1].data for name in ("mobilenet", "mobilenetv2"))
    assert first.shape == second.shape  # both start with 32 filters of 3x3x3
    assert (first != second).any()
