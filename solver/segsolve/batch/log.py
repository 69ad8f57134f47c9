"""The records of a folder: appended one by one while a batch runs, sorted when it is done.

A kill can lose nothing that was appended, because every line is on the disk before the next job counts as done, and
leaves at most one line without its end, which is dropped and its job done again. Lines arrive in an order that depends
on the machine; sorting them at the end, in one atomic step, makes the finished file a function of the jobs alone.
When a model, a device or a version changed, the record from before makes room for the new one and goes to a second
file, from where it comes back should the change be undone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from segsolve.batch.record import Record, from_line, to_line
from segsolve.errors import OutputError, writing_to
from segsolve_runtime.contract import writing
from segsolve_runtime.contract.files import is_there, make_folder

RESULTS = "results.jsonl"
SUPERSEDED = "superseded.jsonl"
TIMINGS = "timings.jsonl"
_LINE_START = b'{"key":'


class RecordLog:
    """The records in a folder, by key, and the file that grows with them. Use it as a context manager.

    Raises:
        OutputError: the folder cannot be written, or its file holds something else than records.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with writing_to(folder):
            self.records = {r.key: r for name in (SUPERSEDED, RESULTS) for r in read_records(folder, name)}
            for name in (RESULTS, TIMINGS):
                _drop_torn_line(folder / name)
            self._results = os.open(folder / RESULTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            self._timings = os.open(folder / TIMINGS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def __enter__(self) -> RecordLog:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        os.close(self._results)
        os.close(self._timings)

    def append(self, record: Record, timing: Mapping[str, Any]) -> None:
        """Add a record, and bring it to the disk; its times go to a file of their own."""
        with writing_to(self._folder):
            if timing:
                _write(self._timings, json.dumps({"key": record.key, **timing}) + "\n")
            _write(self._results, to_line(record))
            os.fsync(self._results)
        self.records[record.key] = record

    def forget(self, unwanted: Callable[[Record], bool]) -> None:
        """Drop records, so that their jobs are done again; the file forgets them when they are replaced."""
        self.records = {key: record for key, record in self.records.items() if not unwanted(record)}

    def finish(self, current: Collection[Record]) -> None:
        """Sort the file, and put aside the records whose place in a report the `current` ones take."""
        keys, places = {record.key for record in current}, {record.place for record in current}
        kept: list[Record] = []
        superseded: list[Record] = []
        for record in sorted(self.records.values(), key=lambda record: record.order):
            (kept if record.key in keys or record.place not in places else superseded).append(record)
        with writing_to(self._folder):
            if superseded or is_there(self._folder / SUPERSEDED):  # first: a kill may leave a record twice, not never
                writing.replace_file(self._folder / SUPERSEDED, "".join(map(to_line, superseded)).encode())
            writing.replace_file(self._folder / RESULTS, "".join(map(to_line, kept)).encode())


def read_records(folder: Path, name: str = RESULTS) -> tuple[Record, ...]:
    """Return the records of a folder, the last of each key; the rest of a line that a kill cut short is no record.

    Raises:
        OutputError: the file holds something else than records.
    """
    path = folder / name
    records: dict[str, Record] = {}
    for number, line in enumerate(_whole_lines(path), start=1):
        try:
            record = from_line(line)
        except ValueError:
            raise _strange(path, number) from None
        records[record.key] = record
    return tuple(records.values())


def _strange(path: Path, number: int) -> OutputError:
    message = f"line {number} of {path} is not a record of a batch"
    return OutputError(message, "remove that line to do its job again, or choose another folder")


def read_timings(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the times of solving by key, as far as they are known."""
    timings: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(_whole_lines(folder / TIMINGS), start=1):
        try:
            timing = json.loads(line)
            float(timing.get("wall_s", 0.0))
            timings[str(timing["key"])] = timing
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError, OverflowError):
            raise _strange(folder / TIMINGS, number) from None
    return timings


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other batches out of a folder, which is made; the lock goes with the process, however that ends.

    Raises:
        OutputError: another batch is at work there, or the folder cannot be written.
    """
    with writing_to(folder):
        make_folder(folder)
        try:
            lock = ExitStack()
            lock.enter_context(writing.locked(folder, wait_s=0))
        except writing.InUseError:
            raise OutputError(f"another batch is writing into {folder}", "wait for it, or choose another -o") from None
        writing.sweep(folder)
    with lock:
        yield


def _whole_lines(path: Path) -> Iterable[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ()
    return content.split(b"\n")[:-1]


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without its end, if it is the beginning of a line of ours, or the zeros of a power cut."""
    content = path.read_bytes() if is_there(path) else b""
    whole = content.rfind(b"\n") + 1
    torn = content[whole:]
    if torn.strip(b"\0") and not torn.startswith(_LINE_START[: len(torn)]):
        raise OutputError(f"the last line of {path} is not a record of a batch", "choose another folder with -o")
    if torn:
        os.truncate(path, whole)


def _write(descriptor: int, line: str) -> None:
    """Write a line with a single system call, so that an interruption finds it whole or not begun."""
    content = line.encode()
    while content:  # a full disk or a quota may take a part and refuse the rest
        content = content[os.write(descriptor, content) :]
