"""Compiles models and segments for one device that holds all of them: they share its memory in the order given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from segsolve.compiler.build import tpu_files
from segsolve.compiler.run import Compiled, Compiler
from segsolve.errors import UsageError, writing_to
from segsolve_runtime.contract.changes import changing
from segsolve_runtime.contract.compiled import compiled_name
from segsolve_runtime.contract.files import is_file
from segsolve_runtime.contract.plan import load_plan


def files_together(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the models behind some paths: files themselves, of a plan's folder the segments of its TPUs, in order.

    Raises:
        UsageError: they are fewer than two, or two would be compiled to files of one name.
        PlanError: a folder is no plan.
    """
    files = tuple(dict.fromkeys(file for path in paths for file in _files(path)))
    if len(files) < 2:
        raise UsageError("there is nothing to compile together", "name two models, segments or plans at least")
    twice = [name for name, times in Counter(file.name for file in files).items() if times > 1]
    if twice:
        raise UsageError(f"two of the files are called {twice[0]}", "rename one: the compiler names its results so")
    return files


def _files(path: Path) -> Iterator[Path]:
    if path.suffix == ".tflite":
        if not is_file(path):
            raise UsageError(f"{path} does not exist", "check its path")
        yield path
        return
    folder = load_plan(path)
    yield from (folder.root / file for file in tpu_files(folder))


def compile_together(files: Sequence[Path], compiler: Compiler, output: Path) -> dict[Path, Compiled]:
    """Compile files in one go, and write the results under the vendor's names; by file.

    Raises:
        CompilerError: one cannot be compiled, or not in time.
        OutputError: the folder cannot be written.
    """
    made = dict(zip(files, compiler.compile_together(files), strict=True))
    with writing_to(output), changing(output) as change:
        for file, each in made.items():
            change.put(compiled_name(file.name), each.content)
    return made
