"""Changes of several files of a folder in one step, which a kill at any moment does not cut in two.

What is to be there is written into a folder of its own, ``.segsolve``. One rename, of the list of what is to be moved
and removed, decides: before it nothing has changed, and after it whoever comes next finishes what was decided. So
everything that reads such a folder settles it first.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from segsolve_runtime.contract.files import make_folder, read_bounded, resolved
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.writing import locked, replace_file, sync_folder

WORK = ".segsolve"
_DECISION = "decision.json"
_FILES = "files"


class Change:
    """What a folder is to hold; names are relative to it, with forward slashes."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._put: list[str] = []
        self._removed: list[str] = []

    def put(self, name: str, content: bytes) -> None:
        """Write a file, new or in place of an older one; files appear in the order in which they are put."""
        path = self._work / _FILES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        self._put.append(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there and no new one takes its place."""
        self._removed.append(name)

    def below(self, folder: str) -> Change:
        """Return the part of this change that is about a folder in the folder, with names relative to that."""
        return _Part(self, folder)

    def decide(self) -> None:
        """Make the change happen, now or when somebody comes: the one step."""
        if not self._put and not self._removed:
            return
        for folder in {path.parent for name in self._put for path in _below(self._work / _FILES, name)}:
            sync_folder(folder)
        removed = [name for name in self._removed if name not in self._put]
        replace_file(self._work / _DECISION, json.dumps({"put": self._put, "remove": removed}).encode())


class _Part(Change):
    def __init__(self, whole: Change, folder: str) -> None:
        self._whole, self._folder = whole, folder

    def put(self, name: str, content: bytes) -> None:
        self._whole.put(f"{self._folder}/{name}", content)

    def remove(self, name: str) -> None:
        self._whole.remove(f"{self._folder}/{name}")


@contextmanager
def changing(folder: Path, check: Callable[[], object] = lambda: None) -> Iterator[Change]:
    """Give a change of a folder, which is made and happens when the block ends, unless it raises.

    `check` may raise once no other process can change the folder any more. Folders that were made vanish again if they
    stay empty.

    Raises:
        OSError: the folder cannot be written; InUseError: another process is writing into it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with _made_and_locked(folder):
        try:
            settle_locked(folder)
            check()
            work = folder / WORK
            work.mkdir()
            try:
                change = Change(work)
                yield change
                change.decide()
            finally:
                settle_locked(folder)
        finally:
            for path in made:  # while no other process relies on them
                with suppress(OSError):
                    path.rmdir()


def settle(folder: Path) -> None:
    """Finish the change that a process had decided when it was killed, and remove the one that it had not.

    Raises:
        OSError: the folder cannot be written, so that it holds neither what it held nor what it is to hold;
            InUseError: another process is writing into it.
    """
    work = folder / WORK
    if work.is_dir() and not work.is_symlink():
        try:
            with locked(folder):
                settle_locked(folder)
        except FileNotFoundError:
            return  # it went while we came
        except OSError:
            if (work / _DECISION).exists():
                raise


def settle_locked(folder: Path) -> None:
    """Do the same where no other process can interfere."""
    work = folder / WORK
    if not work.is_dir() or work.is_symlink():
        return
    try:
        decided = json.loads(read_bounded(work / _DECISION, DOCUMENT))
        put, remove = decided["put"], decided["remove"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # it is written in one step: others are not ours
        shutil.rmtree(work)
        return
    for name in filter(lambda name: _is_inside(folder, name), put):
        if (work / _FILES / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (work / _FILES / name).replace(folder / name)
    for name in filter(lambda name: _is_inside(folder, name), remove):
        (folder / name).unlink(missing_ok=True)
        for path in reversed(_below(folder, name)[:-1]):
            with suppress(OSError):  # it holds other files
                path.rmdir()
    sync_folder(folder)
    (work / _DECISION).unlink()
    shutil.rmtree(work)


@contextmanager
def _made_and_locked(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        while True:
            make_folder(folder)
            with suppress(FileNotFoundError):  # another process had made it, and took it away
                stack.enter_context(locked(folder))
                break
        yield


def _is_inside(folder: Path, name: object) -> bool:
    """Whether a name is one that a change of ours can have: below the folder, and by no link that leads elsewhere."""
    if not isinstance(name, str) or not name.isprintable():
        return False
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or path.parts[0] == WORK:
        return False
    return resolved((folder / path).parent) == resolved(folder) / path.parent


def _below(folder: Path, name: str) -> list[Path]:
    """Return the folders that lead from a folder to a file in it, and the file."""
    parts = PurePosixPath(name).parts
    return [folder.joinpath(*parts[:k]) for k in range(1, len(parts) + 1)]
