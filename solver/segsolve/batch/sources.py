"""From what users name - folders, lists, files, networks of the zoo - to models with their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, as_completed
from pathlib import Path

from segsolve.batch.engines import EngineFault, LocalExecutor
from segsolve.batch.jobs import Model
from segsolve.errors import UsageError
from segsolve.version import __version__
from segsolve_runtime.contract.files import is_folder, is_there, read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.writing import sweep

ZOO = "zoo"
ZOO_SEED = 0


def find_models(
    names: Sequence[str], models: Path, processes: int, observe: Callable[[str, int, int], None]
) -> tuple[Model, ...]:
    """Return the models behind the names, each once; as for `models_of`."""
    found = models_of(names, models, processes, observe)
    return tuple(dict.fromkeys(model for name in names for model in found[name]))


def models_of(
    names: Sequence[str], models: Path, processes: int, observe: Callable[[str, int, int], None]
) -> dict[str, tuple[Model, ...]]:
    """Return the models behind each name, those of the zoo built into the folder `models` if they are not there yet.

    `observe` hears the network that was built, how many are, and how many will be.

    Raises:
        UsageError: a name stands for nothing.
        OutputError: the networks cannot be written.
    """
    items = {name: tuple(_resolve(name)) for name in names}
    found = dict.fromkeys(item for own in items.values() for item in own)
    folder = models / f"zoo-{__version__}-seed{ZOO_SEED}"
    _build([item for item in found if isinstance(item, str)], folder, processes, observe)
    read = {item: _model(_network(folder, item) if isinstance(item, str) else item) for item in found}
    return {name: tuple(read[item] for item in own) for name, own in items.items()}


def _resolve(name: str) -> Iterator[Path | str]:
    """Yield the files, as paths, and the networks, as names, that a name stands for."""
    from segsolve.zoo.catalogue import get, names

    if name == ZOO:
        yield from names()
    elif name.endswith(".txt"):
        yield from _listed(Path(name))
    elif name.endswith(".tflite"):
        yield Path(name)
    elif is_folder(Path(name)):
        yield from _in_folder(Path(name))
    elif "/" in name:
        raise UsageError(f"{name} does not exist", "name a folder or files of models, or networks of the zoo")
    else:
        yield get(name).name


def _in_folder(folder: Path) -> list[Path]:
    from segsolve.zoo.catalogue import names

    found = sorted(folder.glob("*.tflite"))
    if not found:
        hint = "a folder goes before a network of the same name" if str(folder) in names() else "name another folder"
        raise UsageError(f"{folder} holds no .tflite files", hint)
    return found


def _listed(path: Path) -> Iterator[Path | str]:
    """Yield what the lines of a list name; paths are relative to the list, lines with # are comments."""
    try:
        lines = read_bounded_text(path, DOCUMENT).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"the list {path} cannot be read: {why}", "check its path") from None
    for line in (line.strip() for line in lines):
        if line.endswith(".txt"):
            raise UsageError(f"the list {path} names another list, {line}", "name models, folders and networks")
        if line and not line.startswith("#"):
            yield from _resolve(str(path.parent / line) if line.endswith((".tflite", "/")) else line)


def _build(networks: Iterable[str], folder: Path, processes: int, observe: Callable[[str, int, int], None]) -> None:
    """Build the networks that are missing, in parallel: a large one takes seconds."""
    from segsolve.zoo.files import write_network

    sweep(folder)
    missing = [name for name in networks if not is_there(_network(folder, name))]
    if not missing:
        return
    executor = LocalExecutor(min(processes, len(missing)))
    try:
        futures = {executor.submit(write_network, name, folder, seed=ZOO_SEED): name for name in missing}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            observe(futures[future], done, len(missing))
    except BrokenExecutor:
        raise EngineFault("a process that built the zoo's networks died", "is there enough memory?") from None
    finally:
        executor.abandon()


def _network(folder: Path, name: str) -> Path:
    return folder / f"{name}.tflite"


def _model(path: Path) -> Model:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        sha256 = None  # its jobs will fail, and say why
    return Model(name=path.stem, path=str(path), sha256=sha256)
