"""``compile.json``: which compiled segment belongs to which segment of a plan, and what the compiler said of it.

The compiled files lie beside the segments, under the names that the vendor's compiler gives them. A plan also runs
with segments that were compiled by hand: then there is no such record, and a file's name is believed.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve_runtime.contract.digest import digest, digested_schema
from segsolve_runtime.contract.files import is_file, is_there, read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.plan import PlanFolder, Stage, file_sha256
from segsolve_runtime.contract.wording import NO_TEXT, first_fault
from segsolve_runtime.errors import PlanError

COMPILE_FILE = "compile.json"
SUFFIX = "_edgetpu"
CUSTOM_OP = b"edgetpu-custom-op"
VERSION: Final = 2
"""The largest ``compile.json`` that is read."""

_AGAIN = "compile again with: segsolve build PLAN/ --compile"
_Size = Annotated[int, Field(ge=0, le=2**62)]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class MappedOperations(_Record):
    """Operations of one kind with the same fate."""

    kind: str
    count: _Size
    status: str = Field(description="Mapped to Edge TPU, or the compiler's reason why not")
    on_tpu: bool


class CompiledSegment(_Record):
    """A compiled segment and the compiler's report of it; sizes in bytes, None where the compiler did not say."""

    segment: str = Field(description="the plan's segment, relative to the plan's folder")
    segment_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    file: str = Field(description="the compiled segment, relative to the plan's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    onchip_bytes: _Size | None = Field(description="parameters kept on chip")
    onchip_free_bytes: _Size | None = Field(description="on-chip memory that is left for parameters")
    offchip_bytes: _Size | None = Field(description="parameters streamed from the host at every inference")
    subgraphs: _Size | None = Field(description="parts of the segment that run on the Edge TPU")
    operations: list[MappedOperations]


class CompileRecord(_Record):
    """The content of ``compile.json``; version 1 had no digest."""

    format: Literal["segsolve-compile"] = "segsolve-compile"
    version: Literal[1, 2] = VERSION
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
    if not is_file(path):
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
    """Return what ``compile.json`` in a plan's folder says, None if there is none.

    Raises:
        PlanError: it cannot be read, is not valid, or was altered since it was written.
    """
    path = root / COMPILE_FILE
    if not is_there(path):
        return None
    try:
        document = json.loads(read_bounded_text(path, DOCUMENT))
        said = document.pop("digest", None) if isinstance(document, dict) else None
        record = CompileRecord.model_validate(document)
        altered = said != digest(document) if record.version > 1 or said is not None else False
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}; {_AGAIN}") from None
    except ValidationError as error:
        raise PlanError(f"{path} is not valid: {first_fault(error, 'the record')}; {_AGAIN}") from None
    except UnicodeEncodeError:
        raise PlanError(f"{path} is not valid: {NO_TEXT}; {_AGAIN}") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{path} is not valid: it is not JSON; {_AGAIN}") from None
    if altered:
        raise PlanError(f"{path} was altered after it was written; {_AGAIN}")
    return record


def record_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``compile.json``."""
    schema = digested_schema(CompileRecord)
    schema["required"].remove("digest")  # of version 1
    schema["if"] = {"properties": {"version": {"const": VERSION}}, "required": ["version"]}
    schema["then"] = {"required": ["digest"]}
    return schema


def check_compiled(folder: PlanFolder) -> int | None:
    """Return how many compiled segments the record of a plan's folder names; None if there is no record.

    Raises:
        PlanError: the record is not valid, or is of other segments; a compiled file is missing or was altered.
    """
    record = read_record(folder.root)
    if record is None:
        return None
    stages = {stage.file: stage for stage in folder.plan.all_stages}
    for known in record.segments:
        if known.segment not in stages or known.file != compiled_name(known.segment):
            raise PlanError(f"{folder.root / COMPILE_FILE} names segments that are not the plan's; {_AGAIN}")
        path = folder.root / known.file
        if not is_file(path):
            raise PlanError(f"the compiled segment {path} is missing; {_AGAIN}")
        _check(path, stages[known.segment], known)
    return len(record.segments)


def _check(path: Path, stage: Stage, known: CompiledSegment) -> None:
    if known.segment_sha256 != stage.sha256:
        raise PlanError(f"{path} was compiled from another segment; compile again: segsolve build PLAN/ --compile")
    if file_sha256(path) != known.sha256:
        raise PlanError(f"{path} was altered after it was compiled; compile again: segsolve build PLAN/ --compile")
