"""``compile.json``: which compiled segment belongs to which segment of a plan, and what the compiler said of it.

The compiled files lie beside the segments, under the names that the vendor's compiler gives them. A plan also runs
with segments that were compiled by hand: then there is no such record, and a file's name is believed.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve_runtime.contract.plan import PlanFolder, Stage, file_sha256
from segsolve_runtime.errors import PlanError

COMPILE_FILE = "compile.json"
SUFFIX = "_edgetpu"
CUSTOM_OP = b"edgetpu-custom-op"
VERSION: Final = 1


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class MappedOperations(_Record):
    """Operations of one kind with the same fate."""

    kind: str
    count: int = Field(ge=0)
    status: str = Field(description="Mapped to Edge TPU, or the compiler's reason why not")
    on_tpu: bool


class CompiledSegment(_Record):
    """A compiled segment and the compiler's report of it; sizes in bytes, None where the compiler did not say."""

    segment: str = Field(description="the plan's segment, relative to the plan's folder")
    segment_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: str = Field(description="the compiled segment, relative to the plan's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    onchip_bytes: int | None = Field(description="parameters kept on chip")
    onchip_free_bytes: int | None = Field(description="on-chip memory that is left for parameters")
    offchip_bytes: int | None = Field(description="parameters streamed from the host at every inference")
    subgraphs: int | None = Field(description="parts of the segment that run on the Edge TPU")
    operations: list[MappedOperations]


class CompileRecord(_Record):
    """The content of ``compile.json``."""

    format: Literal["segsolve-compile"] = "segsolve-compile"
    version: Literal[1] = VERSION
    compiler: str = Field(description="version of the vendor's compiler")
    segments: list[CompiledSegment]


def is_compiled(segment: Path) -> bool:
    """Whether a file was made by the vendor's compiler and has at least one operation for an Edge TPU."""
    return CUSTOM_OP in segment.read_bytes()


def compiled_name(segment: str) -> str:
    """Return the file that the vendor's compiler makes of a segment: ``x_segment_0_of_2_edgetpu.tflite``."""
    path = PurePosixPath(segment)
    return str(path.with_name(f"{path.stem}{SUFFIX}{path.suffix}"))


def compiled_path(folder: PlanFolder, stage: Stage) -> Path:
    """Return the compiled file of a stage's segment.

    Raises:
        PlanError: there is none, it is of another segment, or nothing of it would run on an Edge TPU.
    """
    path = folder.root / compiled_name(stage.file)
    if not path.is_file():
        raise PlanError(
            f"the plan's segment {stage.file} is not compiled and would run on the CPU; compile it with: "
            "segsolve build PLAN/ --compile"
        )
    record = read_record(folder.root)
    known = {s.segment: s for s in record.segments} if record else {}
    if stage.file in known:
        _check(path, stage, known[stage.file])
    if not is_compiled(path):
        raise PlanError(f"{path} was compiled, but none of its operations is for an Edge TPU: it would run on the CPU")
    return path


def read_record(root: Path) -> CompileRecord | None:
    """Return what ``compile.json`` in a plan's folder says, None if there is none (PlanError if it is not valid)."""
    path = root / COMPILE_FILE
    if not path.is_file():
        return None
    try:
        return CompileRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        raise PlanError(f"{path} is not valid; compile again with: segsolve build PLAN/ --compile") from None


def record_json(record: CompileRecord) -> str:
    """Return the text of ``compile.json``."""
    return json.dumps(record.model_dump(mode="json"), indent=2) + "\n"


def _check(path: Path, stage: Stage, known: CompiledSegment) -> None:
    if known.segment_sha256 != stage.sha256:
        raise PlanError(f"{path} was compiled from another segment; compile again: segsolve build PLAN/ --compile")
    if file_sha256(path) != known.sha256:
        raise PlanError(f"{path} was altered after it was compiled; compile again: segsolve build PLAN/ --compile")
