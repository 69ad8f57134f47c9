"""The engine on a virtual clock: every inference takes exactly the predicted time, and every frame is there at time 0.

It has no threads. A runner is called when its inference begins, in the thread that waits for results, and what it made
is handed on when the predicted time has passed. What happens at the same time happens in the order of the inferences.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from segsolve_runtime.contract.arrays import Tensors
from segsolve_runtime.contract.places import Place, stage_at
from segsolve_runtime.errors import DevicesLeftError, StageError
from segsolve_runtime.flow.dispatch import Dispatcher, Seat
from segsolve_runtime.flow.engine import Ends, Setting
from segsolve_runtime.flow.faults import Fault, FaultKind, FaultLog
from segsolve_runtime.flow.job import Job
from segsolve_runtime.flow.lanes import lanes_of, limited_by
from segsolve_runtime.flow.metrics import StageView
from segsolve_runtime.flow.records import SlotRecord
from segsolve_runtime.flow.routes import routes
from segsolve_runtime.flow.schedule import Slot


class VirtualEngine:
    """Runs inferences on the runners of a setting; one that raises fails, and nothing is tried again."""

    failure: StageError | None
    gives_back = False

    def __init__(self, setting: Setting, ends: Ends) -> None:
        plan = setting.plan
        self._setting, self._ends, self._now_ns = setting, ends, 0
        self.faults, self.failure = FaultLog(), None
        self._dispatch = Dispatcher([[s.replicas for s in p.stages] for p in plan.pipelines], setting.queue_size)
        self._routes = [routes(plan, p) for p in range(len(plan.pipelines))]
        self._slots = SlotRecord(setting.recorded)
        self._ahead: list[tuple[int, int, Place, int, Tensors | Exception]] = []
        if limited_by(plan):
            self._dispatch.share(lanes_of(plan))

    def start(self) -> None:
        """Leave out what was lost (DevicesLeftError if no pipeline is whole)."""
        for place in self._setting.retired:
            self._dispatch.retire(self._dispatch.seats[place])
        if self._dispatch.is_exhausted:
            raise DevicesLeftError(self._setting.retired, {})

    def close(self) -> None:
        """Do nothing: there are no threads."""

    def now(self) -> int:
        """Return the virtual ns since the run began."""
        return self._now_ns

    def offer(self, job: Job) -> None:
        """Take an inference; it begins when `advance` is called."""
        self._dispatch.source.append(job)

    def has_room(self) -> bool:
        """Whether fewer inferences wait for a first stage than may."""
        return len(self._dispatch.source) < self._setting.queue_size

    def waiting(self) -> int:
        """Return how many wait for a first stage."""
        return len(self._dispatch.source)

    def tell_when_taken(self, below: int) -> None:
        """Do nothing: whoever waits lets time pass, and sees it."""

    def done(self) -> None:
        """Do nothing: results are taken when they are there."""

    def is_drained(self, undone: int) -> bool:
        """Return False: nothing is given back."""
        return False

    def withdraw(self, most: int) -> list[Job]:
        """Take inferences away that have not begun, the oldest first."""
        source = self._dispatch.source
        return [source.popleft() for _ in range(min(most, len(source)))]

    def stages(self) -> Sequence[StageView]:
        """Return what the stages' records say now."""
        return self._dispatch.views(self._now_ns)

    def slots(self) -> list[Slot]:
        """Return which inference ran where and when, as far as that is recorded."""
        return self._slots.slots

    def advance(self, *, may_come: bool = False) -> bool:
        """Do what is due, and then let time pass until the next thing happens; say whether anything did.

        With `may_come`, no time passes while there is room for a frame: it is there now.
        """
        has_acted = self._settle()
        if has_acted or (may_come and self.has_room()):
            return True
        opens_ns = self._dispatch.opens_ns()
        if opens_ns is not None and not (self._ahead and self._ahead[0][0] <= opens_ns):
            self._now_ns = opens_ns
            return True
        if not self._ahead:
            return False
        self._end_next()
        return True

    def _settle(self) -> bool:
        """Do what can be done without letting time pass."""
        has_acted = False
        while True:
            if self._ahead and self._ahead[0][0] <= self._now_ns:
                self._end_next()
            elif self._dispatch.start_next(self._now_ns):
                self._carry_out()
            else:
                return has_acted
            has_acted = True

    def _end_next(self) -> None:
        """Go to the end of the inference that ends next."""
        end_ns, number, place, start_ns, made = heappop(self._ahead)
        self._now_ns = max(self._now_ns, end_ns)
        seat = self._dispatch.seats[place]
        failed = isinstance(made, Exception)
        seat.record.ran(start_ns, end_ns, counts=not failed)
        if isinstance(made, Exception):
            self._fail(seat, number, made)
        else:
            self._slots.add(place, number, start_ns, end_ns)
            self._dispatch.finish(seat, made, self._now_ns)
        self._carry_out()

    def _carry_out(self) -> None:
        while self._dispatch.starts:
            seat, job = self._dispatch.starts.pop(0)
            end_ns = self._now_ns + stage_at(self._setting.plan, seat.place).prediction.time_ns
            heappush(self._ahead, (end_ns, job.number, seat.place, self._now_ns, self._made(seat, job)))
        while self._dispatch.released:
            job = self._dispatch.released.pop(0)
            job.ready_ns = self._now_ns
            self._ends.finish(job)

    def _made(self, seat: Seat, job: Job) -> Tensors | Exception:
        route = self._routes[seat.place.pipeline][seat.place.stage]
        try:
            made = self._setting.runners[seat.place].run({name: job.tensors[name] for name in route.takes})
            return {name: made[name] if name in made else job.tensors[name] for name in route.keeps}
        except Exception as error:
            return error

    def _fail(self, seat: Seat, number: int, cause: Exception) -> None:
        where = seat.place.describe(self._setting.plan)
        error = StageError(seat.place, number, cause, where=where)
        message = f"{type(cause).__name__}: {cause}"
        self.faults.add(
            Fault(
                kind=FaultKind.RAISED,
                place=seat.place,
                inference=number,
                at_ns=self._now_ns,
                message=message,
                retired=False,
            )
        )
        self._dispatch.give_up(seat, error, self._now_ns)
        if self._setting.policy.on_fault == "stop":
            self.failure, self._dispatch.is_stopped = error, True
            for job in self.withdraw(self.waiting()):
                job.error = StageError(seat.place, job.number, cause, where=where)
                self._dispatch.released.append(job)
