"""`segsolve schema` prints what real files keep to."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from .tool import inside


@pytest.mark.parametrize("name", ["plan", "certificate"])
def test_real_files_keep_to_their_schema(name: str, dense: Path, tmp_path: Path) -> None:
    assert inside("solve", dense, "--tpus", "2", "--no-verify", "-o", tmp_path / "plan").code == 0
    schema = json.loads(inside("schema", name).stdout)
    jsonschema.validate(json.loads((tmp_path / "plan" / f"{name}.json").read_text()), schema)


@pytest.mark.parametrize("name", ["plan", "certificate", "compile", "profile"])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(inside("schema", name).stdout))
