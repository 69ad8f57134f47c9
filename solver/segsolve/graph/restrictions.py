"""Ranges of operations that no cut may part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from segsolve.graph.model import Op, Restriction, Tensor

# Operators that read or change state behind the tensors' back; their order matters, so they stay together.
STATEFUL_KINDS = frozenset(
    {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT",
     "HASHTABLE_SIZE", "RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"}
)  # fmt: skip
_TABLES = frozenset({"HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE"})  # filled once, then read
# Element types whose content can be handed to another interpreter, as an array of numpy's; RESOURCE cannot, nor INT4.
MOVABLE_TYPES = frozenset(
    {"BOOL", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64", "FLOAT16", "FLOAT32", "FLOAT64"}
)


def find_restrictions(ops: Sequence[Op], tensors: Sequence[Tensor]) -> tuple[Restriction, ...]:
    """Return the ranges of operations that must stay in one segment, with the reason of each."""
    stateful = _together((o.position for o in ops if o.kind in STATEFUL_KINDS), "they share state")
    found = [stateful]
    for tensor in tensors:
        if reason := _reason(tensor):
            users = (o.position for o in ops if tensor.index in o.inputs or tensor.index in o.outputs)
            found.append(_together(users, reason))
    return tuple(r for r in found if r is not None)


def state_of(ops: Sequence[Op], tensors: Sequence[Tensor]) -> str | None:
    """Return what a network keeps from one inference to the next, None if it keeps nothing."""
    if variables := [t.name for t in tensors if t.variable]:
        more = f" and {len(variables) - 1} more" if len(variables) > 1 else ""
        return f"the variable {variables[0]!r}{more}"
    kinds = dict.fromkeys(op.kind for op in ops if op.kind in STATEFUL_KINDS - _TABLES)
    return ", ".join(kinds) or None


def _reason(tensor: Tensor) -> str | None:
    if tensor.constant:
        return None
    if tensor.variable:
        return f"the variable {tensor.name!r} keeps its value between inferences"
    if tensor.dtype not in MOVABLE_TYPES:
        return f"{tensor.name!r} of type {tensor.dtype} cannot leave a segment"
    return f"{tensor.name!r} has no size until the model runs" if tensor.dynamic else None


def _together(positions: Iterable[int], reason: str) -> Restriction | None:
    found = sorted(positions)
    if not found or found[0] == found[-1]:
        return None
    return Restriction(first=found[0], last=found[-1], reason=reason)
