"""Bytes of a .tflite file to the schema's objects and back; the only place that knows about FlatBuffers."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from segsolve.errors import ModelError
from segsolve_runtime.contract.files import is_folder, read_bounded
from segsolve_runtime.contract.limits import MODEL

FILE_IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # schema.fbs asks for force_align: 16 on Buffer.data; the generated packer aligns to 4 only
LARGEST_FILE = 2**31 - 1  # FlatBuffers' offsets are 32 bits, and Python's builder stops at 2 GiB


def read_bytes(path: Path) -> bytes:
    """Return the content of a model file.

    Raises:
        ModelError: the file is missing, unreadable, empty, or not a .tflite file.
    """
    if is_folder(path):
        raise ModelError(f"{path} is a folder, not a .tflite file", "name the model file itself")
    try:
        content = read_bounded(path, MODEL)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", "check the path of the model") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if not content:
        raise ModelError(f"{path} is empty", "write or download the model again")
    if content[4:8] != FILE_IDENTIFIER:
        raise ModelError(
            f"{path} is not a .tflite file: it lacks the identifier {FILE_IDENTIFIER.decode()}",
            "convert the model to TensorFlow Lite (LiteRT) first",
        )
    return content


def unpack(content: bytes, path: Path) -> Any:
    """Return the ``ModelT`` of a file's content, with the data of every buffer inside it as uint8 arrays.

    LiteRT's own verifier must have passed it: Python's FlatBuffers reader checks nothing. What may be absent in a file
    and means "none" all the same, an operator's inputs and outputs, is an empty array in the objects.

    Raises:
        ModelError: the content is damaged, or keeps its weights outside of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    damaged = ModelError(f"{path} is damaged or truncated", "write or download the model again")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:  # whatever struct, numpy or the generated code meets in a damaged file
        raise damaged from error
    if model.externalBuffers or any(t.externalBuffer for s in model.subgraphs for t in s.tensors or []):
        raise ModelError(f"{path} keeps weights in other files, which is not supported", "export it as a single file")
    if any(entry.buffer >= len(model.buffers) for entry in model.metadata or []):  # LiteRT checks those of tensors
        raise damaged
    normalise(model, content)
    return model


def is_empty(content: bytes) -> bool:
    """Whether a file has no subgraph; LiteRT follows the missing pointer, and its process ends with it.

    Raises:
        ValueError: the content is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        return int(schema.Model.GetRootAs(content, 0).SubgraphsLength()) == 0
    except Exception as error:
        raise ValueError("damaged") from error


def with_operators(
    model: Any, operators: Sequence[Any], outputs: Sequence[int], inputs: Sequence[int] | None = None
) -> Any:
    """Return a model of some operators of another's first subgraph, whose tensors all keep their places.

    It shares the other's objects. Constants that no operator reads lose their data.
    """
    from ai_edge_litert import schema_py_generated as schema

    result, subgraph = copy(model), copy(model.subgraphs[0])
    read = {int(t) for operator in operators for t in operator.inputs} | {int(t) for t in outputs}
    kept = {subgraph.tensors[t].buffer for t in read if t >= 0}
    result.buffers = [b if i in kept else schema.BufferT() for i, b in enumerate(model.buffers)]
    subgraph.operators = list(operators)
    subgraph.outputs = np.array(outputs, dtype=np.int32)
    if inputs is not None:
        subgraph.inputs = np.array(inputs, dtype=np.int32)
    result.subgraphs, result.signatureDefs, result.metadata = [subgraph], None, None
    return result


def normalise(model: Any, content: bytes) -> None:
    """Bring data that is stored behind the flatbuffer (by offset and size) into the objects; add empty lists.

    Offsets 0 and 1 mean that there is no such data. LiteRT has checked that all others are inside of the file.
    """
    raw = np.frombuffer(content, dtype=np.uint8)
    for buffer in model.buffers or []:
        if buffer.offset > 1:
            buffer.data = raw[buffer.offset : buffer.offset + buffer.size]
            buffer.offset = buffer.size = 0
    for operator in (o for s in model.subgraphs for o in s.operators or []):
        none = np.zeros(0, dtype=np.int32)
        operator.inputs = none if operator.inputs is None else operator.inputs
        operator.outputs = none if operator.outputs is None else operator.outputs
        if operator.largeCustomOptionsOffset > 1:
            start = operator.largeCustomOptionsOffset
            operator.customOptions = raw[start : start + operator.largeCustomOptionsSize]
            operator.largeCustomOptionsOffset = operator.largeCustomOptionsSize = 0


def pack(model: Any) -> bytes:
    """Return the bytes of a ``ModelT`` as a .tflite file, buffers aligned as the schema asks.

    Raises:
        ModelError: the file would be larger than FlatBuffers allow.
    """
    import flatbuffers

    class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803
            return int(super().StartVector(elemSize, numElems, max(alignment, ALIGNMENT)))

    sizes: Sequence[int] = [len(b.data) for b in model.buffers if b.data is not None]
    total = sum(sizes)
    if total > LARGEST_FILE - 2**24:
        raise ModelError(f"a file of {total} bytes is larger than a .tflite file may be", "cut into more segments")
    builder = AlignedBuilder(total + 2**16 + 64 * len(sizes))
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())
