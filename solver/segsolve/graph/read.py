"""From a .tflite file to a `Graph`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segsolve.errors import ModelError
from segsolve.graph.allowed import Use, allowed_values
from segsolve.graph.flatbuffer import read_bytes
from segsolve.graph.load import Loaded, load
from segsolve.graph.macs import count_macs
from segsolve.graph.model import ELEMENT_BITS, Graph, Op, Quantisation, Tensor
from segsolve.graph.restrictions import STATEFUL_KINDS, find_restrictions, state_of
from segsolve.graph.schema import has_scale, operator_kind, tensor_type

if TYPE_CHECKING:
    from segsolve_runtime.contract.plan import ModelReference

# Where an operation of a kind has its weights and its bias among its inputs (schema and kernels of LiteRT).
_WEIGHTS_AND_BIAS = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A graph and the schema objects that it was read from, which the segment writer needs.

    `content` is what LiteRT runs as the whole model: the file, but for one of several signatures.
    """

    path: Path
    content: bytes
    model: Any
    graph: Graph


def check_model(graph: Graph, path: Path, wanted: ModelReference) -> None:
    """Raise a ModelError if the network of the file `path` is not the one that a plan was made from."""
    if graph.sha256 != wanted.sha256:
        raise ModelError(f"{path} is not the model that the plan was made from", f"the plan's is {wanted.name}")


def read_model(path: Path, signature: str | None = None) -> LoadedModel:
    """Read a quantised model; of a file with several signatures the network of `signature`, or of the first.

    Raises:
        ModelError: the file cannot be read, or the model cannot be segmented; the message says why.
        UsageError: the file has no such signature.
    """
    content = read_bytes(path)
    try:
        loaded = load(content, path, signature)
        graph = _Reader(loaded, path.stem.encode(errors="replace").decode(), content).read()
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: its parts contradict each other", "write or download it again") from error
    return LoadedModel(path=path, content=loaded.content, model=loaded.model, graph=graph)


def read_graph(path: Path, signature: str | None = None) -> Graph:
    """Read a quantised model's graph; see `read_model`."""
    return read_model(path, signature).graph


class _Reader:
    """Walks the one subgraph of a model once."""

    def __init__(self, loaded: Loaded, name: str, content: bytes) -> None:
        self._loaded, self._name, self._content = loaded, name, content
        self._subgraph, self._found = loaded.model.subgraphs[0], loaded.found
        self._kinds = [operator_kind(loaded.model, o) for o in self._subgraph.operators]
        self._inputs = _ids(self._subgraph.inputs)
        self._outputs = _ids(self._subgraph.outputs)
        # Folded operators are left where they are, so that all others keep their places; nothing refers to them.
        self._run = [i for i in range(len(self._kinds)) if i not in self._found.folded]
        made = {t for i in self._run for t in _ids(self._subgraph.operators[i].outputs)}
        self._given = made | set(self._inputs)
        self._frozen_batch = any(_has_open_batch(self._subgraph.tensors[t]) for t in self._inputs)
        names = unique_names([t.name for t in self._subgraph.tensors])
        self._tensors = tuple(
            self._tensor(index, tensor, names[index]) for index, tensor in enumerate(self._subgraph.tensors)
        )
        self._makers = self._constant_makers()

    def read(self) -> Graph:
        constant_only = set(self._makers.values())
        cuttable = [i for i in self._run if i not in constant_only]
        ops = tuple(self._op(position, index) for position, index in enumerate(cuttable))
        if not ops:
            raise ModelError(f"{self._name} computes nothing from its inputs", "export the model again")
        self._check_layers(ops)
        # Outputs that are constants are handed out by whoever comes last.
        handed_out = tuple(t for t in self._outputs if self._tensors[t].constant)
        ops = (*ops[:-1], replace(ops[-1], outputs=(*ops[-1].outputs, *handed_out)))
        return Graph(
            name=self._name,
            sha256=hashlib.sha256(self._content).hexdigest(),
            file_bytes=len(self._content),
            ops=ops,
            tensors=self._tensors,
            inputs=self._inputs,
            outputs=self._outputs,
            restrictions=find_restrictions(ops, self._tensors),
            frozen_batch=self._frozen_batch,
            signature=self._loaded.signature,
            folded=len(self._found.folded),
            blocked={p: self._found.blocked[i] for p, i in enumerate(cuttable) if i in self._found.blocked},
            allowed=allowed_values([self._tensors[t] for t in self._inputs], [self._use(i) for i in self._run]),
            state=state_of(ops, self._tensors),
            delegated=self._loaded.delegated,
        )

    def _check_layers(self, ops: Iterable[Op]) -> None:
        """Layers that multiply and accumulate do so with something that the model is given, not with constants only."""
        for op in ops:
            if op.weights is not None and (not op.inputs or not op.outputs):
                raise ModelError(
                    f"{self._name}: operation {op.file_index} ({op.kind}) reads constants only",
                    "export the model again",
                )

    def _use(self, index: int) -> Use:
        operator = self._subgraph.operators[index]
        reads = [self._tensors[t] if t >= 0 else None for t in map(int, operator.inputs)]
        makes = [self._tensors[t] for t in _ids(operator.outputs)]
        return Use(self._kinds[index], operator.builtinOptions, reads, makes)

    def _tensor(self, index: int, tensor: Any, name: str) -> Tensor:
        dtype = tensor_type(tensor)
        # Of what LiteRT cannot prepare, the file alone says a size, and it may say anything.
        shape = tuple(max(0, int(n)) for n in tensor.shape) if tensor.shape is not None else ()
        return Tensor(
            index=index,
            name=name,
            dtype=dtype,
            shape=shape,
            nbytes=-(-prod(shape) * ELEMENT_BITS.get(dtype, 0) // 8),
            quantisation=_quantisation(tensor.quantization) if has_scale(tensor) else None,
            constant=index not in self._given and not tensor.isVariable,
            variable=bool(tensor.isVariable),
            dynamic=index in self._found.unsized,
        )

    def _constant_makers(self) -> dict[int, int]:
        """Map each tensor that follows from constants alone to the operator that computes it."""
        makers: dict[int, int] = {}
        for index in self._run:
            operator = self._subgraph.operators[index]
            reads, makes = _ids(operator.inputs), _ids(operator.outputs)
            from_constants = reads and all(self._tensors[t].constant or t in makers for t in reads)
            if from_constants and self._kinds[index] not in STATEFUL_KINDS and not set(makes) & set(self._outputs):
                makers |= dict.fromkeys(makes, index)
        return makers

    def _op(self, position: int, index: int) -> Op:
        operator, kind = self._subgraph.operators[index], self._kinds[index]
        reads, makes = _ids(operator.inputs), _ids(operator.outputs)
        places = [self._tensors[t] if t >= 0 else None for t in map(int, operator.inputs)]
        constant_operators, constants = self._constant_closure(reads)
        weights, bias = self._weights_and_bias(kind, operator)
        return Op(
            position=position,
            file_index=index,
            kind=kind,
            name=self._tensors[makes[0]].name if makes else f"{kind}_{index}",
            inputs=tuple(t for t in reads if not self._tensors[t].constant and t not in self._makers),
            outputs=makes,
            constants=constants,
            constant_operators=constant_operators,
            weights=weights,
            bias=bias,
            weight_bytes=sum(self._tensors[t].nbytes for t in constants),
            macs=count_macs(kind, places, self._tensors[makes[0]]) if makes else 0,
            fused_activation=_option(operator, "fusedActivationFunction", 0) != 0,
            dilation=(_option(operator, "dilationHFactor", 1), _option(operator, "dilationWFactor", 1)),
            axis=_option(operator, "axis", 0) if hasattr(operator.builtinOptions, "axis") else None,
            integers={place: self._integers(t) for place, t in enumerate(places) if t is not None and _is_few(t)},
            shuffled=_option(operator, "weightsFormat", 0) != 0,
            zero_bias=bias is None or self._holds_zeros(bias),
        )

    def _integers(self, tensor: Tensor) -> tuple[int, ...]:
        model = self._loaded.model
        data = model.buffers[self._subgraph.tensors[tensor.index].buffer].data
        return tuple(int(n) for n in np.frombuffer(data.tobytes(), tensor.dtype.lower())) if data is not None else ()

    def _holds_zeros(self, tensor: int) -> bool:
        data = self._loaded.model.buffers[self._subgraph.tensors[tensor].buffer].data
        return data is not None and not np.any(data)

    def _constant_closure(self, reads: Iterable[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the constant-only operators that `reads` depend on, and all constants behind them."""
        operators: set[int] = set()
        constants: set[int] = set()
        pending = list(reads)
        while pending:
            tensor = pending.pop()
            maker = self._makers.get(tensor)
            if maker is not None:
                operators.add(maker)
                pending += _ids(self._subgraph.operators[maker].inputs)
            elif self._tensors[tensor].constant:
                constants.add(tensor)
        return tuple(sorted(operators)), tuple(sorted(constants))

    def _weights_and_bias(self, kind: str, operator: Any) -> tuple[int | None, int | None]:
        if kind not in _WEIGHTS_AND_BIAS:
            return None, None
        reads = [int(t) for t in operator.inputs]
        weights, bias = (reads[i] if i < len(reads) and reads[i] >= 0 else None for i in _WEIGHTS_AND_BIAS[kind])
        return weights, bias


def unique_names(names: list[bytes | None]) -> list[str]:
    """Return tensor names as text, made unique: names route tensors between segments, files may repeat them."""
    seen: set[str] = set()
    result = []
    for index, raw in enumerate(names):
        # LiteRT reads names up to the first zero byte.
        name = (raw or b"").split(b"\0")[0].decode(errors="replace") or f"tensor_{index}"
        while name in seen:
            name = f"{name}#{index}"
        seen.add(name)
        result.append(name)
    return result


def _option(operator: Any, name: str, default: int) -> int:
    """Return an operator's option, or what stands for it where its kind has none of that name."""
    return int(getattr(operator.builtinOptions, name, default))


def _is_few(tensor: Tensor) -> bool:
    return (
        tensor.constant and tensor.dtype in ("INT32", "INT64") and tensor.quantisation is None and tensor.nbytes <= 256
    )


def _ids(indices: Any) -> tuple[int, ...]:
    """Return tensor indices in order, each once, without the -1 of absent optional inputs."""
    return tuple(dict.fromkeys(int(i) for i in indices if i >= 0)) if indices is not None else ()


def _quantisation(parameters: Any) -> Quantisation:
    zero_points = parameters.zeroPoint if parameters.zeroPoint is not None else [0] * len(parameters.scale)
    return Quantisation(
        scales=tuple(np.asarray(parameters.scale, dtype=np.float64).tolist()),
        zero_points=tuple(np.asarray(zero_points, dtype=np.int64).tolist()),
        axis=int(parameters.quantizedDimension),
    )


def _has_open_batch(tensor: Any) -> bool:
    signature = tensor.shapeSignature
    return signature is not None and len(signature) > 0 and int(signature[0]) < 0
