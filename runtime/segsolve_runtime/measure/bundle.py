"""A bundle: segments to be measured on another machine, and what was measured there.

``bundle.json`` is written where the model and the compiler are, beside the segments and their compiled files;
``times.json`` where the devices are. Both are checked when they are read: the second may come from anywhere.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segsolve_runtime.contract.changes import settle
from segsolve_runtime.contract.files import is_file, read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT
from segsolve_runtime.contract.plan import TensorSpec, file_sha256
from segsolve_runtime.contract.wording import first_fault
from segsolve_runtime.errors import PlanError

BUNDLE_FILE, TIMES_FILE = "bundle.json", "times.json"
_Count = Annotated[int, Field(ge=0, le=2**62)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class BundledSegment(_Record):
    """A segment: its operations, its files relative to the bundle, and what goes in and out."""

    ops: list[_Count] = Field(min_length=1)
    file: str
    sha256: _Digest
    compiled: str | None = Field(default=None, description="the compiled file; none: it runs on the CPU only")
    compiled_sha256: _Digest | None = None
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


class Bundle(_Record):
    """The content of ``bundle.json``."""

    format: Literal["segsolve-bundle"] = "segsolve-bundle"
    version: Literal[1] = 1
    model: str
    model_sha256: _Digest
    device: str = Field(description="the description whose costs are corrected")
    runs: int = Field(ge=1, le=100_000)
    warm_up: int = Field(ge=0, le=100_000)
    seed: _Count
    segments: list[BundledSegment]


class SegmentTimes(_Record):
    """What inferences of a segment took, in ns of wall time: quartiles, the first one, and to open the device."""

    sha256: _Digest = Field(description="of the segment before it was compiled")
    device: str
    runs: int = Field(ge=1)
    lower_ns: _Count
    median_ns: _Count
    upper_ns: _Count
    first_ns: _Count
    open_ns: _Count


class Times(_Record):
    """The content of ``times.json``."""

    format: Literal["segsolve-times"] = "segsolve-times"
    version: Literal[1] = 1
    model_sha256: _Digest
    backend: str
    machine: str
    system: str
    date: str
    library: str = Field(description="version of libedgetpu, empty on the CPU")
    times: list[SegmentTimes]


T = TypeVar("T", Bundle, Times)


def load_bundle(root: Path) -> Bundle:
    """Read a bundle and check its files.

    Raises:
        PlanError: it is missing, damaged or altered.
    """
    try:
        settle(root)
    except OSError as error:
        raise PlanError(f"{root} cannot be brought in order: {error.strerror or error}") from None
    bundle = _load(root / BUNDLE_FILE, Bundle, "write it again: segsolve profile MODEL --export BUNDLE/")
    for segment in bundle.segments:
        for name, digest in ((segment.file, segment.sha256), (segment.compiled, segment.compiled_sha256)):
            if name is None:
                continue
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise PlanError(f"{root / BUNDLE_FILE} names a file outside of the bundle: {name}")
            if not is_file(root / name):
                raise PlanError(f"the bundle's segment {root / name} is missing")
            if file_sha256(root / name) != digest:
                raise PlanError(f"the bundle's segment {root / name} was altered")
    return bundle


def load_times(root: Path) -> Times:
    """Read what was measured of a bundle (PlanError if it is missing or damaged)."""
    return _load(root / TIMES_FILE, Times, "measure it first: segsolve-run measure BUNDLE/")


def record_text(record: Bundle | Times) -> str:
    """Return a record as the text of its file."""
    return json.dumps(record.model_dump(mode="json"), indent=1) + "\n"


def _load(path: Path, kind: type[T], advice: str) -> T:
    try:
        document: Any = json.loads(read_bounded_text(path, DOCUMENT))
        return kind.model_validate(document)
    except FileNotFoundError:
        raise PlanError(f"there is no {path}; {advice}") from None
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise PlanError(f"{path} is not valid: {first_fault(error, 'the document')}; {advice}") from None
    except (ValueError, RecursionError):
        raise PlanError(f"{path} is not valid: it is not JSON; {advice}") from None
