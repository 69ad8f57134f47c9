"""Where the tensors of one input come from: files that hold one each or many, read one at a time."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.images import check_pillow, fitted_pixels, load_pixels
from segsolve_runtime.io.pixels import PixelRule, canvas_of, check_rule, takes_pixels, tensor_of
from segsolve_runtime.io.quantise import is_quantised, quantise
from segsolve_runtime.io.video import camera_source, check_pyav, frame_count, video_frames

_LONGEST_HEADER = 2**16
_CHUNK = 2**24
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


Give: TypeAlias = Callable[[], Array]
"""Returns a tensor; may be called in any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Tensors of one input from one place; `count` is None where nobody knows how many come.

    `read` yields what gives each tensor: at once, where it must be read in order, and with some work for an image.
    `about` is a count that may be wrong. What is live comes when it comes, and waits for nobody.
    """

    label: str
    count: int | None
    read: Callable[[], Iterator[Give]]
    is_image: bool = False
    is_live: bool = False
    about: int | None = None

    def labelled(self) -> Iterator[tuple[str, Give]]:
        """Yield what gives each tensor, with a text that says where it is from."""
        for i, give in enumerate(self.read()):
            yield (self.label if self.count == 1 else f"{self.label}[{i}]"), give


def image_piece(path: Path, spec: TensorSpec, rule: PixelRule) -> Piece:
    """Return an image file as one tensor.

    Raises:
        InputError: the input is no image, or Pillow is not installed.
    """
    check_pillow()
    check_rule(rule, spec)
    canvas = canvas_of(spec)

    def read() -> Iterator[Give]:
        yield lambda: tensor_of(load_pixels(path, canvas, rule.fit), spec, rule)

    return Piece(label=str(path), count=1, read=read, is_image=True)


def npy_piece(path: Path, spec: TensorSpec) -> Piece:
    """Return the tensors of a ``.npy`` file: one, or several along its first axis.

    Raises:
        InputError: the file is no array, or its type or shape does not fit the input.
    """
    return _array_piece(str(path), spec, lambda: path.open("rb"))


def npz_arrays(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in a ``.npz`` file.

    Raises:
        InputError: it cannot be read.
    """
    with _refusing(str(path), "as .npz"), ZipFile(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))


def npz_piece(path: Path, array: str, spec: TensorSpec) -> Piece:
    """Return the tensors of one array in a ``.npz`` file, as `npy_piece` does; also compressed ones in little memory.

    Raises:
        InputError: as for `npy_piece`.
    """
    return _array_piece(f"{path}:{array}", spec, lambda: _Member(path, f"{array}.npy"))


def video_piece(path: Path, spec: TensorSpec, rule: PixelRule) -> Piece:
    """Return the frames of a video file.

    Raises:
        InputError: it cannot be opened, the input is no image, or PyAV or Pillow is not installed.
    """
    check_pyav()
    return _film(str(path), None, spec, rule, label=str(path), count=frame_count(path))


def camera_piece(number: int, spec: TensorSpec, rule: PixelRule) -> Piece:
    """Return the frames of a camera, as they come.

    Raises:
        InputError: as for `video_piece`.
    """
    check_pyav()
    source, form = camera_source(number)
    return _film(source, form, spec, rule, label=f"camera:{number}", count=None)


def _film(source: str, form: str | None, spec: TensorSpec, rule: PixelRule, *, label: str, count: int | None) -> Piece:
    check_pillow()
    check_rule(rule, spec)
    canvas = canvas_of(spec)

    def convert(pixels: Array) -> Array:
        return tensor_of(fitted_pixels(pixels, canvas, rule.fit), spec, rule)

    def read() -> Iterator[Give]:
        for pixels in video_frames(source, form):
            yield partial(convert, pixels)

    # How many frames a file says it has is not always how many it has.
    return Piece(label=label, count=None, about=count, read=read, is_image=True, is_live=form is not None)


def raw_piece(path: Path, spec: TensorSpec, rule: PixelRule) -> Piece:
    """Return the images or tensors in a file of nothing but their bytes, one after the other; see `takes_pixels`.

    Raises:
        InputError: its size is no multiple of one's.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    _check_size(size, str(path), spec, rule)
    count = size // _raw_nbytes(spec, rule)
    return Piece(label=str(path), count=count, read=lambda: _raw(path.open("rb"), str(path), spec, rule))


def stream_piece(stream: BinaryIO, spec: TensorSpec, rule: PixelRule) -> Piece:
    """Return the images or tensors that come as bytes on a stream, until it ends; see `takes_pixels`.

    Raises:
        InputError: it is a file whose size is no multiple of one's.
    """
    with suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        if stat.S_ISREG(found.st_mode):
            _check_size(found.st_size - stream.tell(), "stdin", spec, rule)
    return Piece(label="stdin", count=None, read=lambda: _raw(stream, "stdin", spec, rule))


def told(label: str, spec: TensorSpec, rule: PixelRule) -> str:
    """Return a sentence that says what bytes without a format are taken for."""
    if takes_pixels(rule, spec):
        canvas = canvas_of(spec)
        what = f"pixels, {canvas.mode} of {canvas.width} x {canvas.height}, a byte each"
        return f"the bytes of {label} are {what} (--raw-tensor: the tensor's own {spec.dtype})"
    return f"the bytes of {label} are the tensor's own {spec.dtype} of shape {list(spec.shape)}"


def _check_size(size: int, label: str, spec: TensorSpec, rule: PixelRule) -> None:
    one = _raw_nbytes(spec, rule)
    if size == 0 or size % one:
        what = "images" if takes_pixels(rule, spec) else "tensors"
        raise InputError(f"{label} has {size} bytes; the input {spec.name!r} takes {one} at a time: no whole {what}")


def _raw_nbytes(spec: TensorSpec, rule: PixelRule) -> int:
    return int(np.prod(spec.shape, dtype=np.int64)) if takes_pixels(rule, spec) else _nbytes(spec)


@contextmanager
def _refusing(label: str, how: str) -> Iterator[None]:
    """Turn whatever the readers of damaged archives and arrays raise into an InputError."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of zipfile, zlib, lzma, struct and numpy: a dozen kinds
        why = str(error.args[0] if isinstance(error, KeyError) else error).splitlines()
        raise InputError(f"{label} cannot be read {how}: {why[0][:200] if why else type(error).__name__}") from None


class _Head:
    """The beginning of a stream: a header may not say that it is longer than any is."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._left = stream, _LONGEST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self._left:
            raise ValueError(f"its header has more than {_LONGEST_HEADER} bytes")
        self._left -= size
        return self._stream.read(size)


class _Member:
    """One member of a zip file, opened for reading; closes both."""

    def __init__(self, path: Path, name: str) -> None:
        with ExitStack() as stack:
            self._archive = stack.enter_context(ZipFile(path))
            self._stream = self._archive.open(name)
            stack.pop_all()

    def __enter__(self) -> IO[bytes]:
        return self._stream

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._archive.close()


def _array_piece(label: str, spec: TensorSpec, opened: Callable[[], Any]) -> Piece:
    with _refusing(label, "as an array"), opened() as stream:
        shape, dtype = _header(stream, label)
    count = _count(label, shape, spec)
    _check_dtype(label, dtype, spec)

    def read() -> Iterator[Give]:
        with ExitStack() as stack:
            with _refusing(label, "as an array"):
                stream = stack.enter_context(opened())
                _header(stream, label)
            for _ in range(count):
                yield _given(_take(stream, label, dtype, spec), spec)

    return Piece(label=label, count=count, read=read)


def _header(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"it is of version {version[0]}.{version[1]}")
    shape, is_fortran, dtype = _HEADERS[version](_Head(stream))
    if is_fortran and len(shape) > 1:
        raise InputError(f"{label} is stored column by column; save it after numpy.ascontiguousarray")
    return shape, dtype


def _count(label: str, shape: tuple[int, ...], spec: TensorSpec) -> int:
    """Return how many tensors an array of this shape holds."""
    one = tuple(spec.shape)
    if shape == one or (one[:1] == (1,) and shape == one[1:]):
        return 1
    if len(shape) == len(one) + 1 and shape[1:] == one:
        return shape[0]
    if one[:1] == (1,) and len(shape) == len(one) and shape[1:] == one[1:]:
        return shape[0]
    raise InputError(
        f"{label} has the shape {shape}; the input {spec.name!r} takes {one}, or several of them along a first axis"
    )


def _check_dtype(label: str, dtype: np.dtype[Any], spec: TensorSpec) -> None:
    if dtype == np.dtype(spec.dtype) or (dtype.kind == "f" and (is_quantised(spec) or spec.dtype.startswith("float"))):
        return
    also = ", or the real numbers that they stand for as floats" if is_quantised(spec) else ""
    raise InputError(f"{label} holds {dtype}; the input {spec.name!r} takes {spec.dtype}{also}")


def _given(array: Array, spec: TensorSpec) -> Give:
    if array.dtype == np.dtype(spec.dtype):
        return lambda: array
    return lambda: quantise(array, spec)


def _raw(stream: BinaryIO, label: str, spec: TensorSpec, rule: PixelRule) -> Iterator[Give]:
    is_image = takes_pixels(rule, spec)
    dtype = np.dtype(np.uint8 if is_image else spec.dtype)
    with stream:
        while (array := _take(stream, label, dtype, spec, may_end=True)).size:
            yield _from_pixels(array, spec, rule) if is_image else _given(array, spec)


def _from_pixels(array: Array, spec: TensorSpec, rule: PixelRule) -> Give:
    canvas = canvas_of(spec)
    return lambda: tensor_of(array.reshape(canvas.height, canvas.width, canvas.channels), spec, rule)


def _take(stream: IO[bytes], label: str, dtype: np.dtype[Any], spec: TensorSpec, *, may_end: bool = False) -> Array:
    """Read one tensor; at the end of the stream, if it may be there, an empty array."""
    wanted = _nbytes(spec) // np.dtype(spec.dtype).itemsize * dtype.itemsize
    data = bytearray()
    with _refusing(label, "to its end"):
        while len(data) < wanted and (more := stream.read(min(_CHUNK, wanted - len(data)))):
            data += more
    if not data and may_end:
        return np.empty(0, dtype)
    if len(data) < wanted:
        raise InputError(f"{label} ends in the middle of a tensor: {len(data)} of {wanted} bytes")
    return np.frombuffer(data, dtype).reshape(spec.shape)


def _nbytes(spec: TensorSpec) -> int:
    return int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
