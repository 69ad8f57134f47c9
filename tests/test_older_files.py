"""Files that versions of 2026-11-25 (before the host was counted) and 2026-11-29 (pools) wrote: read as ever."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generators.command import inside

OLDER = Path(__file__).parent / "samples" / "older"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(OLDER, tmp_path / "older")
    monkeypatch.chdir(tmp_path / "older")
    return tmp_path / "older"


@pytest.mark.parametrize(
    "command",
    [
        "check plan",
        "verify plan net.tflite --inputs 1",
        "check pool",
        "run pool --count 2",
        "report pool -o page.html",
        "run plan --count 2",
        "run plan --count 2 --backend simulated",
        "report plan --model net.tflite --measured measured.json -o page.html",
        "solve profile.json --tpus 2",
        "solve net.tflite --device profile.json --tpus 2 -o again",
        "report batch -o page.html",
        "export batch table.csv",
        "solve net.tflite --tpus 2 --no-verify -o plan",
        "batch net.tflite --tpus 1..2 --planners uniform,dp --processes 1 -o batch",
    ],
)
def test_what_an_older_version_wrote_is_read(command: str, here: Path) -> None:
    done = inside(*command.split())
    assert done.code in ((0, 14) if command.startswith("check") else (0,)), done.stderr
    assert "Traceback" not in done.stderr
