"""Which of a file's subgraphs is the network: the first, or that of a signature that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segsolve.errors import ModelError, UsageError
from segsolve.graph.schema import operator_kind, refers_to_subgraphs

_COMPOSITE = "STABLEHLO_COMPOSITE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A subgraph by its place in the file; `name` is its signature's if there are several to choose from."""

    index: int
    name: str | None = None


def choose(model: Any, file: str, wanted: str | None = None) -> Chosen:
    """Return the subgraph of the signature `wanted`; without one, the first subgraph.

    Raises:
        UsageError: the file has no such signature.
        ModelError: the subgraph cannot be had without others.
    """
    named = signatures(model)
    if wanted is not None and wanted not in named:
        known = f"it has {', '.join(named)}" if named else "it has none; leave out --signature"
        raise UsageError(f"{file} has no signature {wanted!r}", known)
    index = 0 if wanted is None else named[wanted]
    if index >= len(model.subgraphs):
        raise ModelError(f"{file} is damaged: a signature names a subgraph that it lacks", "export the model again")
    _check_alone(model, model.subgraphs[index], file)
    several = len(set(named.values())) > 1
    name = wanted if wanted is not None else next((n for n, i in named.items() if i == index), None)
    return Chosen(index=index, name=name if several else None)


def signatures(model: Any) -> dict[str, int]:
    """Return the subgraphs of a file's signatures, by name."""
    return {
        (definition.signatureKey or b"").decode(errors="replace"): int(definition.subgraphIndex)
        for definition in model.signatureDefs or []
    }


def _check_alone(model: Any, subgraph: Any, file: str) -> None:
    kinds = dict.fromkeys(operator_kind(model, o) for o in subgraph.operators or [] if refers_to_subgraphs(o))
    if not kinds:
        return
    if set(kinds) == {_COMPOSITE}:
        raise ModelError(
            f"{file} has composite operations ({_COMPOSITE}), which an Edge TPU does not take",
            "export the model without composites, as plain TensorFlow Lite operations",
        )
    what = "initialises variables" if set(kinds) == {"CALL_ONCE"} else "has control flow"
    raise ModelError(
        f"{file} {what} ({', '.join(kinds)}) in further subgraphs; a network of one subgraph is supported",
        "export the network without IF, WHILE and CALL_ONCE",
    )
