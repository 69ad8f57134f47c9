"""Compiles the segments of a plan folder, and writes the compiled files and what the compiler said beside them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segsolve.compiler.run import Compiled, Compiler
from segsolve.errors import writing_to
from segsolve.graph.read import LoadedModel
from segsolve.segments.writer import segment_bytes, segment_of
from segsolve_runtime.contract import plan as planfile
from segsolve_runtime.contract.changes import changing
from segsolve_runtime.contract.compiled import (
    COMPILE_FILE,
    CompiledSegment,
    CompileRecord,
    MappedOperations,
    compiled_name,
)
from segsolve_runtime.contract.digest import digested_json

Ops = tuple[int, ...]


@dataclass(kw_only=True)
class CompiledStages:
    """Compiles stages, each content once: known by the digest of the segment before it was compiled."""

    compiler: Compiler
    known: dict[str, Compiled] = field(default_factory=dict)

    def compile_files(self, files: Sequence[Path]) -> list[Compiled]:
        """Return the compiled segments (CompilerError if one cannot be compiled)."""
        digests = [planfile.file_sha256(file) for file in files]
        new = {digest: file for digest, file in zip(digests, files, strict=True) if digest not in self.known}
        made = self.compiler.compile_all(list(new.values()))
        self.known.update(zip(new, made, strict=True))
        return [self.known[digest] for digest in digests]

    def compile_ops(self, loaded: LoadedModel, stages: Sequence[Ops]) -> list[Compiled]:
        """Do the same for stages that are no files yet, given their operations."""
        with tempfile.TemporaryDirectory(prefix="segsolve-segments-") as folder:
            files: list[Path] = []
            for ops in stages:
                path = Path(folder) / f"{loaded.path.stem}_{ops[0]}_to_{ops[-1]}.tflite"
                path = path.with_name(f"{path.stem}_{len(files)}.tflite")  # stages with gaps can have the same ends
                path.write_bytes(segment_bytes(loaded, segment_of(loaded.graph, ops)))
                files.append(path)
            return self.compile_files(files)


def tpu_files(folder: planfile.PlanFolder) -> tuple[str, ...]:
    """Return the different segment files of a plan that run on Edge TPUs, relative to its folder."""
    return tuple(dict.fromkeys(s.file for s in folder.plan.all_stages if s.processor == "edgetpu"))


def write_compiled(folder: planfile.PlanFolder, compiled: Mapping[str, Compiled], version: str) -> CompileRecord:
    """Write the compiled segments beside their segments, and ``compile.json``; `compiled` is by segment file.

    Raises:
        OutputError: the folder cannot be written.
        PlanError: another command has changed the plan meanwhile.
    """
    record = CompileRecord(
        compiler=version,
        segments=[_segment(folder.root, file, made) for file, made in compiled.items()],
    )
    unwritable = "check its permissions and the room on its disk"
    with writing_to(folder.root, unwritable), changing(folder.root, check=folder.check_unchanged) as change:
        for file, made in compiled.items():
            change.put(compiled_name(file), made.content)
        change.put(COMPILE_FILE, digested_json(record).encode())
    return record


def _segment(root: Path, file: str, made: Compiled) -> CompiledSegment:
    report = made.report
    return CompiledSegment(
        segment=file,
        segment_sha256=planfile.file_sha256(root / file),
        file=compiled_name(file),
        sha256=hashlib.sha256(made.content).hexdigest(),
        onchip_bytes=report.onchip_bytes,
        onchip_free_bytes=report.onchip_free_bytes,
        offchip_bytes=report.offchip_bytes,
        subgraphs=report.subgraphs,
        operations=[
            MappedOperations(kind=m.kind, count=m.count, status=m.status, on_tpu=m.on_tpu) for m in report.operations
        ],
    )
