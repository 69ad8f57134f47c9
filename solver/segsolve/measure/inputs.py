"""Tensors to measure on: seeded noise for the model's inputs, and the activations that follow from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.graph.model import Graph, Tensor
from segsolve.graph.read import LoadedModel
from segsolve.measure.session import Session, Tensors
from segsolve.problem import Segmentation
from segsolve.segments import writer as segments


def noise(graph: Graph, seed: int) -> Tensors:
    """Return an array for every input of a network: integers over their whole range, floats standard normal."""
    generator = np.random.default_rng(seed)
    return {index: _noise(generator, graph.tensors[index]) for index in graph.inputs}


def activations(loaded: LoadedModel, seed: int) -> Tensors:
    """Return every tensor that can cross a cut, as an inference on noise makes it."""
    tensors = noise(loaded.graph, seed)
    for unit in units_of(loaded.graph):
        Session(loaded, unit).timed(tensors)
    return tensors


def units_of(graph: Graph) -> tuple[segments.Segment, ...]:
    """Return the smallest segments there are: one operation each, or several that must stay together."""
    return segments.segments_of(graph, Segmentation(cuts=graph.cuts))


def segment_of(graph: Graph, first: int, end: int) -> segments.Segment:
    """Return the segment of the operations `first` to `end` (exclusive)."""
    return segments.segment_of(graph, range(first, end))


def _noise(generator: np.random.Generator, tensor: Tensor) -> NDArray[Any]:
    dtype = np.dtype(tensor.dtype.lower())
    if dtype.kind == "f":
        return np.asarray(generator.standard_normal(tensor.shape)).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(generator.integers(0, 2, size=tensor.shape)).astype(dtype)
    limits = np.iinfo(dtype)
    drawn = generator.integers(limits.min, limits.max, size=tensor.shape, dtype=dtype, endpoint=True)
    return np.asarray(drawn)
