"""Bytes of a .tflite file to the schema's objects and back; the only place that knows about FlatBuffers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segsolve.errors import ModelError

FILE_IDENTIFIER = b"TFL3"
ALIGNMENT = 16  # schema.fbs asks for force_align: 16 on Buffer.data; the generated packer aligns to 4 only
LARGEST_FILE = 2**31 - 1  # FlatBuffers' offsets are 32 bits, and Python's builder stops at 2 GiB


def read_bytes(path: Path) -> bytes:
    """Return the content of a model file.

    Raises:
        ModelError: the file is missing, unreadable, empty, or not a .tflite file.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist", "check the path of the model") from None
    except IsADirectoryError:
        raise ModelError(f"{path} is a folder, not a .tflite file", "name the model file itself") from None
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

    LiteRT's own verifier runs first: Python's FlatBuffers reader checks nothing.

    Raises:
        ModelError: the content is damaged, or keeps its weights outside of the file.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    damaged = ModelError(f"{path} is damaged or truncated", "write or download the model again")
    try:
        Interpreter(model_content=content)
    except ValueError as error:
        if "Flatbuffer" in str(error):
            raise damaged from None
    except RuntimeError:
        pass  # e.g. an operation that LiteRT does not know: the file is well formed all the same
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
    except Exception as error:  # whatever struct, numpy or the generated code meets in a damaged file
        raise damaged from error
    if getattr(model, "externalBuffers", None):
        raise ModelError(f"{path} keeps weights in other files, which is not supported", "export it as a single file")
    _inline_buffers(model, content)
    return model


def _inline_buffers(model: Any, content: bytes) -> None:
    """Bring data that is stored behind the flatbuffer (offset and size in ``Buffer``) into the objects."""
    raw = np.frombuffer(content, dtype=np.uint8)
    for buffer in model.buffers or []:
        if buffer.offset > 1:
            buffer.data = raw[buffer.offset : buffer.offset + buffer.size]
            buffer.offset = buffer.size = 0
    for subgraph in model.subgraphs or []:
        for operator in subgraph.operators or []:
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
