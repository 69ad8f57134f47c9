"""A file's bytes to the schema's objects as LiteRT takes them: with its shapes, and without what follows from them."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segsolve.errors import ModelError
from segsolve.graph.examine import Examination
from segsolve.graph.flatbuffer import is_empty, pack, unpack, with_operators
from segsolve.graph.mend import mend
from segsolve.graph.subgraphs import choose
from segsolve.graph.supported import check_segmentable
from segsolve_runtime.native import NativeCrash, call, prepare

_EXAMINE = "segsolve.graph.examine:examine"
_DELEGATES_ALIKE = "segsolve.graph.examine:delegates_alike"
_BLAME = "segsolve.graph.examine:blame"
LONGEST_S = 120.0  # to load and prepare a model; real ones take milliseconds
_CONVERTER_FAULT = "convert the model again with a newer converter"
_HINTS = {
    "quantized_dimension": f"{_CONVERTER_FAULT}: old ones wrote a quantized_dimension that the tensor does not have",
    "op version": "update LiteRT, or convert the model for an older runtime",
    "builtin opcode": "update LiteRT, or convert the model for an older runtime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that LiteRT loads.

    `model` has one subgraph, with LiteRT's shapes, and the values of what follows from sizes as constants. `content` is
    what LiteRT runs as the whole model: the file, or the part of it that has the chosen `signature`. `delegated` says
    whether its default delegate takes the same of it as of the segments; it rounds otherwise than LiteRT's own kernels.
    """

    content: bytes
    model: Any
    signature: str | None
    found: Examination
    delegated: bool


def load(content: bytes, path: Path, signature: str | None = None) -> Loaded:
    """Let LiteRT look at a file, in a process of its own, and return what is in it.

    Raises:
        ModelError: it is damaged, LiteRT cannot load it or dies of it, or no plan can be made for it.
    """
    damaged = ModelError(f"{path} is damaged or truncated", "write or download the model again")
    prepare()  # beside the import of the schema
    try:
        empty = is_empty(content)
    except ValueError:
        empty = False
    try:
        found: Examination = call(_EXAMINE, content, timeout_s=LONGEST_S)
    except NativeCrash as crash:
        found = Examination()
        if not empty:
            raise died(path, content, crash) from None
    if found.error is not None and "flatbuffer" in found.error.lower():
        raise damaged
    if empty:
        raise ModelError(f"{path} contains no operations", "export the model again")
    if found.error is not None:
        raise ModelError(f"LiteRT cannot load {path}: {told(found.error)}", _hint(found.error))
    model = unpack(content, path)
    name = path.stem.encode(errors="replace").decode()
    chosen = choose(model, name, signature)
    model.subgraphs = [model.subgraphs[chosen.index]]
    check_segmentable(model, name)
    if mend(model) or chosen.index:
        model.signatureDefs = None
        content = pack(model)
        found = _asked(_EXAMINE, content, path)
        if found.error is not None:
            raise ModelError(f"LiteRT cannot load {path}: {told(found.error)}", _hint(found.error))
    if found.refusal is not None:
        raise ModelError(f"LiteRT cannot prepare {path}: {told(found.refusal)}", "export or convert the model again")
    unusual = bool(found.unsized or found.folded) or any(t.isVariable for t in model.subgraphs[0].tensors)
    unusual = unusual or not _is_recorded(model, found)
    model = _settled(model, found)
    if unusual and not found.blocked:
        kept = [o for i, o in enumerate(model.subgraphs[0].operators) if i not in found.folded]
        settled = pack(with_operators(model, kept, [int(t) for t in model.subgraphs[0].outputs]))
        unusual = not _asked(_DELEGATES_ALIKE, content, path, settled)
    return Loaded(
        content=content,
        model=model,
        signature=chosen.name,
        found=found,
        delegated=bool(found.blocked) or not unusual,
    )


def died(path: Path, content: bytes, crash: NativeCrash) -> ModelError:
    """Return the error for a model that LiteRT dies of, with the operation in which it does if that can be told."""
    where = crash.where
    if not where.startswith("loading"):  # a file that cannot be loaded may not be one
        with suppress(Exception):
            try:
                call(_BLAME, content, timeout_s=LONGEST_S)
            except NativeCrash as second:
                where = second.where or where
    said = f" ({crash.said})" if crash.said else ""
    return ModelError(
        f"LiteRT {crash.how} {where or 'while it runs'} of {path}{said}"
        if where.startswith("in ")
        else f"LiteRT {crash.how} when {where or 'running'}: {path}{said}",
        "the file is damaged, or LiteRT has a fault; convert or download the model again",
    )


def told(said: str) -> str:
    """Return what LiteRT said as one line: sentences apart from each other, and each of a kind once."""
    sentences = [part.strip() for part in re.split(r"\n+|(?<=[.!])(?=[A-Z])", said) if part.strip()]
    kinds: dict[str, list[str]] = {}
    for sentence in sentences:
        kinds.setdefault(re.sub(r"\d+", "0", sentence), []).append(sentence)
    parts = [f"{same[0]}{f' ({len(same)} times)' if len(same) > 1 else ''}" for same in kinds.values()]
    return " ".join(parts)


def _hint(said: str) -> str:
    return next(
        (hint for words, hint in _HINTS.items() if words in said.lower()), "convert or download the model again"
    )


def _asked(function: str, content: bytes, path: Path, *more: Any) -> Any:
    try:
        return call(function, content, *more, timeout_s=LONGEST_S)
    except NativeCrash as crash:
        raise died(path, content, crash) from None


def _is_recorded(model: Any, found: Examination) -> bool:
    """Whether the file records the shapes that LiteRT infers."""
    tensors = model.subgraphs[0].tensors
    recorded = {i: tensors[i].shape for i in found.shapes if i < len(tensors)}
    return all(
        shape is not None and tuple(shape) == tuple(found.shapes[i]) for i, shape in recorded.items() if found.shapes[i]
    )


def _settled(model: Any, found: Examination) -> Any:
    """Give the objects LiteRT's shapes, and the values that follow from sizes."""
    from ai_edge_litert import schema_py_generated as schema

    subgraph = model.subgraphs[0]
    for index, tensor in enumerate(subgraph.tensors):
        if index in found.shapes:
            tensor.shape = np.array(found.shapes[index], np.int32)
        if index in found.constants:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(found.constants[index].tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer = len(model.buffers) - 1
    return model
