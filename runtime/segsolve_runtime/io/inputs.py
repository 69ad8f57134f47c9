"""The frames that files stand for, one at a time: images, arrays and raw bytes, for one input of the model or more."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path

from segsolve_runtime.contract.arrays import Array, array_specs
from segsolve_runtime.contract.files import is_file, is_folder, is_there
from segsolve_runtime.contract.plan import Plan, TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.ahead import in_order
from segsolve_runtime.io.images import SUFFIXES
from segsolve_runtime.io.pieces import (
    Give,
    Piece,
    camera_piece,
    image_piece,
    npy_piece,
    npz_arrays,
    npz_piece,
    raw_piece,
    stream_piece,
    told,
    video_piece,
)
from segsolve_runtime.io.pixels import DEFAULT_RULE, PixelRule, doubt
from segsolve_runtime.io.video import SUFFIXES as VIDEOS
from segsolve_runtime.io.video import camera

_RAW = frozenset({".bin", ".raw"})
_STDIN = "-"
_MOST_THREADS = 4
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Frames and where they come from. `count` is None where nobody knows how many come.

    `doubts` and `notes`, what was chosen for the user, are for the user to read.
    """

    columns: dict[str, tuple[Piece, ...]]
    count: int | None
    doubts: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether some of it comes when it comes, and waits for nobody."""
        return any(piece.is_live for pieces in self.columns.values() for piece in pieces)

    def frames(self, threads: int | None = None) -> Iterator[tuple[str, dict[str, Array]]]:
        """Yield the frames with their origin's name; only a few frames are in memory at a time.

        Images are read ahead in `threads`: by themselves as many as the machine has cores, and 4 at most.

        Raises:
            InputError: a file cannot be read, or one input ends before another.
        """
        if self.is_live or not any(piece.is_image for pieces in self.columns.values() for piece in pieces):
            yield from (give() for give in self._giving())
        else:
            yield from in_order(self._giving(), threads or min(_MOST_THREADS, os.cpu_count() or 1))

    def _giving(self) -> Iterator[Callable[[], tuple[str, dict[str, Array]]]]:
        streams = [chain.from_iterable(p.labelled() for p in pieces) for pieces in self.columns.values()]
        for parts in zip_longest(*streams):
            if None in parts:
                short = list(self.columns)[parts.index(None)]
                raise InputError(f"the input {short!r} ended before the others")
            gives = {name: give for name, (_, give) in zip(self.columns, parts, strict=True)}
            yield partial(_frame, parts[0][0], gives)


def _frame(origin: str, gives: dict[str, Give]) -> tuple[str, dict[str, Array]]:
    return origin, {name: give() for name, give in gives.items()}


def open_inputs(plan: Plan, values: Sequence[str], rule: PixelRule = DEFAULT_RULE) -> Inputs:
    """Return the frames that `values` stand for; each is ``[NAME=]FILE``, a folder, a pattern, or ``-`` for stdin.

    ``.npy`` and ``.npz`` hold one tensor or several along a first axis, ``.raw`` and ``.bin`` and stdin nothing but
    bytes: pixels for an image, if the rule does not say otherwise, else the tensor's own. Names of videos and
    ``camera:N`` give their frames; what else there is are images. An ``.npz`` gives every input by its name. NAME is
    needed where the model takes several inputs; they are then taken side by side, and must be equally many.

    Raises:
        InputError: a value names nothing, or nothing that fits an input; an input is missing.
    """
    array_specs(plan)  # types that numpy does not know have their own sentence
    specs = {name: plan.tensor(name) for name in plan.inputs}
    columns: dict[str, list[Piece]] = {name: [] for name in specs}
    for value in values:
        for name, piece in _pieces(value, specs, rule):
            columns[name].append(piece)
    if missing := [name for name, pieces in columns.items() if not pieces]:
        raise InputError(f"nothing was given for the input {missing[0]!r}; the model takes {', '.join(specs)}")
    doubts = (doubt(rule, specs[name]) for name, pieces in columns.items() if any(p.is_image for p in pieces))
    return Inputs(
        columns={name: tuple(pieces) for name, pieces in columns.items()},
        count=_count(columns),
        doubts=tuple(text for text in doubts if text),
        notes=tuple(
            dict.fromkeys(text for name, ps in columns.items() for p in ps if (text := _note(p, specs[name], rule)))
        ),
    )


def _note(piece: Piece, spec: TensorSpec, rule: PixelRule) -> str | None:
    is_raw = piece.label == "stdin" or Path(piece.label).suffix.lower() in _RAW
    return told("stdin" if piece.label == "stdin" else "raw files", spec, rule) if is_raw else None


def _pieces(value: str, specs: dict[str, TensorSpec], rule: PixelRule) -> Iterator[tuple[str, Piece]]:
    name, rest = _split(value, specs)
    if (number := camera(rest)) is not None and not is_there(Path(rest)):
        spec = specs[name] if name else _only(specs, value)
        yield spec.name, camera_piece(number, spec, rule)
        return
    for path in _paths(rest):
        if path is not None and path.suffix.lower() == ".npz":
            yield from _npz_pieces(path, name, specs)
            continue
        spec = specs[name] if name else _only(specs, value)
        yield spec.name, _piece(path, spec, rule)


def _piece(path: Path | None, spec: TensorSpec, rule: PixelRule) -> Piece:
    if path is None:
        if sys.stdin is None:
            raise InputError("the standard input is closed")
        if sys.stdin.isatty():
            raise InputError("the standard input is a terminal, which has no frames; pipe them: ... | run --input -")
        return stream_piece(sys.stdin.buffer, spec, rule)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return npy_piece(path, spec)
    if suffix in VIDEOS:
        return video_piece(path, spec, rule)
    return raw_piece(path, spec, rule) if suffix in _RAW else image_piece(path, spec, rule)


def _npz_pieces(path: Path, name: str | None, specs: dict[str, TensorSpec]) -> Iterator[tuple[str, Piece]]:
    """Yield the arrays of a file for the inputs that they are named after, or all that it has for one input."""
    found = npz_arrays(path)
    only = name or (next(iter(specs)) if len(specs) == 1 else None)
    if only is not None and only not in found and len(found) == 1:
        yield only, npz_piece(path, found[0], specs[only])
        return
    wanted = [n for n in specs if n in found and name in (None, n)]
    if not wanted:
        has = f"the arrays {', '.join(found[:_MOST_NAMED])}" if found else "no arrays"
        raise InputError(f"{path} has {has}; the model takes {', '.join(specs)}")
    for each in wanted:
        yield each, npz_piece(path, each, specs[each])


def _split(value: str, specs: dict[str, TensorSpec]) -> tuple[str | None, str]:
    """Take ``NAME=FILE`` apart; a file whose name has the sign in it is meant as it is."""
    for name in specs:
        if value.startswith(f"{name}="):
            return name, value[len(name) + 1 :]
    name, sign, _ = value.partition("=")
    if sign and len(specs) > 1 and not is_there(Path(value)):
        raise InputError(f"the model has no input {name!r}; it takes {', '.join(specs)}")
    return None, value


def _only(specs: dict[str, TensorSpec], value: str) -> TensorSpec:
    if len(specs) > 1:
        raise InputError(f"the model takes {len(specs)} inputs; write NAME={value}, NAME one of {', '.join(specs)}")
    return next(iter(specs.values()))


def _paths(text: str) -> Iterator[Path | None]:
    """Yield the files that a value stands for, in the order of their names; None is stdin."""
    path = Path(text)
    if text == _STDIN:
        yield None
    elif is_file(path):
        yield path
    elif is_folder(path):
        yield from _found(text, sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES), "no image is in it")
    elif glob.has_magic(text):
        matches = sorted(Path(match) for match in glob.glob(text, recursive=True))  # noqa: PTH207 - absolute ones too
        yield from _found(text, [match for match in matches if is_file(match)], "no file matches")
    else:
        raise InputError(f"the input {text} {'is not a regular file' if is_there(path) else 'does not exist'}")


def _found(text: str, paths: list[Path], otherwise: str) -> list[Path]:
    if not paths:
        raise InputError(f"the input {text} stands for nothing: {otherwise}")
    return paths


def _count(columns: dict[str, list[Piece]]) -> int | None:
    counts: dict[str, int] = {}
    for name, pieces in columns.items():
        known = [piece.count for piece in pieces if piece.count is not None]
        if len(known) == len(pieces):
            counts[name] = sum(known)
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{count} for {name}" for name, count in counts.items())
        raise InputError(f"the inputs have different numbers of frames: {text}")
    return min(counts.values()) if len(counts) == len(columns) else None
