"""Everything a planner may know about a segmentation problem, as integers: nanoseconds and bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from segsolve.errors import DeviceError
from segsolve_runtime.flow.shared import host_ns, link_ns

MOST_SUM = 2**60 - 1
"""What all times of a problem, and all its bytes, add up to at most: then no sum of 64 bits overflows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpCost:
    """What one operation costs the stage that it is in.

    `compute_ns` is its time with the weights on chip, `streamed_ns` its time while they come from the host, never
    less. `weight_bytes` are its parameters as the device stores them on chip, `streamed_bytes` as they come in the
    stream, `parameter_bytes` as the model file has them.
    Weights that are not `cacheable` stream always. On a stage where not all fit, those of the smallest `cache_rank`
    are cached first. `scratch_bytes` is the memory that its activations take away from the weights of its stage.
    `cpu_ns` is its time on a CPU core, None if no core can run it; without `on_accelerator`, only a core can.
    `link_bytes` are what a shared link carries for it beside weights and the tensors that stages hand on: instructions,
    and what comes back from the device where it falls back; their time is part of `compute_ns`.
    """

    name: str
    compute_ns: int
    streamed_ns: int
    weight_bytes: int
    streamed_bytes: int
    parameter_bytes: int
    cacheable: bool
    cache_rank: int
    scratch_bytes: int
    cpu_ns: int | None = None
    on_accelerator: bool = True
    link_bytes: int = 0

    def __post_init__(self) -> None:
        amounts = (self.compute_ns, self.weight_bytes, self.streamed_bytes, self.parameter_bytes, self.scratch_bytes)
        if min(*amounts, self.link_bytes, self.cpu_ns or 0) < 0 or self.streamed_ns < self.compute_ns:
            raise ValueError(f"operation {self.name!r} has a negative cost, or streams faster than it computes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A tensor between operations: who makes it, who reads it, and what moving it to or from a device costs.

    `producer` is -1 for an input of the model; `is_output` says that the host wants it whoever else reads it.
    `scratch_bytes` is the memory that it takes away from the weights of a stage that brings it in.
    """

    name: str
    nbytes: int
    producer: int
    consumers: tuple[int, ...]
    is_output: bool
    input_ns: int
    output_ns: int
    scratch_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.nbytes, self.input_ns, self.output_ns, self.scratch_bytes) < 0:
            raise ValueError(f"tensor {self.name!r} has a negative size or cost")
        if list(self.consumers) != sorted(set(self.consumers)) or any(c <= self.producer for c in self.consumers):
            raise ValueError(f"tensor {self.name!r} must be read after it is made, by ascending operations")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredStage:
    """The measured time of the stage of operations `first` to `end` (exclusive), in place of what its parts sum to."""

    first: int
    end: int
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLink:
    """A link that all devices share, such as a card's PCIe switch or a USB hub.

    Every tensor that enters or leaves a device and every weight that streams passes it, at `ns_per_mib` each.
    """

    ns_per_mib: int

    def __post_init__(self) -> None:
        if self.ns_per_mib < 0:
            raise ValueError("the time on a shared link cannot be negative")

    def load_ns(self, nbytes: int) -> int:
        """Return how long `nbytes` occupy the link, rounded up to whole ns."""
        return link_ns(nbytes, self.ns_per_mib)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The host that feeds all devices.

    It drives the stages of inferences one after the other, `serial_ns` each, and in the same line hands over what an
    inference takes and gives as a whole, in `frame_ns`. An inference takes `work_ns` of a core besides: what its
    operations take that no device does. Only the first depends on the cuts. All of that is done on `cores`.
    """

    cores: int
    serial_ns: int
    work_ns: int = 0
    frame_ns: int = 0

    def __post_init__(self) -> None:
        if self.cores < 1 or min(self.serial_ns, self.work_ns, self.frame_ns) < 0:
            raise ValueError("a host has at least one core, and no negative times")

    def load_ns(self, stages: int) -> int:
        """Return how long an inference of so many stages occupies the host, rounded up to whole ns."""
        return host_ns(stages, cores=self.cores, serial_ns=self.serial_ns, work_ns=self.work_ns, frame_ns=self.frame_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all pipelines share; None: there is enough of it."""

    link: SharedLink | None = None
    host: Host | None = None

    def load_ns(self, moved_bytes: int, stages: int) -> tuple[int, int]:
        """Return how long an inference that moves so much through so many stages occupies the link, and the host."""
        return (
            self.link.load_ns(moved_bytes) if self.link else 0,
            self.host.load_ns(stages) if self.host else 0,
        )

    def takes(self, cost: str) -> Callable[[int], int]:
        """Return what says for how many ns an inference occupies what its "bytes", or its "stages", need."""
        kind = self.link if cost == "bytes" else self.host
        assert kind is not None
        return kind.load_ns


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A chain of operations, the places where it may be cut, and the identical devices to spread it over.

    Beside the accelerators there may be `cpus` cores; a stage on a core takes the sum of its operations' `cpu_ns`.

    `capacity_bytes` is what a device has for weights and scratch together. With `no_spill`, a plan in which
    cacheable weights do not fit their device is not allowed; without, they stream at every inference. A stage that is
    exactly a `measured` one takes the time that was measured. A shared `link` bounds what all devices move together,
    the `host` how often all pipelines together begin; where cores are devices of their own there is none.

    Raises:
        ValueError: a field is out of range, or fields contradict each other.
        DeviceError: times or bytes add up to more than `MOST_SUM`.
    """

    name: str
    ops: tuple[OpCost, ...]
    transfers: tuple[Transfer, ...]
    cuts: tuple[int, ...]
    tpus: int
    cpus: int = 0
    capacity_bytes: int
    overhead_ns: int
    no_spill: bool = False
    measured: tuple[MeasuredStage, ...] = ()
    link: SharedLink | None = None
    host: Host | None = None

    def __post_init__(self) -> None:
        n = len(self.ops)
        if n == 0 or self.tpus < 1:
            raise ValueError("a problem needs at least one operation and one TPU")
        if self.cpus < 0:
            raise ValueError("the number of CPU cores cannot be negative")
        if self.cpus and self.host is not None:
            raise ValueError("cores that run stages of their own are not the host's")
        if min(self.capacity_bytes, self.overhead_ns) < 0:
            raise ValueError("capacity and overhead cannot be negative")
        if list(self.cuts) != sorted(set(self.cuts)) or any(not 0 < c < n for c in self.cuts):
            raise ValueError(f"cut positions must ascend between 1 and {n - 1}")
        if any(not -1 <= t.producer < n or any(c >= n for c in t.consumers) for t in self.transfers):
            raise ValueError("a tensor names an operation that does not exist")
        if any(not 0 <= m.first < m.end <= n or m.time_ns < 0 for m in self.measured):
            raise ValueError(f"a measured stage must be a range of the operations 0 to {n - 1}, its time not negative")
        if len(self.measured_ns) != len(self.measured):
            raise ValueError("a stage is measured twice")
        self._check_sums()

    def _check_sums(self) -> None:
        """Raise a DeviceError if amounts are so large that their sums could overflow."""
        scratch = (*(op.scratch_bytes for op in self.ops), *(t.scratch_bytes for t in self.transfers))
        for what, total, unit in (
            ("times", self.most_ns, "ns"),
            ("bytes", max(self.most_bytes, self.capacity_bytes, *scratch), "bytes"),
        ):
            if total > MOST_SUM:
                raise DeviceError(
                    f"the {what} of {self.name} add up to {total} {unit}, more than the {MOST_SUM} that are supported",
                    "check the unit of the costs: times are in ns, sizes in bytes",
                )

    @cached_property
    def most_ns(self) -> int:
        """More than an inference takes of all devices, cores and the host together, however it is cut."""
        ops, tensors = self.ops, self.transfers
        times = sum(max(op.streamed_ns, op.cpu_ns or 0) for op in ops) + self.overhead_ns * len(ops)
        times += sum(t.input_ns * len(t.consumers) + t.output_ns for t in tensors)
        times += sum(m.time_ns for m in self.measured)
        return times + (self.host.work_ns + self.host.frame_ns + self.host.serial_ns * len(ops) if self.host else 0)

    @cached_property
    def most_bytes(self) -> int:
        """More than an inference moves, however it is cut."""
        nbytes = sum(max(op.weight_bytes, op.streamed_bytes, op.parameter_bytes) + op.link_bytes for op in self.ops)
        return nbytes + sum(t.nbytes * (len(t.consumers) + 1) for t in self.transfers)

    @property
    def shared(self) -> Shared:
        """What all pipelines share."""
        return Shared(link=self.link, host=self.host)

    @cached_property
    def measured_ns(self) -> dict[tuple[int, int], int]:
        """The measured times by range of operations (half-open)."""
        return {(m.first, m.end): m.time_ns for m in self.measured}

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the indices of the transfers that it reads."""
        found: list[list[int]] = [[] for _ in self.ops]
        for index, transfer in enumerate(self.transfers):
            for consumer in transfer.consumers:
                found[consumer].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def makes(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the indices of the transfers that it makes."""
        found: list[list[int]] = [[] for _ in self.ops]
        for index, transfer in enumerate(self.transfers):
            if transfer.producer >= 0:
                found[transfer.producer].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def large_inputs(self) -> tuple[Transfer, ...]:
        """The tensors that take more memory from a stage that brings them in than one of their readers does."""
        return tuple(
            t
            for t in self.transfers
            if t.scratch_bytes > min((self.ops[c].scratch_bytes for c in t.consumers), default=0)
        )

    @cached_property
    def cache_order(self) -> tuple[int, ...]:
        """The operations with cacheable weights, in the order in which a stage caches them."""
        with_weights = (i for i, op in enumerate(self.ops) if op.cacheable and op.weight_bytes)
        return tuple(sorted(with_weights, key=lambda i: (self.ops[i].cache_rank, i)))
