"""Where results go: a ``.npz`` with every output of every frame, or a line of JSON per frame."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Protocol, Self
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.contract.writing import check_replaceable, replacing
from segsolve_runtime.errors import ResultError
from segsolve_runtime.io.quantise import dequantise, is_quantised
from segsolve_runtime.io.reading import Reading

SUFFIXES = (".npz", ".jsonl")
ORIGINS = "input_files"
"""The array of a ``.npz`` that says which frame each result belongs to."""
QUANTISATION = "output_quantisation"
"""The array of a ``.npz`` of integers that says what they stand for, a row per output: real = scale * (q - zero_point).

Fields `output`, `scale` and `zero_point`; an output that is not quantised has no row.
"""

_LONGEST_NAME = 2**16 - 1 - len(".npy")  # of a member of a zip file


class Sink(Protocol):
    """Takes results one by one; a context manager, after which the file is complete."""

    def put(self, origin: str, outputs: Mapping[str, Array]) -> None:
        """Take the next result; `origin` says which frame it belongs to."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_output(
    path: Path, outputs: Sequence[TensorSpec], reading: Reading | None = None, *, real: bool = False
) -> Sink:
    """Return the sink for a file that is named ``*.npz`` or ``*.jsonl``; lines tell what a `reading` reads.

    With `real`, quantised outputs are written as the real numbers (float32) that their integers stand for.

    Raises:
        ResultError: the name ends otherwise, a ``.npz`` should hold a reading or has no room for a name, or the file
            cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise ResultError(f"the output {path} is neither a .npz nor a .jsonl file")
    if path.suffix == ".jsonl":
        return _Lines(path, outputs, reading, real=real)
    if reading is not None:
        raise ResultError(f"the output {path} holds arrays; for classes or detections name a .jsonl file")
    if any(len(spec.name.encode(errors="replace")) > _LONGEST_NAME for spec in outputs):
        raise ResultError(f"the output {path} holds no names of more than {_LONGEST_NAME} bytes; name a .jsonl file")
    return _Archive(path, outputs, real=real)


class _Lines:
    """A line per result, on disk as soon as it is there, so that others can follow."""

    def __init__(self, path: Path, outputs: Sequence[TensorSpec], reading: Reading | None, *, real: bool) -> None:
        self._path, self._reading, self._number = path, reading, 0
        self._real = {spec.name: spec for spec in outputs} if real else {}
        try:
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise _fault(path, error) from None

    def put(self, origin: str, outputs: Mapping[str, Array]) -> None:
        record: dict[str, Any] = {"frame": self._number, "input": origin}
        if self._reading is None:
            record["outputs"] = {n: _numbers(_written(array, self._real.get(n))) for n, array in outputs.items()}
        else:
            record |= self._reading.record(origin, outputs)
        self._number += 1
        try:
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as error:
            raise _fault(self._path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError as fault:  # what could not be written before cannot be now
            if error is None:
                raise _fault(self._path, fault) from None


class _Archive:
    """Spools the bytes of each output and packs them in the end, when their number is known: memory stays small."""

    def __init__(self, path: Path, outputs: Sequence[TensorSpec], *, real: bool) -> None:
        self._path, self._outputs, self._real = path, {spec.name: spec for spec in outputs}, real
        self._origins: list[str] = []
        self._stack = ExitStack()
        try:
            check_replaceable(path)
            # In the file's own folder: what fits there as spool fits there in the end. They go with the process.
            self._spools: dict[str, IO[bytes]] = {
                name: self._stack.enter_context(TemporaryFile(dir=path.parent))  # noqa: SIM115
                for name in self._outputs
            }
        except OSError as error:
            self._stack.close()
            raise _fault(path, error) from None

    def put(self, origin: str, outputs: Mapping[str, Array]) -> None:
        try:
            for name, spool in self._spools.items():
                made = _written(outputs[name], self._outputs[name] if self._real else None)
                spool.write(np.ascontiguousarray(made).data)
        except OSError as error:
            raise _fault(self._path, error) from None
        self._origins.append(origin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._stack:
                if isinstance(error, ResultError) or (error is not None and not self._origins):
                    return  # nothing that could be written, or nothing to write
                self._write()
        except OSError as fault:  # also where a spool is closed
            if not isinstance(error, ResultError):
                raise _fault(self._path, fault) from None

    def _write(self) -> None:
        with replacing(self._path) as packed, ZipFile(packed, "w", ZIP_STORED) as archive:
            for name, spool in self._spools.items():
                self._pack(archive, self._outputs[name], spool)
            _pack_array(archive, ORIGINS, np.array(self._origins, dtype=np.str_))
            if not self._real:
                _pack_array(archive, QUANTISATION, _quantisation(self._outputs.values()))

    def _pack(self, archive: ZipFile, spec: TensorSpec, spool: IO[bytes]) -> None:
        spool.seek(0)
        header = {
            "descr": npy.dtype_to_descr(np.dtype("float32" if self._real and is_quantised(spec) else spec.dtype)),
            "fortran_order": False,
            "shape": (len(self._origins), *_frame_shape(spec)),
        }
        with archive.open(f"{spec.name}.npy", "w", force_zip64=True) as member:
            npy.write_array_header_1_0(member, header)
            shutil.copyfileobj(spool, member, 2**20)


def _numbers(array: Array) -> Any:
    """Return nested lists, with None for what JSON has no number for."""
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist()
    boxed = array.astype(object)
    boxed[~np.isfinite(array)] = None
    return boxed.tolist()


def _frame_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Return a tensor's shape without its batch of one, in whose place the frames stand."""
    return tuple(spec.shape[1:] if spec.shape[:1] == [1] else spec.shape)


def _written(array: Array, real: TensorSpec | None) -> Array:
    """Return an output as it is written: the real numbers of a tensor that is to be written so, else as it is."""
    return array if real is None else dequantise(array, real)


def _quantisation(outputs: Iterable[TensorSpec]) -> Array:
    rows = [(spec.name, spec.scale, spec.zero_point or 0) for spec in outputs if is_quantised(spec)]
    longest = max((len(name) for name, _, _ in rows), default=1)
    return np.array(rows, dtype=[("output", f"U{longest}"), ("scale", "f8"), ("zero_point", "i8")])


def _pack_array(archive: ZipFile, name: str, array: Array) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy.write_array(member, array, allow_pickle=False)


def _fault(path: Path, error: OSError) -> ResultError:
    return ResultError(f"{path} cannot be written: {error.strerror or error}")
