"""Cuts a model into segments, each a .tflite file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from segsolve.graph.flatbuffer import pack
from segsolve.graph.model import Graph
from segsolve.graph.read import LoadedModel

_KEPT_METADATA = b"min_runtime_version"  # the rest (labels, conversion logs) describes the whole model


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment before it is written: its operations' positions, ascending, and the tensors that cross its borders."""

    ops: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def segments_of(graph: Graph, cuts: Iterable[int]) -> tuple[Segment, ...]:
    """Return the segments between cuts: all tensors that each takes from outside and all that it makes for others."""
    return tuple(segment_of(graph, range(first, end)) for first, end in pairwise((0, *cuts, len(graph.ops))))


def segment_of(graph: Graph, ops: Iterable[int]) -> Segment:
    """Return the segment of the operations at the positions `ops`, which need not be one range.

    Inputs: the model's in its order, then the other tensors in the order in which they are made. Outputs: tensors
    that other operations read in the order in which they are made, then the model's outputs in its order.
    """
    own = tuple(sorted(ops))
    return Segment(ops=own, inputs=_inputs(graph, frozenset(own)), outputs=_outputs(graph, frozenset(own)))


def segment_bytes(loaded: LoadedModel, segment: Segment) -> bytes:
    """Return the segment's .tflite file: a valid model that keeps names, quantisation and constants.

    An open batch is frozen. Constants and constant-only operators that several segments need are in each of them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = _Extract(loaded, segment).model(schema)
    return pack(model)


def _inputs(graph: Graph, ops: frozenset[int]) -> tuple[int, ...]:
    read = {tensor for op in ops for tensor in graph.ops[op].inputs}
    return tuple(t for t, made in graph.producer.items() if t in read and made not in ops)


def _outputs(graph: Graph, ops: frozenset[int]) -> tuple[int, ...]:
    made = {tensor for op in ops for tensor in graph.ops[op].outputs}
    for_others = (t for t in graph.producer if t in made and t not in graph.outputs and _is_read(graph, t, ops))
    return (*for_others, *(t for t in graph.outputs if t in made))


def _is_read(graph: Graph, tensor: int, besides: frozenset[int]) -> bool:
    return any(reader not in besides for reader in graph.consumers.get(tensor, ()))


class _Extract:
    """Copies a segment's operators with everything that they refer to, renumbered from zero."""

    def __init__(self, loaded: LoadedModel, segment: Segment) -> None:
        self._graph, self._model = loaded.graph, loaded.model
        self._source = loaded.model.subgraphs[0]
        self._segment = segment
        ops = [self._graph.ops[position] for position in segment.ops]
        indices = {i for op in ops for i in (op.file_index, *op.constant_operators)}
        self._operators = [self._source.operators[i] for i in sorted(indices)]
        self._codes = _renumber(o.opcodeIndex for o in self._operators)
        self._tensors = _renumber((*segment.inputs, *self._referenced(), *segment.outputs))
        self._buffers: list[Any] = []

    def model(self, schema: Any) -> Any:
        """Return the segment as a ``ModelT``."""
        model = schema.ModelT()
        model.version = self._model.version
        model.description = self._model.description
        model.operatorCodes = [self._model.operatorCodes[i] for i in self._codes]
        self._buffers = [schema.BufferT()]  # by convention buffer 0 is the empty one
        model.subgraphs = [self._subgraph(schema)]
        model.metadata = self._metadata(schema)
        model.buffers = self._buffers
        return model

    def _subgraph(self, schema: Any) -> Any:
        subgraph = schema.SubGraphT()
        subgraph.name = self._source.name
        subgraph.tensors = [self._tensor(schema, index) for index in self._tensors]
        subgraph.operators = [self._operator(operator) for operator in self._operators]
        subgraph.inputs = self._renumbered(self._segment.inputs)
        subgraph.outputs = self._renumbered(self._segment.outputs)
        return subgraph

    def _tensor(self, schema: Any, index: int) -> Any:
        tensor, known = copy(self._source.tensors[index]), self._graph.tensors[index]
        data = self._model.buffers[tensor.buffer].data
        tensor.name = known.name.encode()
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = self._add_buffer(schema, data)
        if not known.dynamic:
            tensor.shapeSignature = None
        return tensor

    def _operator(self, operator: Any) -> Any:
        result = copy(operator)
        result.opcodeIndex = self._codes[operator.opcodeIndex]
        result.inputs = self._renumbered(operator.inputs)
        result.outputs = self._renumbered(operator.outputs)
        if operator.intermediates is not None:
            result.intermediates = self._renumbered(self._intermediates(operator))
        return result

    def _metadata(self, schema: Any) -> list[Any]:
        kept = [m for m in self._model.metadata or [] if m.name == _KEPT_METADATA]
        result = []
        for entry in kept:
            metadata = schema.MetadataT()
            metadata.name = entry.name
            metadata.buffer = self._add_buffer(schema, self._model.buffers[entry.buffer].data)
            result.append(metadata)
        return result

    def _add_buffer(self, schema: Any, data: Any) -> int:
        buffer = schema.BufferT()
        buffer.data = data
        self._buffers.append(buffer)
        return len(self._buffers) - 1

    def _referenced(self) -> Iterable[int]:
        for operator in self._operators:
            for indices in (operator.inputs, self._intermediates(operator), operator.outputs):
                yield from (int(i) for i in indices if i >= 0)

    def _intermediates(self, operator: Any) -> Sequence[int]:
        """Return an operation's intermediate tensors, none in place of what is no tensor: most kernels have none."""
        count = len(self._source.tensors)
        known = () if operator.intermediates is None else operator.intermediates
        return [int(i) if i < count else -1 for i in known]

    def _renumbered(self, indices: Sequence[int]) -> Any:
        return np.array([self._tensors[int(i)] if i >= 0 else -1 for i in indices], dtype=np.int32)


def _renumber(indices: Iterable[int]) -> dict[int, int]:
    return {old: new for new, old in enumerate(dict.fromkeys(indices))}
