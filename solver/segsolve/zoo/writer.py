"""Writes the steps of a network as a quantised .tflite model with seeded random weights."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from segsolve.graph import flatbuffer
from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import ChannelConstant, Integers, Kernel, Reals, Step, Value
from segsolve.zoo.weights import draw

SCHEMA_VERSION = 3
LARGEST_BUILTIN_BYTE = 127  # larger operator codes do not fit the schema's first field for them

# Operator: the class of its options, and the version of the operator that has int8 kernels.
OPERATORS = {
    "ADD": ("AddOptions", 2),
    "AVERAGE_POOL_2D": ("Pool2DOptions", 2),
    "CONCATENATION": ("ConcatenationOptions", 2),
    "CONV_2D": ("Conv2DOptions", 3),
    "DEQUANTIZE": ("", 2),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 4),
    "LOGISTIC": ("", 2),
    "MAX_POOL_2D": ("Pool2DOptions", 2),
    "MEAN": ("ReducerOptions", 2),
    "MUL": ("MulOptions", 2),
    "PAD": ("PadOptions", 2),
    "QUANTIZE": ("", 2),
    "RELU": ("", 2),
    "RESHAPE": ("ReshapeOptions", 1),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", 3),
    "SOFTMAX": ("SoftmaxOptions", 2),
    "STRIDED_SLICE": ("StridedSliceOptions", 2),
    "SUB": ("SubOptions", 2),
    "TRANSPOSE": ("TransposeOptions", 2),
}
ENUMERATIONS = {"fusedActivationFunction": "ActivationFunctionType", "padding": "Padding"}


def write(name: str, net: Builder, output: Value, seed: int) -> bytes:
    """Return the content of the .tflite file for a network; name and seed decide the weights."""
    writer = _Writer(np.random.default_rng([seed, zlib.crc32(name.encode())]))
    assert net.image is not None, "a network starts with its input"
    inputs = [writer.value(net.image)]
    for step in net.steps:
        writer.step(step)
    description = f"segsolve zoo: {name}, seed {seed}"
    outputs = [output, *net.steps[-1].further]
    return flatbuffer.pack(writer.model(name, description, inputs, [writer.value(value) for value in outputs]))


class _Writer:
    """Schema objects of one model, and where its values and operators stand in them."""

    def __init__(self, rng: np.random.Generator) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._rng = rng
        self._buffers: list[Any] = [schema.BufferT()]  # the first one is by convention the empty one
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}
        self._index: dict[Value, int] = {}
        self._zeros: dict[int, int] = {}  # buffers of int32 zeros by length

    def model(self, name: str, description: str, inputs: list[int], outputs: list[int]) -> Any:
        """Return the ``ModelT`` of everything written so far."""
        graph = self._schema.SubGraphT()
        graph.name = name
        graph.inputs, graph.outputs = inputs, outputs
        graph.tensors, graph.operators = self._tensors, self._operators
        model = self._schema.ModelT()
        model.version = SCHEMA_VERSION
        model.description = description
        model.operatorCodes = [self._code(operator) for operator in self._codes]
        model.subgraphs = [graph]
        model.buffers = self._buffers
        return model

    def value(self, value: Value) -> int:
        """Return the index of a value's tensor, which is written at its first use."""
        if value not in self._index:
            quantisation = self._quantisation([value.range.scale], [value.range.zero_point])
            kind, known = ("FLOAT32", None) if value.is_real else ("INT8", quantisation)
            self._index[value] = self._tensor(value.name, value.shape, kind, 0, known)
        return self._index[value]

    def step(self, step: Step) -> None:
        """Write an operation with its constants."""
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(step.operator, len(self._codes))
        operator.inputs = [self.value(value) for value in step.inputs]
        if step.kernel is not None:
            operator.inputs += self._weights(step, step.kernel)
        operator.inputs += [self._constant(constant) for constant in step.constants]
        operator.outputs = [self.value(value) for value in (step.output, *step.further)]
        if step.operator not in OPERATORS:
            operator.customOptions = _custom_options(step.options)
        elif kind := OPERATORS[step.operator][0]:
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
            operator.builtinOptions = self._options(kind, step.options)
        self._operators.append(operator)

    def _code(self, operator: str) -> Any:
        code = self._schema.OperatorCodeT()
        is_custom = operator not in OPERATORS
        code.builtinCode = getattr(self._schema.BuiltinOperator, "CUSTOM" if is_custom else operator)
        code.deprecatedBuiltinCode = min(code.builtinCode, LARGEST_BUILTIN_BYTE)
        code.version = 1 if is_custom else OPERATORS[operator][1]
        code.customCode = operator if is_custom else None
        return code

    def _options(self, kind: str, fields: Mapping[str, object]) -> Any:
        options = getattr(self._schema, f"{kind}T")()
        for field, value in fields.items():
            names = getattr(self._schema, ENUMERATIONS[field]) if field in ENUMERATIONS else None
            setattr(options, field, getattr(names, str(value)) if names else value)
        return options

    def _weights(self, step: Step, kernel: Kernel) -> list[int]:
        source, name, axis = step.inputs[0], step.output.name, kernel.channel_axis
        drawn = draw(self._rng, kernel, source)
        scales = self._quantisation(drawn.scales, np.zeros(len(drawn.scales)), axis)
        products = self._quantisation(drawn.scales * np.float32(source.range.scale), np.zeros(len(drawn.scales)))
        return [
            self._tensor(f"{name}/kernel", kernel.shape, "INT8", self._buffer(drawn.values), scales),
            self._tensor(f"{name}/bias", drawn.bias.shape, "INT32", self._buffer(drawn.bias), products),
        ]

    def _constant(self, constant: ChannelConstant | Integers | Reals) -> int:
        if isinstance(constant, Reals):
            real = np.array(constant.values, np.float32)
            return self._tensor(constant.name, constant.shape, "FLOAT32", self._buffer(real), None)
        if isinstance(constant, Integers):
            data = np.array(constant.values, np.int32)
            return self._tensor(constant.name, constant.shape, "INT32", self._buffer(data), None)
        numbers = self._rng.uniform(constant.low, constant.high, size=constant.shape)
        scale = float(np.abs(numbers).max()) / 127
        data = np.rint(numbers / scale).astype(np.int8)
        return self._tensor(constant.name, constant.shape, "INT8", self._buffer(data), self._quantisation([scale], [0]))

    def _buffer(self, data: npt.NDArray[Any]) -> int:
        """Write data once; zeros are shared, as the converter shares equal constants."""
        if not data.any() and data.size in self._zeros:
            return self._zeros[data.size]
        buffer = self._schema.BufferT()
        buffer.data = data.reshape(-1).view(np.uint8)
        self._buffers.append(buffer)
        if not data.any():
            self._zeros[data.size] = len(self._buffers) - 1
        return len(self._buffers) - 1

    def _quantisation(self, scales: Any, zero_points: Any, axis: int = 0) -> Any:
        quantisation = self._schema.QuantizationParametersT()
        quantisation.scale = np.asarray(scales, np.float32)
        quantisation.zeroPoint = np.asarray(zero_points, np.int64)
        quantisation.quantizedDimension = axis
        return quantisation

    def _tensor(self, name: str, shape: tuple[int, ...], kind: str, buffer: int, quantisation: Any) -> int:
        tensor = self._schema.TensorT()
        tensor.name = name
        tensor.shape = np.array(shape, np.int32)
        tensor.type = getattr(self._schema.TensorType, kind)
        tensor.buffer = buffer
        tensor.quantization = quantisation
        self._tensors.append(tensor)
        return len(self._tensors) - 1


def _custom_options(options: Mapping[str, object]) -> npt.NDArray[np.uint8]:
    """Return the options of a custom operation as a FlexBuffer, as TensorFlow's converter writes them."""
    from flatbuffers import flexbuffers

    return np.frombuffer(flexbuffers.Dumps(dict(options)), np.uint8)
