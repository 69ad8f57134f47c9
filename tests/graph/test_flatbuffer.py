"""Bytes to objects and back: data behind the flatbuffer, alignment, what comes behind the model in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from segsolve.errors import ModelError
from segsolve.graph.flatbuffer import ALIGNMENT, pack, unpack
from segsolve.graph.read import read_model
from tests.models import Net, residual_net, run

HERE = Path("net.tflite")


def with_data_behind(net: Net) -> bytes:
    """Return a file with the data of all buffers, and of custom options, behind the flatbuffer."""
    operators = net.graph.operators
    tails: list[tuple[Any, str, bytes]] = [(b, "", b.data.tobytes()) for b in net.model.buffers if b.data is not None]
    tails += [(o, "largeCustomOptions", bytes(o.customOptions)) for o in operators if o.customOptions is not None]
    for owner, _, _ in tails:
        setattr(owner, "customOptions" if isinstance(owner, schema.OperatorT) else "data", None)
    start = 0
    while True:  # places change the size of the flatbuffer, once
        tail = b""
        for owner, prefix, data in tails:
            tail += b"\0" * (-len(tail) % ALIGNMENT)
            setattr(owner, f"{prefix}Offset" if prefix else "offset", start + len(tail) if start else 2**20)
            setattr(owner, f"{prefix}Size" if prefix else "size", len(data))
            tail += data
        front = pack(net.model)
        if len(front) == start:
            return front + tail
        start = len(front)


def test_every_buffer_is_aligned_as_the_schema_asks() -> None:
    content = residual_net().content()
    model = schema.Model.GetRootAs(content, 0)
    starts = []
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if not buffer.DataIsNone():
            data = buffer.DataAsNumpy()
            starts.append(data.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data)
    assert len(starts) == 12
    assert [start % ALIGNMENT for start in starts] == [0] * len(starts)


def test_packing_what_was_unpacked_gives_the_same_bytes() -> None:
    content = residual_net().content()
    assert pack(unpack(content, HERE)) == content


def test_data_behind_the_flatbuffer_is_found(tmp_path: Path) -> None:
    content = with_data_behind(residual_net())
    assert len(residual_net().content()) > len(content) - 4000
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    inline = residual_net().load(tmp_path, name="inline")
    loaded = read_model(path)
    assert loaded.graph.ops == inline.graph.ops
    for ours, theirs in zip(loaded.model.buffers, inline.model.buffers, strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)
    whole, outputs = run(content), run(pack(loaded.model))
    assert whole.keys() == outputs.keys()
    for name, values in whole.items():
        np.testing.assert_array_equal(outputs[name], values)


@pytest.mark.parametrize("missing", [1, 100, 1000, 2000])
def test_data_behind_the_flatbuffer_that_is_cut_off_is_missed(tmp_path: Path, missing: int) -> None:
    content = with_data_behind(residual_net())
    path = tmp_path / "net.tflite"
    path.write_bytes(content[:-missing])
    with pytest.raises(ModelError, match="out of range offset"):
        read_model(path)


def test_custom_options_behind_the_flatbuffer_are_found(tmp_path: Path) -> None:
    options = np.arange(200, dtype=np.uint8)
    net = Net()
    out = net.tensor("out", (1, 4, 4, 8))
    operator = net.operator("CUSTOM", [net.input()], [out])
    operator.customOptions = options
    net.model.operatorCodes[0].customCode = b"Custom"
    net.graph.outputs = [out]
    path = tmp_path / "net.tflite"
    path.write_bytes(with_data_behind(net))
    found = read_model(path).model.subgraphs[0].operators[0]
    np.testing.assert_array_equal(found.customOptions, options)
    assert (found.largeCustomOptionsOffset, found.largeCustomOptionsSize) == (0, 0)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="out of bound"):
        read_model(path)


def test_what_tools_append_to_a_file_does_no_harm(tmp_path: Path) -> None:
    path = residual_net().write(tmp_path)
    plain = read_model(path).graph
    path.write_bytes(path.read_bytes() + b"PK\x03\x04 labels")
    assert read_model(path).graph.ops == plain.ops


def test_an_operator_without_a_list_of_inputs_has_none(tmp_path: Path) -> None:
    net = Net()
    handle = net.tensor("handle", (1,), "RESOURCE")
    net.operator("VAR_HANDLE", [], [handle]).inputs = None
    operator = net.operator("ASSIGN_VARIABLE", [handle, net.input()], [])
    operator.outputs = None
    graph = net.load(tmp_path, net.relu(net.graph.inputs[0])).graph
    assert [len(op.inputs) for op in graph.ops] == [0, 2, 1]
    assert [len(op.outputs) for op in graph.ops] == [1, 0, 1]


def test_a_file_larger_than_flatbuffers_allow_is_refused_before_it_is_packed() -> None:
    net = Net()
    net.graph.outputs = [net.conv(net.input())]
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), shape=(2**31,), strides=(0,))
    net.model.buffers[1].data = huge
    with pytest.raises(ModelError, match=r"larger than a \.tflite file may be"):
        pack(net.model)
