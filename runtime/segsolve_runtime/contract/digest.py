"""Documents that carry a digest of themselves, by which an edit is noticed: what is written, read and said of them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from segsolve_runtime.contract.wording import NO_TEXT, first_fault
from segsolve_runtime.errors import PlanError

_Model = TypeVar("_Model", bound=BaseModel)


def digest(document: dict[str, Any]) -> str:
    """Return the SHA-256 of a document: keys sorted, no white space, UTF-8 (UnicodeEncodeError for lone surrogates).

    It tells of an edit; it is no signature, since whoever edits can write it anew.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digested_json(content: BaseModel) -> str:
    """Return the text of a document with its digest."""
    document = content.model_dump(mode="json")
    return json.dumps({**document, "digest": digest(document)}, indent=2) + "\n"


def digested_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of such documents."""
    schema = kind.model_json_schema()
    schema["properties"]["digest"] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "SHA-256 of the document without this member, keys sorted, no white space, UTF-8",
    }
    schema["required"] = [*schema["required"], "digest"]
    return schema


def read_digested(path: Path, document: Any, kind: type[_Model], what: str) -> tuple[_Model, bool]:
    """Return the content of a document of one format and version, and whether it is as it was written.

    Its digest is taken out of it. `what` names such documents.

    Raises:
        PlanError: it is no such document, or of another version.
    """
    fields = kind.model_fields
    if not isinstance(document, dict) or document.get("format") != fields["format"].default:
        raise PlanError(f"{path} is not {what}")
    if document.get("version") != (known := fields["version"].default):
        said = document.get("version")
        raise PlanError(f"{path} is {what} of version {said!r}; this release reads version {known}")
    written = document.pop("digest", None)
    try:
        return kind.model_validate(document), written == digest(document)
    except ValidationError as error:
        raise PlanError(f"{path} is not valid: {first_fault(error, 'the document')}") from None
    except UnicodeEncodeError:
        raise PlanError(f"{path} is not valid: {NO_TEXT}") from None
