"""Tensors to measure on: seeded noise for the model's inputs, and the activations that follow from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.graph.model import Graph
from segsolve.graph.read import LoadedModel
from segsolve.measure.session import Session, Tensors, try_whole
from segsolve.segments import writer as segments
from segsolve_runtime.contract.frames import random_array


def noise(graph: Graph, seed: int) -> Tensors:
    """Return an array for every input of a network: seeded noise, of values that the input may have."""
    generator, found = np.random.default_rng(seed), dict[int, NDArray[Any]]()
    for tensor in (graph.tensors[t] for t in graph.inputs):
        limits = graph.allowed.get(tensor.index)
        found[tensor.index] = random_array(
            generator,
            np.dtype(tensor.dtype.lower()),
            tensor.shape,
            low=limits.low if limits else None,
            high=limits.high if limits else None,
            values=limits.values if limits else None,
        )
    return found


def activations(loaded: LoadedModel, seed: int) -> Tensors:
    """Return every tensor that can cross a cut, as an inference on noise makes it."""
    tensors = noise(loaded.graph, seed)
    try_whole(loaded, tensors)
    for unit in units_of(loaded.graph):
        Session(loaded, unit).timed(tensors)
    return tensors


def units_of(graph: Graph) -> tuple[segments.Segment, ...]:
    """Return the smallest segments there are: one operation each, or several that must stay together."""
    return segments.segments_of(graph, graph.cuts)


def segment_of(graph: Graph, first: int, end: int) -> segments.Segment:
    """Return the segment of the operations `first` to `end` (exclusive)."""
    return segments.segment_of(graph, range(first, end))
