"""The question of a pool: the devices there are, the models that they serve, and what these cost there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import cached_property, reduce
from math import gcd, lcm
from typing import TYPE_CHECKING

from segsolve.errors import DeviceError, UsageError
from segsolve.problem import Problem, SharedLink
from segsolve.question.kept import Constraints
from segsolve.values import MOST_WEIGHT

if TYPE_CHECKING:
    from segsolve.cost.arrays import Ints
    from segsolve.cost.table import StageTable

NOTHING = Constraints()
"""No constraints."""
MOST_PERIOD_NS = 2**50
"""What all inferences of a period may take together, thirteen days: searches put values beyond it for what is worse."""
LATE_NS, UNKEPT_NS = 2**52, 2**54
"""What the value of a plan is above that does not make the rates that are wanted, or does not keep what is asked."""
_MOST_LINK = 2**62  # of bytes of a period and ns per MiB: 20 bits more than ns
_MOST_WEIGHTS = 2**34 - 1  # bytes of a model's weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The operations of a model from `first` to `last` run on devices of a kind."""

    first: int
    last: int
    kind: str

    @property
    def words(self) -> str:
        """What is asked."""
        one = self.first == self.last
        return f"{f'operation {self.first}' if one else f'operations {self.first} to {self.last}'} on {self.kind}"


@dataclass(frozen=True, slots=True)
class OnKind:
    """What the stages of a model keep on a kind of devices: its constraints, and what is pinned `elsewhere`."""

    kept: Constraints = NOTHING
    elsewhere: tuple[Pin, ...] = ()

    def time(self, table: StageTable) -> Ints:
        """Return the time [n, n] of the stages that are allowed; IMPOSSIBLE for the others."""
        import numpy as np

        from segsolve.cost.table import IMPOSSIBLE

        time = self.kept.time(table)
        for pin in self.elsewhere:
            done = table.members[:, pin.first : pin.last + 1].sum(axis=1)  # as many as are done in both states: none
            time = np.where(done[:, None] == done[None, :], time, IMPOSSIBLE)
        return time

    def holds(self, ops: Sequence[int]) -> bool:
        """Whether none of the operations of a stage is pinned elsewhere."""
        return not any(pin.first <= op <= pin.last for pin in self.elsewhere for op in ops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Devices that are alike: `count` of them. `link` is the name of the link that they share with others, if any.

    `names` are those of the devices themselves, as `run` opens them ("usb:0"); none where nobody says.
    """

    name: str
    count: int
    link: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"there are {self.count} devices of the kind {self.name}")
        if self.names and len(self.names) != self.count:
            raise ValueError(f"the kind {self.name} has {self.count} devices and {len(self.names)} names")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Kinds of devices, and the links that some of them share. Devices are numbered kind by kind, from 0."""

    kinds: tuple[Kind, ...]
    links: tuple[tuple[str, SharedLink], ...] = ()

    def __post_init__(self) -> None:
        if not self.kinds:
            raise ValueError("a pool needs a device at least")
        if len({kind.name for kind in self.kinds}) != len(self.kinds):
            raise ValueError("two kinds of a pool have the same name")
        if missing := {kind.link for kind in self.kinds if kind.link} - {name for name, _ in self.links}:
            raise ValueError(f"the pool has no link {min(missing)}")

    @cached_property
    def devices(self) -> tuple[int, ...]:
        """The kind of each device."""
        return tuple(k for k, kind in enumerate(self.kinds) for _ in range(kind.count))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many devices there are of each kind."""
        return tuple(kind.count for kind in self.kinds)

    def device_name(self, device: int) -> str:
        """Return a device's kind and its number among those: ``edgetpu-m2:1``."""
        kind = self.devices[device]
        return f"{self.kinds[kind].name}:{device - sum(self.counts[:kind])}"

    @property
    def notation(self) -> str:
        """The kinds and counts, as `--pool` takes them."""
        return ",".join(f"{kind.name}:{kind.count}" for kind in self.kinds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is wanted of one model: inferences per period, what each of its pipelines keeps, and where it runs.

    A latency that is kept is the worst, with all that an inference waits for on shared devices.
    """

    model: str
    weight: int
    kept: Constraints = NOTHING
    pins: tuple[Pin, ...] = ()

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(f"the weight of {self.model} is {self.weight}")

    @property
    def words(self) -> list[str]:
        """What its pipelines keep, and where it runs."""
        return [*self.kept.words, *(pin.words for pin in self.pins)]

    def on(self, kind: str) -> OnKind:
        """Return what its stages keep on a kind of devices."""
        return OnKind(self.kept, tuple(pin for pin in self.pins if pin.kind != kind))


class Goal(StrEnum):
    """What a pool's plan is best at: the most periods per second, or, at the rates asked for, the least latency."""

    RATES = "throughput"
    LATENCY = "latency"


class Sharing(StrEnum):
    """Whether stages of several models may live on one device, co-compiled."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "co-compiled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The models that a pool serves. `scale_fps` are the periods per second that are asked for; None: the most.

    The rate of a model is its weight times the periods per second.
    """

    demands: tuple[Demand, ...]
    scale_fps: Fraction | None = None
    goal: Goal = Goal.RATES
    sharing: Sharing = Sharing.AUTO

    def __post_init__(self) -> None:
        if not self.demands:
            raise ValueError("a workload needs a model at least")
        if len({demand.model for demand in self.demands}) != len(self.demands):
            raise ValueError("two models of a workload have the same name")

    @property
    def weights(self) -> tuple[int, ...]:
        """Inferences per period of each model."""
        return tuple(demand.weight for demand in self.demands)


@dataclass(frozen=True, kw_only=True)
class PoolProblem:
    """A workload on a pool. `costs[m][k]` is the problem of model m on devices of the kind k.

    A model's operations, tensors and cuts are the same on all kinds, and a kind's memory is for all models.

    Raises:
        ValueError: they are not, or there is not a problem for every model and kind.
        DeviceError: what inferences of a period take adds up to more than is supported.
    """

    pool: Pool
    workload: Workload
    costs: tuple[tuple[Problem, ...], ...]

    def __post_init__(self) -> None:
        if len(self.costs) != len(self.workload.demands) or {len(row) for row in self.costs} != {len(self.pool.kinds)}:
            raise ValueError("a pool's problem needs the costs of each model on each kind")
        for row in self.costs:
            if len({(len(p.ops), p.cuts) for p in row}) != 1:
                raise ValueError(f"the operations and cuts of {row[0].name} differ from kind to kind")
        for kind, column in zip(self.pool.kinds, zip(*self.costs, strict=True), strict=True):
            if len({p.capacity_bytes for p in column}) != 1:
                raise ValueError(f"the memory of {kind.name} differs from model to model")
        self._check_sums()

    def _check_sums(self) -> None:
        """Raise a DeviceError if amounts are so large that their sums could overflow."""
        weighted = list(zip(self.workload.weights, self.costs, strict=True))
        slowest_link = max((link.ns_per_mib for _, link in self.pool.links), default=0)
        for what, total, most in (
            ("take ns", sum(w * max(p.most_ns for p in row) for w, row in weighted), MOST_PERIOD_NS),
            (
                "take a link for 2**-20 ns",
                sum(w * max(p.most_bytes for p in row) for w, row in weighted) * slowest_link,
                _MOST_LINK,
            ),
            (
                "have bytes of weights",
                max(sum(op.weight_bytes for op in p.ops) for _, row in weighted for p in row),
                _MOST_WEIGHTS,
            ),
        ):
            if total > most:
                raise DeviceError(
                    f"the models of a pool may {what} up to {most} in a period, and these come to {total}",
                    "check the unit of the costs (times are in ns, sizes in bytes), or give smaller weights",
                )

    @property
    def without_idle_memory(self) -> PoolProblem:
        """The same problem with no more memory than all models together can use: searches make tables of it."""
        columns = []
        for column in zip(*self.costs, strict=True):
            scratch = (s.scratch_bytes for p in column for s in (*p.ops, *p.transfers))
            enough = sum(op.weight_bytes for p in column for op in p.ops) + sum(scratch)
            columns.append([replace(p, capacity_bytes=min(p.capacity_bytes, enough)) for p in column])
        return replace(self, costs=tuple(zip(*columns, strict=True)))

    @cached_property
    def host_cores(self) -> int:
        """The cores of the host that feeds all devices, the fewest that is said of it; 0: its time is left aside."""
        hosts = [problem.host for row in self.costs for problem in row]
        return min((host.cores if host else 0 for host in hosts), default=0)

    def host_ns(self, model: int, kind: int) -> tuple[int, int, int]:
        """Return what a stage of a model on a kind occupies the host for; a first one besides host and cores."""
        host = self.costs[model][kind].host if self.host_cores else None
        return (host.serial_ns, host.frame_ns, host.frame_ns + host.work_ns) if host else (0, 0, 0)

    @property
    def words(self) -> list[str]:
        """What is asked of plans beside rates, each with the model that it is asked of."""
        demands = self.workload.demands
        named = [(f"{demand.model}: " if self.models > 1 else "", word) for demand in demands for word in demand.words]
        return [name + word for name, word in named]

    @property
    def models(self) -> int:
        """The number of models."""
        return len(self.costs)


def weights_of(rates: dict[str, Fraction]) -> tuple[dict[str, int], Fraction]:
    """Return the smallest whole weights in proportion to rates per second, and the rate of the weight 1.

    Raises:
        UsageError: a rate is not positive, or they are in no proportion that makes sense.
    """
    for name, rate in rates.items():
        if rate <= 0:
            raise UsageError(f"the rate of {name} is {float(rate):g}", "give a positive number per second")
    common = lcm(*(rate.denominator for rate in rates.values()))
    whole = {name: int(rate * common) for name, rate in rates.items()}
    unit = reduce(gcd, whole.values())
    weights = {name: amount // unit for name, amount in whole.items()}
    if max(weights.values()) > MOST_WEIGHT:
        largest = max(weights, key=lambda name: weights[name])
        raise UsageError(
            f"the rates are in the proportion of {max(weights.values())} for {largest} to {min(weights.values())}",
            f"round them, so that no weight is above {MOST_WEIGHT}",
        )
    return weights, Fraction(unit, common)
