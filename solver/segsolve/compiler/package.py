"""Reads a compiled model: what the vendor's compiler put into its custom operator, to the byte.

The operator carries a package, a FlatBuffer, whose layout follows libedgetpu's ``executable.fbs`` and files of the
compiler's versions 1.0 to 16. It holds executables: one that writes the cached weights into the chip's memory, and one
that runs an inference and brings the weights that stream; or one alone that does both. Nothing in a file says how much
memory remains, and the weights are packed: on chip the compiler's report counts 64 lanes for each group of outputs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from segsolve.errors import ModelError
from segsolve.graph.flatbuffer import read_bytes, unpack
from segsolve.graph.schema import operator_kind

CUSTOM_OP = b"edgetpu-custom-op"
TILES = 16
_IDENTIFIER = b"DWN1"
_SCRATCH = 3
_MOST_EXECUTABLES = 1000  # the compiler writes one or two
_COMPILE_AGAIN = "compile the quantised model again with edgetpu_compiler 2 or newer"


class Kind(Enum):
    """What an executable is for."""

    ALONE = 0
    CACHING = 1
    EXECUTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Executable:
    """One of a package's programs; bytes. `scratch_in` and `scratch_out` are activations kept in the host's memory."""

    kind: Kind
    parameter_bytes: int
    instruction_bytes: int
    activation_bytes_per_tile: int
    scratch_bytes: int
    scratch_in_bytes: int
    scratch_out_bytes: int
    input_bytes: int
    output_bytes: int
    estimated_cycles: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What one custom operator holds. The compiler mostly strips its version: then it is empty."""

    min_runtime_version: int
    compiler_version: str
    executables: tuple[Executable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledModel:
    """A compiled file: its packages, and the kinds of the operations that were left to the host's CPU."""

    name: str
    file_bytes: int
    packages: tuple[Package, ...]
    on_host: tuple[str, ...]

    @property
    def executables(self) -> tuple[Executable, ...]:
        """All programs, in the order of the file."""
        return tuple(e for package in self.packages for e in package.executables)

    @property
    def inferring(self) -> tuple[Executable, ...]:
        """The programs that run at every inference."""
        return tuple(e for e in self.executables if e.kind is not Kind.CACHING)

    @property
    def cached_bytes(self) -> int:
        """Packed weights that stay on chip."""
        return sum(e.parameter_bytes for e in self.executables if e.kind is Kind.CACHING)

    @property
    def streamed_bytes(self) -> int:
        """Packed weights that come from the host at every inference."""
        return sum(e.parameter_bytes for e in self.inferring)

    @property
    def instruction_bytes(self) -> int:
        """Instructions that come from the host at every inference."""
        return sum(e.instruction_bytes for e in self.inferring)

    @property
    def activation_bytes(self) -> int:
        """On-chip memory of the activations, over all tiles."""
        return TILES * max((e.activation_bytes_per_tile for e in self.inferring), default=0)


def read_compiled(path: Path) -> CompiledModel | None:
    """Return what a compiled model holds, None if the file is a model that was not compiled.

    Raises:
        ModelError: the file cannot be read, or holds no program for an Edge TPU where it should.
    """
    return compiled_model(read_bytes(path), path)


def compiled_model(content: bytes, path: Path) -> CompiledModel | None:
    """Return the same of a file's content; `path` names it in errors (ModelError as above)."""
    if CUSTOM_OP not in content:
        return None
    model = unpack(content, path)
    codes = {i for i, code in enumerate(model.operatorCodes) if code.customCode == CUSTOM_OP}
    operators = [o for subgraph in model.subgraphs for o in subgraph.operators or []]
    mine = [o for o in operators if o.opcodeIndex in codes]
    if not mine:
        return None
    try:
        packages = tuple(_package(_options(o), path) for o in mine)
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"{path} is damaged: its Edge TPU code cannot be read", _COMPILE_AGAIN) from error
    return CompiledModel(
        name=path.stem,
        file_bytes=len(content),
        packages=packages,
        on_host=tuple(operator_kind(model, o) for o in operators if o.opcodeIndex not in codes),
    )


def _options(operator: Any) -> bytes:
    return b"" if operator.customOptions is None else bytes(bytearray(operator.customOptions))


def _package(options: bytes, path: Path) -> Package:
    found = options.find(_IDENTIFIER)
    if found < 4:
        raise ModelError(
            f"{path} has an operator {CUSTOM_OP.decode()!r} without code for an Edge TPU in its {len(options)} bytes: "
            "a placeholder, or a file from before the middle of 2019",
            _COMPILE_AGAIN,
        )
    package = _Table.root(memoryview(options)[found - 4 :])
    programs = _Table.root(package.blob(1)).blobs(0)
    if not 0 < len(programs) <= _MOST_EXECUTABLES:
        raise ValueError(f"{len(programs)} executables")
    return Package(
        min_runtime_version=package.number(0, "i"),
        compiler_version=bytes(package.blob(4)).decode().strip().removeprefix("cl/"),
        executables=tuple(_executable(_Table.root(each)) for each in programs),
    )


def _executable(table: _Table) -> Executable:
    moved = list(_moved(table))
    return Executable(
        kind=Kind(table.number(13, "h")),
        parameter_bytes=len(table.blob(6)),
        instruction_bytes=sum(len(bits.blob(0)) for bits in table.tables(5)),
        activation_bytes_per_tile=table.number(12, "i"),
        scratch_bytes=table.number(4, "i"),
        scratch_in_bytes=sum(size for what, out, size in moved if what == _SCRATCH and not out),
        scratch_out_bytes=sum(size for what, out, size in moved if what == _SCRATCH and out),
        input_bytes=_crossing(table.tables(8)),
        output_bytes=_crossing(table.tables(9)),
        estimated_cycles=table.number(16, "q") or table.number(11, "i"),
        token=table.number(14, "Q"),
    )


def _moved(table: _Table) -> Iterable[tuple[int, bool, int]]:
    """Yield each announced transfer: what it carries, whether it leaves the chip, and its bytes."""
    hints = table.table(7)
    for hint in hints.tables(0) if hints else ():
        descriptor = hint.table(1) if hint.number(0, "B") == 1 else None
        if descriptor is not None:
            meta = descriptor.table(0)
            yield (meta.number(0, "h") if meta else 0), bool(hint.number(2, "h")), descriptor.number(2, "i")


def _crossing(layers: Iterable[_Table]) -> int:
    return sum(layer.number(1, "i") * layer.number(9, "i", 1) for layer in layers)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a FlatBuffer; whatever would lie outside of the buffer is an error, not a byte of something else."""

    data: memoryview
    at: int

    @classmethod
    def root(cls, data: memoryview) -> _Table:
        return cls(data, _read(data, 0, "I"))

    def slot(self, index: int) -> int:
        """Return where a field lies, 0 if it is absent."""
        vtable = self.at - _read(self.data, self.at, "i")
        if 4 + 2 * index + 2 > _read(self.data, vtable, "H"):
            return 0
        offset = _read(self.data, vtable + 4 + 2 * index, "H")
        return self.at + offset if offset else 0

    def number(self, index: int, kind: str, default: int = 0) -> int:
        at = self.slot(index)
        return _read(self.data, at, kind) if at else default

    def table(self, index: int) -> _Table | None:
        at = self.slot(index)
        return _Table(self.data, at + _read(self.data, at, "I")) if at else None

    def blob(self, index: int) -> memoryview:
        at = self.slot(index)
        return _blob(self.data, at) if at else self.data[:0]

    def blobs(self, index: int) -> list[memoryview]:
        return [_blob(self.data, at) for at in self._elements(index)]

    def tables(self, index: int) -> list[_Table]:
        return [_Table(self.data, at + _read(self.data, at, "I")) for at in self._elements(index)]

    def _elements(self, index: int) -> Sequence[int]:
        at = self.slot(index)
        if not at:
            return ()
        start = at + _read(self.data, at, "I")
        length = _read(self.data, start, "I")
        if start + 4 + 4 * length > len(self.data):
            raise IndexError("a list that is longer than its file")
        return range(start + 4, start + 4 + 4 * length, 4)


def _read(data: memoryview, at: int, kind: str) -> int:
    if at < 0:
        raise IndexError("before the file")
    return int(struct.unpack_from(f"<{kind}", data, at)[0])


def _blob(data: memoryview, at: int) -> memoryview:
    """Return the bytes that an offset at `at` leads to."""
    start = at + _read(data, at, "I")
    length = _read(data, start, "I")
    if start + 4 + length > len(data):
        raise IndexError("bytes that are longer than their file")
    return data[start + 4 : start + 4 + length]
