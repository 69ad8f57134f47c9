"""What LiteRT makes of a model: the shapes that it infers, and what follows from them. Runs in a child process.

Shapes that a file records may be missing, without rank, or older than its input's size; LiteRT infers them anew. What
follows from sizes alone (SHAPE, and arithmetic on it) is constant once they are fixed: it is computed here, so that a
tensor whose shape hangs on it has a size before anything runs. Operators that LiteRT cannot prepare, custom ones that
it does not know above all, are left out, with all that hangs on them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segsolve.graph.restrictions import MOVABLE_TYPES, STATEFUL_KINDS
from segsolve.graph.schema import operator_kind, refers_to_subgraphs, tensor_type
from segsolve_runtime.native import note

SIZE_KINDS = frozenset({"SHAPE", "RANK"})
_KEPT_PACKED = frozenset({"DEQUANTIZE", "DENSIFY"})  # of weights: the file would grow, and LiteRT unpacks them itself
_LARGEST_CONSTANT = 2**20
_WITHOUT_SIZE = frozenset({"RESOURCE", "VARIANT"})  # handles; their tensors never have data of their own
_NODE = re.compile(r"Node number (\d+) \(([^)]*)\) failed to prepare")

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What LiteRT says of a model; tensors and operators by their places in its first subgraph.

    `error` is what it says if it cannot load the file, `refusal` if it cannot prepare it and does not say which
    operator is at fault; then there is nothing else. `shapes` has the tensors that it knows a shape of. `unsized` have
    no size until the model runs. `constants` are values that follow from sizes, and `folded` the operators that compute
    them. `blocked` are operators that LiteRT cannot prepare, and why.
    """

    error: str | None = None
    refusal: str | None = None
    shapes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    unsized: frozenset[int] = frozenset()
    constants: Mapping[int, Array] = field(default_factory=dict)
    folded: frozenset[int] = frozenset()
    blocked: Mapping[int, str] = field(default_factory=dict)


def examine(content: bytes) -> Examination:
    """Load a model, let LiteRT infer its shapes, and fold what follows from them."""
    note("loading the model")
    try:
        interpreter = _interpreter(content)
    except (RuntimeError, ValueError) as error:
        return Examination(error=str(error).strip() or type(error).__name__)
    note("preparing the model")
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return _Settling(content).settle(str(error))
    shapes, unsized = _sizes(interpreter)
    if unsized or any(interpreter._interpreter.NodeName(k) in SIZE_KINDS for k in _nodes(interpreter)):
        return _Settling(content).settle(None)
    return Examination(shapes=shapes, unsized=unsized)


def delegates_alike(content: bytes, settled: bytes) -> bool:
    """Whether LiteRT's default delegate takes the same parts of a model as of what it becomes with all sizes known.

    Not if it takes none, nor if LiteRT cannot prepare the model.
    """
    note("preparing the model")
    try:
        parts = _delegated(content)
        return bool(parts) and parts == _delegated(settled)
    except (RuntimeError, ValueError):
        return False


def _delegated(content: bytes) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the inputs and outputs of each part that the default delegate takes, constants not counted."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    inner = interpreter._interpreter
    nodes = [
        (inner.NodeName(k).upper(), _ids(inner.NodeInputs(k)), _ids(inner.NodeOutputs(k))) for k in _nodes(interpreter)
    ]
    made = {t for kind, _, makes in nodes for t in makes} | {int(t) for t in inner.InputIndices()}
    return [(tuple(t for t in reads if t in made), makes) for kind, reads, makes in nodes if "DELEGATE" in kind]


def _interpreter(content: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    # Delegates would pack weights, and take operators out of the list.
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return Interpreter(model_content=content, experimental_op_resolver_type=resolver)


def _nodes(interpreter: Any) -> range:
    return range(interpreter._interpreter.NumNodes())


def _sizes(interpreter: Any) -> tuple[dict[int, tuple[int, ...]], frozenset[int]]:
    """Return the shapes of an allocated interpreter's tensors, and which of those that operators make have no size.

    LiteRT prepares operators up to the first whose output has none; what they make after it has no data yet. A RESHAPE
    to a shape that is computed has data all the same, of the size that the file records.
    """
    inner, shapes = interpreter._interpreter, {}
    for index in range(inner.NumTensors(0)):
        try:
            shapes[index] = tuple(int(n) for n in inner.TensorSize(index, 0))
        except ValueError:  # none at all
            continue
    nodes = [(inner.NodeName(k), inner.NodeInputs(k), _ids(inner.NodeOutputs(k))) for k in _nodes(interpreter)]
    given = {int(t) for t in inner.InputIndices()} | {t for _, _, makes in nodes for t in makes}
    unsized = {t for _, _, makes in nodes for t in makes if _is_unsized(interpreter, t, shapes)}
    for kind, reads, makes in nodes:
        if kind == "RESHAPE" and len(reads) > 1 and int(reads[1]) in given:
            unsized.update(makes)
    return shapes, frozenset(unsized)


def _is_unsized(interpreter: Any, tensor: int, shapes: Mapping[int, tuple[int, ...]]) -> bool:
    if tensor not in shapes:
        return True
    try:
        interpreter.tensor(tensor)()
    except (RuntimeError, ValueError):
        return 0 not in shapes[tensor]
    return False


class _Settling:
    """Folds sizes, and leaves out what LiteRT cannot prepare, until nothing changes any more."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        from segsolve.graph.flatbuffer import normalise

        self._schema, self._model = schema, schema.ModelT.InitFromPackedBuf(content, 0)
        normalise(self._model, content)
        self._subgraph = self._model.subgraphs[0]
        self._operators = list(self._subgraph.operators or [])
        self._kinds = [operator_kind(self._model, operator) for operator in self._operators]
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._constants: dict[int, Array] = {}
        self._folded: set[int] = set()
        self._blocked: dict[int, str] = {}
        self._left_out: set[int] = set()

    def settle(self, failure: str | None) -> Examination:
        unsized: frozenset[int] = frozenset()
        if failure is not None and not self._leave_out(failure, range(len(self._operators))):
            return Examination(refusal=failure)
        while (sizes := self._allocated()) is not None:
            shapes, unsized = sizes
            self._shapes |= shapes
            if not self._fold(unsized):
                break
        return Examination(
            shapes=self._shapes,
            unsized=frozenset((unsized | self._shapeless()) - self._constants.keys()),
            constants=self._constants,
            folded=frozenset(self._folded),
            blocked=self._blocked,
        )

    def _shapeless(self) -> frozenset[int]:
        """Return the tensors of operators that were left out for which the file records no shape."""
        recorded = {t: self._subgraph.tensors[t].shape for t in self._made(self._left_out)}
        return frozenset(t for t, shape in recorded.items() if shape is None or not len(shape))

    def _allocated(self) -> tuple[dict[int, tuple[int, ...]], frozenset[int]] | None:
        """Return the sizes of what LiteRT can prepare, None if that is nothing."""
        unsized: set[int] = set()
        while left := [i for i in self._open() if not unsized & self._made([i])]:
            try:
                interpreter = _interpreter(self._packed(left, self._made(left)))
                interpreter.allocate_tensors()
            except (RuntimeError, ValueError) as error:
                if not self._leave_out(str(error), left):
                    return None
                continue
            shapes, new = _sizes(interpreter)
            first = next((i for i in left if any(t in new and self._holds_data(t) for t in self._made([i]))), None)
            if first is None:
                others = self._all_made() - self._made(left)  # of these LiteRT only repeats what the file records
                return {t: s for t, s in shapes.items() if t not in others}, frozenset(unsized)
            # What does not hang on it may have a size all the same, though LiteRT stops there.
            unsized |= self._made([first, *self._followers(first)])
        return ({}, frozenset(unsized)) if unsized else None

    def _leave_out(self, failure: str, nodes: Sequence[int]) -> bool:
        """Leave out the operator that a failure names, and all that hangs on it; say whether it names one."""
        match = _NODE.search(failure)
        if match is None or int(match[1]) >= len(nodes):
            return False
        index = nodes[int(match[1])]
        self._blocked[index] = failure[: match.start()].strip().splitlines()[0] if match.start() else failure
        self._left_out |= {index, *self._followers(index)}
        return True

    def _followers(self, index: int) -> list[int]:
        """Return the operators that hang on what an operator makes."""
        lost, found = self._made([index]), []
        for other in self._open():
            if other != index and lost & set(_ids(self._operators[other].inputs)):
                found.append(other)
                lost |= self._made([other])
        return found

    def _fold(self, unsized: Collection[int]) -> bool:
        """Compute what follows from the sizes that are known; say whether there was something."""
        before = len(self._folded)
        for index, tensor, value in list(self._measured(unsized)):
            self._take(index, {tensor: value})
        known, operators = set(self._constants), list[int]()
        for index in self._open():
            reads = _ids(self._operators[index].inputs)
            if reads and self._may_fold(index) and all(t in known or self._is_constant(t) for t in reads):
                operators.append(index)
                known |= self._made([index])
        values = self._computed(operators) if operators else {}
        for index in operators:
            own = {t: values[t] for t in self._made([index]) if t in values}
            if len(own) == len(self._made([index])):
                self._take(index, own)
        return len(self._folded) > before

    def _open(self) -> Iterable[int]:
        return (i for i in range(len(self._operators)) if i not in self._folded | self._left_out)

    def _measured(self, unsized: Collection[int]) -> Iterable[tuple[int, int, Array]]:
        """Yield the values of operators that ask for the size of a tensor, each with its operator and its output."""
        for index in self._open():
            operator, kind = self._operators[index], self._kinds[index]
            if kind not in SIZE_KINDS or len(operator.inputs) != 1 or len(operator.outputs) != 1:
                continue
            source, target = int(operator.inputs[0]), int(operator.outputs[0])
            if source in self._shapes and source not in unsized:
                shape = self._shapes[source]
                dtype = tensor_type(self._subgraph.tensors[target]).lower()
                yield index, target, np.array(shape if kind == "SHAPE" else len(shape), dtype=dtype)

    def _may_fold(self, index: int) -> bool:
        """Whether an operator's value may be kept instead of it."""
        operator, kind = self._operators[index], self._kinds[index]
        makes = [self._subgraph.tensors[t] for t in _ids(operator.outputs)]
        movable = all(tensor_type(t) in MOVABLE_TYPES and not t.isVariable for t in makes)
        kept = kind in _KEPT_PACKED | STATEFUL_KINDS or refers_to_subgraphs(operator)
        return bool(makes) and movable and not kept

    def _computed(self, operators: Sequence[int]) -> dict[int, Array]:
        """Return what operators on constants make, without what is large; nothing if LiteRT cannot compute it."""
        note("computing what follows from its sizes")
        made = self._made(operators)
        try:
            interpreter = _interpreter(self._packed(operators, made))
            interpreter.allocate_tensors()
            interpreter.invoke()
            values = {t: interpreter.get_tensor(t) for t in made}
        except (RuntimeError, ValueError):
            return {}
        return {t: value for t, value in values.items() if value.nbytes <= _LARGEST_CONSTANT}

    def _take(self, index: int, values: Mapping[int, Array]) -> None:
        self._folded.add(index)
        for tensor, value in values.items():
            self._constants[tensor] = value
            self._shapes[tensor] = value.shape
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            known = self._subgraph.tensors[tensor]
            known.buffer, known.shape = len(self._model.buffers) - 1, np.array(value.shape, np.int32)
            known.shapeSignature = None

    def _packed(self, operators: Sequence[int], outputs: Collection[int]) -> bytes:
        """Return a model of some of the operators, all of whose tensors are kept, and keep their places."""
        from segsolve.graph.flatbuffer import pack, with_operators

        return pack(with_operators(self._model, [self._operators[i] for i in operators], sorted(outputs)))

    def _made(self, operators: Iterable[int]) -> set[int]:
        return {t for i in operators for t in _ids(self._operators[i].outputs)}

    def _all_made(self) -> frozenset[int]:
        return frozenset(self._made(range(len(self._operators))))

    def _is_constant(self, tensor: int) -> bool:
        known = self._subgraph.tensors[tensor]
        data = self._model.buffers[known.buffer].data
        return tensor not in self._all_made() and data is not None and len(data) > 0 and not known.isVariable

    def _holds_data(self, tensor: int) -> bool:
        return tensor_type(self._subgraph.tensors[tensor]) not in _WITHOUT_SIZE


def _ids(indices: Any) -> tuple[int, ...]:
    return tuple(int(i) for i in indices if i >= 0) if indices is not None else ()


def blame(content: bytes) -> None:
    """Run a model's operators one by one, on zeros and what follows from them; each leaves a note before it is run.

    For a process that is going to die: the last note then tells where.
    """
    from ai_edge_litert import schema_py_generated as schema

    from segsolve.graph.flatbuffer import normalise, pack, with_operators

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    normalise(model, content)
    subgraph, values = model.subgraphs[0], dict[int, Array]()
    made = {t for operator in subgraph.operators for t in _ids(operator.outputs)}
    for index, operator in enumerate(subgraph.operators):
        note(f"in operation {index} ({operator_kind(model, operator)})")
        reads = [t for t in _ids(operator.inputs) if t in made or t in subgraph.inputs]
        single = with_operators(model, [operator], _ids(operator.outputs), list(dict.fromkeys(reads)))
        interpreter = _interpreter(pack(single))
        for tensor in single.subgraphs[0].inputs:
            if tensor in values:
                interpreter.resize_tensor_input(tensor, values[tensor].shape)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            zeros = np.zeros(detail["shape"], detail["dtype"])
            interpreter.set_tensor(detail["index"], values.get(detail["index"], zeros))
        interpreter.invoke()
        values |= {t: interpreter.get_tensor(t) for t in _ids(operator.outputs)}
    note("")
