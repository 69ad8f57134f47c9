"""Which values a model's integer inputs may have, as far as the graph implies it.

An integer without a scale is no sample of a signal but an index, a size or a shape, and LiteRT refuses or crashes on
what is out of range. The rules follow LiteRT's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segsolve.graph.model import Allowed, Tensor

_PASSED_ON = frozenset({"CAST", "EXPAND_DIMS", "RESHAPE", "SQUEEZE", "QUANTIZE"})
_UNKNOWN = Allowed(low=0, high=1)
_INTEGERS = frozenset({"INT32", "INT64", "UINT32", "UINT64", "INT16", "UINT16"})


@dataclass(frozen=True, slots=True)
class Use:
    """An operator that reads tensors: its kind, its options in the schema, what it reads (in places) and makes."""

    kind: str
    options: Any
    reads: Sequence[Tensor | None]
    makes: Sequence[Tensor]


def allowed_values(inputs: Sequence[Tensor], uses: Sequence[Use]) -> dict[int, Allowed]:
    """Return the values that inputs may have, of those for which that is not all that their type can hold."""
    found = {}
    for tensor in inputs:
        if tensor.dtype in _INTEGERS and tensor.quantisation is None:
            found[tensor.index] = _through(tensor.index, uses, depth=len(uses)) or _UNKNOWN
    return found


def _through(tensor: int, uses: Sequence[Use], depth: int) -> Allowed | None:
    """Return what all readers of a tensor allow, also those behind operators that hand its values on."""
    limits: list[Allowed] = []
    for use in uses:
        places = [place for place, read in enumerate(use.reads) if read is not None and read.index == tensor]
        for place in places:
            if (rule := _RULES.get((use.kind, place))) is not None and (limit := rule(use)) is not None:
                limits.append(limit)
            elif place == 0 and use.kind in _PASSED_ON and use.makes and depth > 0:
                behind = _through(use.makes[0].index, uses, depth - 1)
                limits += [behind] if behind is not None else []
    fixed = next((limit for limit in limits if limit.values is not None), None)
    if fixed is not None or not limits:
        return fixed
    low = max(limit.low for limit in limits)
    return Allowed(low=low, high=max(low, min(limit.high for limit in limits)))


def _rows(place: int, axis: str | None = None) -> Callable[[Use], Allowed | None]:
    """An index into the tensor at a place, along its first axis or that which an option names."""

    def rule(use: Use) -> Allowed | None:
        table = use.reads[place] if place < len(use.reads) else None
        along = int(getattr(use.options, axis, 0)) if axis else 0
        if table is None or not -len(table.shape) <= along < len(table.shape):
            return None
        return Allowed(low=0, high=max(0, table.shape[along] - 1))

    return rule


def _components(use: Use) -> Allowed | None:
    """GATHER_ND: each component of an index lies within its axis; the least of them fits all."""
    table, indices = use.reads[0], use.reads[1]
    if table is None or indices is None or not indices.shape or not table.shape:
        return None
    return Allowed(low=0, high=max(0, min(table.shape[: indices.shape[-1]], default=1) - 1))


def _output_shape(use: Use) -> Allowed | None:
    """A shape that is an input must fit; the one that the file records for the output does."""
    return Allowed(low=0, high=0, values=use.makes[0].shape) if use.makes else None


def _output_size(use: Use) -> Allowed | None:
    """The new height and width of an image."""
    shape = use.makes[0].shape if use.makes else ()
    return Allowed(low=0, high=0, values=shape[1:3]) if len(shape) == 4 else None


_RULES: Mapping[tuple[str, int], Callable[[Use], Allowed | None]] = {
    ("GATHER", 1): _rows(0, "axis"),
    ("EMBEDDING_LOOKUP", 0): _rows(1),
    ("GATHER_ND", 1): _components,
    ("RESHAPE", 1): _output_shape,
    ("BROADCAST_TO", 1): _output_shape,
    ("FILL", 0): _output_shape,
    ("TRANSPOSE_CONV", 0): _output_shape,
    ("RESIZE_BILINEAR", 1): _output_size,
    ("RESIZE_NEAREST_NEIGHBOR", 1): _output_size,
}
