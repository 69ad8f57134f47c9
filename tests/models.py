"""Tiny seeded networks, written operation by operation as real .tflite files of a few kB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from segsolve.graph.flatbuffer import pack
from segsolve.graph.read import LoadedModel, read_model

Array = NDArray[Any]
Tensors = dict[int, Array]

SCALE = 0.05
_TYPES = {"int8": "INT8", "uint8": "UINT8", "int32": "INT32", "float16": "FLOAT16", "float32": "FLOAT32"}
# The class of an operator's options, and the version of the operator that has int8 kernels.
_OPERATORS = {
    "ADD": ("AddOptions", 2),
    "CONCATENATION": ("ConcatenationOptions", 2),
    "CONV_2D": ("Conv2DOptions", 3),
    "CUSTOM": ("", 1),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", 3),
    "DEQUANTIZE": ("", 3),
    "FULLY_CONNECTED": ("FullyConnectedOptions", 4),
    "GATHER": ("GatherOptions", 2),
    "MUL": ("MulOptions", 2),
    "PACK": ("PackOptions", 1),
    "QUANTIZE": ("", 2),
    "RELU": ("", 2),
    "RESHAPE": ("ReshapeOptions", 1),
    "SHAPE": ("ShapeOptions", 1),
    "SPLIT": ("SplitOptions", 2),
    "STRIDED_SLICE": ("StridedSliceOptions", 1),
    "TRANSPOSE_CONV": ("TransposeConvOptions", 3),
    "BATCH_MATMUL": ("BatchMatMulOptions", 1),
}
# Where the scale of every slice stands in the weights of a kind.
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


class Net:
    """A network in the making; tensors are known by their indices in the file."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators, self.graph.inputs = [], [], []
        self.model = schema.ModelT()
        self.model.version, self.model.subgraphs, self.model.operatorCodes = 3, [self.graph], []
        self.model.buffers = [schema.BufferT()]

    def input(self, shape: Sequence[int] = (1, 4, 4, 8), kind: str = "INT8", **fields: Any) -> int:
        index = self.tensor(f"input_{len(self.graph.inputs)}", shape, kind, **fields)
        self.graph.inputs.append(index)
        return index

    def conv(self, x: int, filters: int = 8, size: int = 3, *, per_channel: bool = True, kind: str = "INT8") -> int:
        _, height, width, channels = self.shape(x)
        weights = self.weights("CONV_2D", (filters, size, size, channels), per_channel, kind)
        options = {"strideH": 1, "strideW": 1}
        return self.op("CONV_2D", [x, *weights], (1, height, width, filters), options)

    def depthwise(self, x: int, *, per_channel: bool = True, kind: str = "INT8") -> int:
        weights = self.weights("DEPTHWISE_CONV_2D", (1, 3, 3, self.shape(x)[3]), per_channel, kind)
        options = {"strideH": 1, "strideW": 1, "depthMultiplier": 1}
        return self.op("DEPTHWISE_CONV_2D", [x, *weights], self.shape(x), options)

    def dense(self, x: int, units: int, *, bias: bool = True) -> int:
        weights = self.weights("FULLY_CONNECTED", (units, math.prod(self.shape(x))), False, "INT8")
        return self.op("FULLY_CONNECTED", [x, weights[0], weights[1] if bias else -1], (1, units), {})

    def add(self, x: int, y: int) -> int:
        return self.op("ADD", [x, y], self.shape(x), {})

    def mul(self, x: int, factor: int | None = None) -> int:
        """Multiply by a constant per channel."""
        if factor is None:
            factor = self.constant(self.rng.integers(1, 127, self.shape(x)[-1], dtype=np.int8), scale=0.01)
        return self.op("MUL", [x, factor], self.shape(x), {})

    def relu(self, x: int) -> int:
        return self.op("RELU", [x], self.shape(x))

    def concat(self, *values: int) -> int:
        shape = self.shape(values[0])
        channels = sum(self.shape(v)[-1] for v in values)
        return self.op("CONCATENATION", values, (*shape[:-1], channels), {"axis": len(shape) - 1})

    def split(self, x: int, parts: int) -> list[int]:
        """Split the channels into tensors of their own."""
        axis = self.constant(np.array(3, np.int32))
        shape = (*self.shape(x)[:-1], self.shape(x)[-1] // parts)
        makes = [self.tensor(f"split_{len(self.graph.operators)}_{i}", shape) for i in range(parts)]
        self.operator("SPLIT", [axis, x], makes, {"numSplits": parts})
        return makes

    def shaped_by_data(self, x: int, rank: int = 4) -> int:
        """Append a RESHAPE whose shape is an input of the model: its size is not known until the model runs."""
        return self.op("RESHAPE", [x, self.input((rank,), "INT32", scale=None)], self.shape(x), {})

    def sizes(self, x: int, *rest: int) -> int:
        """Append what Keras writes for the shape ``(batch of x, *rest)``: SHAPE, STRIDED_SLICE and PACK."""
        begin, end, step = (self.constant(np.array([n], np.int32)) for n in (0, 1, 1))
        whole = self.op("SHAPE", [x], (len(self.shape(x)),), {"outType": schema.TensorType.INT32}, kind="INT32")
        first = self.op("STRIDED_SLICE", [whole, begin, end, step], (), {"shrinkAxisMask": 1})
        others = [self.constant(np.array(n, np.int32)) for n in rest]
        size = 1 + len(rest)
        packed = self.op("PACK", [first, *others], (size,), {"valuesCount": size, "axis": 0})
        for tensor in (whole, first, packed):
            self.graph.tensors[tensor].quantization = None
        return packed

    def dequantize(self, x: int) -> int:
        return self.op("DEQUANTIZE", [x], self.shape(x), kind="FLOAT32")

    def op(
        self,
        kind_of_op: str,
        reads: Sequence[int],
        shape: Sequence[int],
        options: dict[str, Any] | None = None,
        *,
        kind: str = "",
    ) -> int:
        """Append an operator with one output, which has the element type of the first input unless `kind` is given."""
        first = self.graph.tensors[reads[0]]
        output = self.tensor(f"{kind_of_op.lower()}_{len(self.graph.operators)}", shape, kind or type_name(first))
        self.operator(kind_of_op, reads, [output], options)
        return output

    def operator(
        self, kind: str, reads: Sequence[int], makes: Sequence[int], options: dict[str, Any] | None = None
    ) -> Any:
        name, version = _OPERATORS.get(kind, ("", 1))
        operator = schema.OperatorT()
        operator.opcodeIndex = self.code(kind, version)
        operator.inputs, operator.outputs = [int(i) for i in reads], [int(i) for i in makes]
        if options is not None and name:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = getattr(schema, f"{name}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)
        return operator

    def code(self, kind: str, version: int) -> int:
        number = getattr(schema.BuiltinOperator, kind)
        for index, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == number:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def weights(self, kind: str, shape: Sequence[int], per_channel: bool, element: str) -> list[int]:
        """Append weights and bias of a layer."""
        axis = _CHANNEL_AXIS[kind]
        channels = shape[axis]
        low, high, dtype = (-127, 128, np.int8) if element == "INT8" else (0, 256, np.uint8)
        # Outputs vary about as much as inputs do.
        scales = self.rng.uniform(1, 3, channels if per_channel else 1) / math.sqrt(math.prod(shape) / channels)
        filters = self.constant(
            self.rng.integers(low, high, shape, dtype=dtype), scale=scales / 127, zero=0 if element == "INT8" else 128
        )
        self.graph.tensors[filters].quantization.quantizedDimension = axis
        biases = self.rng.integers(-99, 99, channels, dtype=np.int32)
        return [filters, self.constant(biases, scale=scales / 127 * SCALE)]

    def constant(self, values: Array, *, scale: Any = None, zero: int = 0) -> int:
        index = self.tensor(f"constant_{len(self.graph.tensors)}", values.shape, _TYPES[values.dtype.name], scale=None)
        tensor = self.graph.tensors[index]
        tensor.buffer = self.buffer(values)
        if scale is not None:
            tensor.quantization = quantisation(scale, zero)
        return index

    def buffer(self, values: Array) -> int:
        buffer = schema.BufferT()
        buffer.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def tensor(self, name: str, shape: Sequence[int], kind: str = "INT8", *, scale: Any = SCALE, **fields: Any) -> int:
        """Append a tensor; integers get a scale, `fields` go into the schema's object."""
        tensor = schema.TensorT()
        tensor.name, tensor.type = name.encode(), getattr(schema.TensorType, kind)
        tensor.shape = np.array(shape, np.int32)
        if scale is not None and kind in {"INT8", "UINT8"}:
            tensor.quantization = quantisation(scale, 0 if kind == "INT8" else 128)
        for field, value in fields.items():
            setattr(tensor, field, value)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.graph.tensors[tensor].shape)

    def content(self, *outputs: int) -> bytes:
        """Return the file; without `outputs` those set before stay."""
        if outputs:
            self.graph.outputs = list(outputs)
        return pack(self.model)

    def write(self, folder: Path, *outputs: int, name: str = "net") -> Path:
        path = folder / f"{name}.tflite"
        path.write_bytes(self.content(*outputs))
        return path

    def load(self, folder: Path, *outputs: int, name: str = "net") -> LoadedModel:
        return read_model(self.write(folder, *outputs, name=name))


def quantisation(scale: Any, zero: int) -> Any:
    parameters = schema.QuantizationParametersT()
    parameters.scale = np.atleast_1d(np.asarray(scale, np.float32))
    parameters.zeroPoint = np.full(len(parameters.scale), zero, np.int64)
    return parameters


def type_name(tensor: Any) -> str:
    return next(str(name) for name, value in vars(schema.TensorType).items() if value == tensor.type)


def residual_net(seed: int = 0) -> Net:
    """Return a network of 11 operations with a long skip, a late input, an early output and several branches.

    ::

        image -> CONV a -> RELU b -> DEPTHWISE c -> ADD(a, c) d -> MUL e -> CONV f -> SPLIT(f) g, h
        CONCATENATION(g, h, b) i -> CONV j -> ADD(j, late) k -> FULLY_CONNECTED l;  outputs l, b
    """
    net = Net(seed)
    image, late = net.input(), net.input()
    a = net.conv(image)
    b = net.relu(a)
    c = net.depthwise(b)
    d = net.add(a, c)
    e = net.mul(d)
    f = net.conv(e, size=1)
    g, h = net.split(f, 2)
    i = net.concat(g, h, b)
    j = net.conv(i, filters=8, size=1)
    k = net.add(j, late)
    net.graph.outputs = [net.dense(k, 10), b]
    return net


def run(content: bytes, seed: int = 0, *, delegate: bool = True) -> dict[str, Array]:
    """Run a file on seeded noise; return its outputs by name."""
    types = OpResolverType
    kind = types.AUTO if delegate else types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kind)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(seed)
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], noise(rng, detail["shape"], detail["dtype"]))
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()}


def noise(rng: np.random.Generator, shape: Sequence[int], dtype: Any) -> Array:
    if np.dtype(dtype).kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
