"""Which operations an Edge TPU takes, and what becomes of those that it does not.

The vendor's compiler maps one part of a model: it begins with the first operation that the Edge TPU takes and ends
before the next one that it does not. All that comes after runs on the host's CPU.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import prod

from segsolve.graph.model import Graph, Op, Restriction

_MOST_SOFTMAX = 16_384  # the page says 16,000; public models with 16,384 (16 Ki) were compiled whole
_MOST_ENLARGED = 4
_BYTE_TYPES = frozenset({"INT8", "UINT8"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedPart:
    """The operations `first` to `end` (exclusive) that an Edge TPU takes; `reasons` say why others fall back."""

    first: int
    end: int
    operations: int
    reasons: Mapping[int, str]

    @property
    def fallbacks(self) -> tuple[Restriction, ...]:
        """The operations before and after the mapped part, and why they run on the host's CPU."""
        parts = ((0, self.first - 1), (self.end, self.operations - 1))
        return tuple(Restriction(first=a, last=b, reason=self.reasons[a]) for a, b in dict.fromkeys(parts) if a <= b)


@cache
def taken_operations() -> dict[str, dict[str, str]]:
    """Return the kinds of operations that an Edge TPU takes, with their documented limits."""
    text = (resources.files("segsolve.device") / "operations.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def fallback_reason(graph: Graph, op: Op, also: tuple[str, ...] = ()) -> str | None:
    """Return why an operation falls back to the host's CPU, None if it does not; kinds in `also` are taken besides."""
    if not op.inputs or not op.outputs:
        return f"{op.kind} computes nothing from what it is given"
    if op.kind in also:
        return None
    taken = taken_operations().get(op.kind)
    if taken is None:
        return f"{op.kind} is not among the operations that an Edge TPU takes"
    return _unfit_tensors(graph, op) or _beyond_limits(graph, op, taken)


def _unfit_tensors(graph: Graph, op: Op) -> str | None:
    moved = [graph.tensors[t] for t in (*op.inputs, *op.outputs)]
    if strange := sorted({t.dtype for t in moved} - _BYTE_TYPES):
        return f"{op.kind} works on {', '.join(strange)}, an Edge TPU on 8 bits only"
    if op.weights is not None and (kind := graph.tensors[op.weights].dtype) not in _BYTE_TYPES:
        return f"{op.kind} has {kind} weights, an Edge TPU takes 8 bits only"
    if any(t.dynamic for t in moved):
        return f"{op.kind} has a shape that is not known when the model is compiled"
    return None


def _beyond_limits(graph: Graph, op: Op, taken: Mapping[str, str]) -> str | None:
    check = _CHECKS.get(taken.get("check", ""))
    if check and not check(graph, op):
        return f"{op.kind}: {taken['limit']}"
    blocked = graph.blocked.get(op.position)
    return None if blocked is None else f"{op.kind} is nothing that LiteRT can prepare: {blocked}"


def mapped_part(graph: Graph, also: tuple[str, ...] = ()) -> MappedPart:
    """Return the part of a network that an Edge TPU takes, and why the part before it and the part after it do not."""
    reasons = {op.position: why for op in graph.ops if (why := fallback_reason(graph, op, also)) is not None}
    n = len(graph.ops)
    first = next((i for i in range(n) if i not in reasons), n)
    end = next((i for i in range(first, n) if i in reasons), n)
    return MappedPart(first=first, end=end, operations=n, reasons={i: why for i, why in reasons.items() if i <= end})


def _unfused(_: Graph, op: Op) -> bool:
    return not op.fused_activation


def _resize(graph: Graph, op: Op) -> bool:
    before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    if len(before) != len(after) or len(after) != 4:
        return False
    return all(new <= _MOST_ENLARGED * old for old, new in zip(before[1:3], after[1:3], strict=True))


def _softmax(graph: Graph, op: Op) -> bool:
    shape = graph.tensors[op.inputs[0]].shape
    return bool(shape) and prod(shape) == shape[-1] <= _MOST_SOFTMAX


def _dense(graph: Graph, op: Op) -> bool:
    shape = graph.tensors[op.outputs[0]].shape
    return not op.shuffled and bool(shape) and prod(shape) == shape[-1]


def _spares_the_batch(place: int | None) -> Callable[[Graph, Op], bool]:
    """The axes at a place among the inputs, or in the options, are not the first one."""

    def check(graph: Graph, op: Op) -> bool:
        axes = (op.axis,) if place is None else op.integers.get(place, ())
        rank = len(graph.tensors[op.outputs[0] if op.kind == "PACK" else op.inputs[0]].shape)
        return not any(axis in (0, -rank) for axis in axes)

    return check


def _pads_no_batch(_: Graph, op: Op) -> bool:
    return not any(op.integers.get(1, ())[:2])


def _dense_slice(_: Graph, op: Op) -> bool:
    return all(stride == 1 for stride in op.integers.get(3, ()))


def _along_channels(graph: Graph, op: Op) -> bool:
    shapes = [graph.tensors[t].shape for t in op.constants]
    return all(prod(shape) == shape[-1] for shape in shapes if shape)


_CHECKS: Mapping[str, Callable[[Graph, Op], bool]] = {
    "along_channels": _along_channels,
    "axes_without_batch": _spares_the_batch(1),
    "axis_without_batch": _spares_the_batch(None),
    "dense": _dense,
    "dense_slice": _dense_slice,
    "first_axis_without_batch": _spares_the_batch(0),
    "no_padding_of_batch": _pads_no_batch,
    "resize": _resize,
    "softmax": _softmax,
    "unfused": _unfused,
}
