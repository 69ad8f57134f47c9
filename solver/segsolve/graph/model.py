"""The network as segsolve sees it: operations in execution order and the tensors between them, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

ELEMENT_BITS = {
    "INT4": 4, "UINT4": 4, "INT2": 2, "BOOL": 8, "INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16, "FLOAT16": 16,
    "BFLOAT16": 16, "INT32": 32, "UINT32": 32, "FLOAT32": 32, "INT64": 64, "UINT64": 64, "FLOAT64": 64,
    "COMPLEX64": 64, "COMPLEX128": 128,
}  # fmt: skip
QUANTISED_TYPES = frozenset({"INT4", "INT8", "UINT8", "INT16"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """Affine quantisation: real = scale * (q - zero_point), one pair per tensor or per slice along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int

    @property
    def per_channel(self) -> bool:
        """Whether every slice along `axis` has a scale of its own."""
        return len(self.scales) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor; `index` is its place in the file, `nbytes` its size in memory with the batch frozen.

    `shape` is what LiteRT infers. A `dynamic` tensor has none until the model runs: its shape is what the file says.
    """

    index: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    quantisation: Quantisation | None
    constant: bool
    variable: bool
    dynamic: bool

    @property
    def quantised(self) -> bool:
        """Whether its integers stand for real numbers."""
        return self.quantisation is not None and self.dtype in QUANTISED_TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operation of the execution order.

    `position` counts the operations that may be cut apart; `file_index` is the place among the file's operators.
    Operators that compute from constants only (a DEQUANTIZE of weights, say) have no position of their own: they
    are listed in `constant_operators` of every operation that needs them, and their constants in `constants`.
    `fused_activation` says whether it applies one to what it makes; `dilation` is that of a window, rows and columns.
    `zero_bias` says that it adds nothing: it has no bias, or one of zeros only.
    `axis` is its option of that name, `integers` are the few integers that it takes as constants, by their place among
    its inputs: axes, paddings, strides. `shuffled` says that its weights are not stored in the default format.
    """

    position: int
    file_index: int
    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: tuple[int, ...]
    constant_operators: tuple[int, ...]
    weights: int | None
    bias: int | None
    weight_bytes: int
    macs: int
    fused_activation: bool = False
    dilation: tuple[int, int] = (1, 1)
    zero_bias: bool = False
    axis: int | None = None
    integers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    shuffled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Restriction:
    """Operations `first` to `last` (inclusive) that must stay in one segment, and why."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Values that an input may have: integers from `low` to `high`, or these `values` and no others."""

    low: int
    high: int
    values: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A quantised network: its operations in execution order, its tensors, and where it may be cut.

    Position p, 0 < p < len(ops), is the place just before operation p. `signature` is the one that was chosen in a file
    of several, `folded` the number of operations that computed constants from sizes, and `blocked` has the operations
    that LiteRT cannot prepare on the CPU, and what it says. `allowed` are the values of inputs that cannot have all
    that their type can hold. `state` says what the network keeps between inferences, None if it keeps nothing,
    and `delegated` whether LiteRT's default delegate takes the same of the whole model as of its segments: not always
    where there is state, or where the file lacks sizes. It rounds otherwise than LiteRT's own kernels.
    """

    name: str
    sha256: str
    file_bytes: int
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    restrictions: tuple[Restriction, ...]
    frozen_batch: bool
    signature: str | None = None
    folded: int = 0
    blocked: Mapping[int, str] = field(default_factory=dict)
    allowed: Mapping[int, Allowed] = field(default_factory=dict)
    state: str | None = None
    delegated: bool = True

    @cached_property
    def producer(self) -> dict[int, int]:
        """Position of the operation that makes a tensor; -1 for the model's inputs. Variables have none."""
        made = {t: op.position for op in self.ops for t in op.outputs if not self.tensors[t].variable}
        return dict.fromkeys(self.inputs, -1) | made

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """Positions of the operations that read a tensor, ascending."""
        readers: dict[int, list[int]] = {}
        for op in self.ops:
            for tensor in op.inputs:
                readers.setdefault(tensor, []).append(op.position)
        return {tensor: tuple(positions) for tensor, positions in readers.items()}

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """The legal cut positions, ascending."""
        glued = {p for r in self.restrictions for p in range(r.first + 1, r.last + 1)}
        return tuple(p for p in range(1, len(self.ops)) if p not in glued)

    def crossing(self, position: int) -> tuple[int, ...]:
        """Tensors made before `position` (or given to the model) that operations from there on still read."""
        return tuple(
            tensor
            for tensor, made in self.producer.items()
            if made < position and (readers := self.consumers.get(tensor)) and readers[-1] >= position
        )

    def crossing_bytes(self, position: int) -> int:
        """Bytes of the tensors that cross `position`."""
        return sum(self.tensors[tensor].nbytes for tensor in self.crossing(position))

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants, those shared by several operations once."""
        constants = {tensor for op in self.ops for tensor in op.constants}
        return sum(self.tensors[tensor].nbytes for tensor in constants)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of one inference."""
        return sum(op.macs for op in self.ops)
