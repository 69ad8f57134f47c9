"""Numbers become integers exactly as LiteRT's own operations make them."""

from __future__ import annotations

import numpy as np
import pytest

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.io.quantise import dequantise, is_quantised, quantise, real_range

from ...models import Net, quantisation, type_name
from .specs import FLOAT, VECTOR


def _litert(kind: str, values: Array, spec: TensorSpec) -> Array:
    """Run one operation of LiteRT's, from or to a tensor with the quantisation of `spec`."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    net = Net()
    x = net.input(values.shape, "FLOAT32" if values.dtype == np.float32 else spec.dtype.upper())
    y = net.op(kind, [x], values.shape, kind="FLOAT32" if kind == "DEQUANTIZE" else spec.dtype.upper())
    for tensor in (net.graph.tensors[x], net.graph.tensors[y]):
        if type_name(tensor) != "FLOAT32":
            tensor.quantization = quantisation(spec.scale, spec.zero_point or 0)
    interpreter = Interpreter(model_content=net.content(y), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_as_a_quantize_operation(dtype: str) -> None:
    spec = TensorSpec(name="x", dtype=dtype, shape=[1, 4000], scale=0.25, zero_point=7)
    halves = np.arange(-1000, 1000, dtype=np.float32) * np.float32(0.125)
    noise = np.random.default_rng(0).normal(0, 60, 2000).astype(np.float32)
    values = np.concatenate([halves, noise])[None]
    assert np.array_equal(quantise(values, spec), _litert("QUANTIZE", values, spec))


def test_as_a_dequantize_operation() -> None:
    spec = TensorSpec(name="x", dtype="int8", shape=[1, 256], scale=0.0371, zero_point=-5)
    values = np.arange(-128, 128, dtype=np.int8)[None]
    assert np.array_equal(dequantise(values, spec), _litert("DEQUANTIZE", values, spec))


def test_there_and_back() -> None:
    values = np.arange(-128, 128, dtype=np.int8)
    assert np.array_equal(quantise(dequantise(values, VECTOR), VECTOR), values)
    assert real_range(VECTOR) == (0.5 * (-128 + 3), 0.5 * (127 + 3))


def test_a_float_tensor_takes_numbers_as_they_are() -> None:
    assert not is_quantised(FLOAT)
    assert quantise(np.array([1.25]), FLOAT).dtype == np.float32
    assert np.array_equal(dequantise(np.array([1.25], np.float32), FLOAT), [1.25])
