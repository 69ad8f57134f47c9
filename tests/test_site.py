"""The documentation site builds without a warning, has every command and file, and loads nothing from the network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from segsolve.cli.commands import COMMANDS
from segsolve.cli.schema import FILES

pytest.importorskip("mkdocs", reason="needs pip install '.[docs]'")
ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
_LOADED = re.compile(
    r"<(?:script|img|source|iframe)[^>]*\ssrc=[\"']?(https?:|//)|<link[^>]*rel=[\"']?stylesheet[^>]*(https?:)//"
)


@pytest.fixture(scope="module")
def site() -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "docs.build"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return SITE


def test_nothing_comes_from_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 8
    assert not [page.name for page in pages if _LOADED.search(page.read_text())]


def test_the_reference_is_whole(site: Path) -> None:
    commands, files = (site / "commands.html").read_text(), (site / "files.html").read_text()
    assert all(f'id="{name}"' in commands for name in COMMANDS if name != "zoo")
    assert all(f'id="{name}"' in files for name in FILES)
    assert "--max-latency" in commands


def test_commands_on_the_pages_exist_with_their_options() -> None:
    known = set(COMMANDS)
    helped: dict[str, str] = {}
    for page in (ROOT / "docs").glob("*.md"):
        for words in (
            line.split("#")[0].split() for line in re.findall(r"^    segsolve (.*)$", page.read_text(), re.MULTILINE)
        ):
            assert words[0] in known, (page.name, words)
            group = words[:2] if words[0] == "zoo" else words[:1]
            key = " ".join(group)
            if key not in helped:
                command = [sys.executable, "-m", "segsolve", *group, "--help"]
                helped[key] = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
            assert all(word in helped[key] for word in words if word.startswith("--")), (page.name, words)
