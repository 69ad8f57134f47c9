"""Writes what the vendor's compiler writes, as far as the project reads it: a package in a custom operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from segsolve.compiler.package import CUSTOM_OP
from segsolve.graph.flatbuffer import pack

from ..standins.compiled import compiled

Field = Callable[[flatbuffers.Builder, int], None]


def model_with(segment: bytes, options: bytes) -> bytes:
    """Return a compiled model of the segment's inputs and outputs whose custom operator has the given options."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(compiled(segment)), 0)
    assert model.operatorCodes[0].customCode == CUSTOM_OP
    model.subgraphs[0].operators[0].customOptions = np.frombuffer(options, np.uint8)
    return bytes(pack(model))


def package(executables: Sequence[bytes], version: bytes = b"cl/", runtime: int = 14) -> bytes:
    """Return a package with the bytes before it that a real one has."""
    inner = flatbuffers.Builder(0)
    programs = _table(inner, {0: _offset(_offsets(inner, [inner.CreateByteVector(e) for e in executables]))})
    inner.Finish(programs)
    outer = flatbuffers.Builder(0)
    blob, text = outer.CreateByteVector(bytes(inner.Output())), outer.CreateString(version.decode())
    outer.Finish(_table(outer, {0: _int32(runtime), 1: _offset(blob), 4: _offset(text)}), b"DWN1")
    return b"\x80\x01" + bytes(outer.Output()) + b"flexbuffer"


def executable(
    kind: int,
    parameters: int,
    instructions: Sequence[int] = (),
    *,
    narrow: int = 0,
    layers: tuple[Sequence[int], Sequence[int]] = ((), ()),
    scratch: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    """Return an executable; `scratch` is the host's buffer and what goes into and out of the chip."""
    b = flatbuffers.Builder(0)
    streams = _offsets(b, [_table(b, {0: _offset(b.CreateByteVector(bytes(n)))}) for n in instructions])
    ends = [_offsets(b, [_table(b, {1: _int32(n)}) for n in sizes]) for sizes in layers]
    hints = [_hint(b, size, out) for out, size in enumerate(scratch[1:]) if size]
    announced = _table(b, {0: _offset(_offsets(b, hints))})
    fields = {4: _int32(scratch[0]), 5: _offset(streams), 6: _offset(b.CreateByteVector(bytes(parameters)))}
    fields |= {7: _offset(announced), 8: _offset(ends[0]), 9: _offset(ends[1]), 12: _int32(narrow)}
    b.Finish(_table(b, fields | {13: lambda b, i: b.PrependInt16Slot(i, kind, -1)}))
    return bytes(b.Output())


def _hint(b: flatbuffers.Builder, size: int, out: int) -> int:
    meta = _table(b, {0: lambda b, i: b.PrependInt16Slot(i, 3, -1)})
    descriptor = _table(b, {0: _offset(meta), 2: _int32(size)})
    return _table(
        b,
        {
            0: lambda b, i: b.PrependUint8Slot(i, 1, 0),
            1: _offset(descriptor),
            2: lambda b, i: b.PrependInt16Slot(i, out, -1),
        },
    )


def _table(b: flatbuffers.Builder, fields: dict[int, Field]) -> int:
    b.StartObject(max(fields) + 1)
    for index, add in fields.items():
        add(b, index)
    return int(b.EndObject())


def _offset(value: int) -> Field:
    return lambda b, i: b.PrependUOffsetTRelativeSlot(i, value, 0)


def _int32(value: int) -> Field:
    return lambda b, i: b.PrependInt32Slot(i, value, -1)


def _offsets(b: flatbuffers.Builder, items: Sequence[int]) -> int:
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return int(b.EndVector())
