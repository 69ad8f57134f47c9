"""What all tests share."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from .standins.edgetpu import StandIn, build

# A run of the suite tries the same examples each time, so that it fails for a change and not by chance; `make explore`
# tries others.
settings.register_profile("same", derandomize=True)
settings.register_profile("others")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A shell lets programs in the background ignore Ctrl-C, and children inherit that: tests of it would wait forever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = ("test_readme.py", "test_kills.py", "test_mixed_devices.py", "test_first_day.py", "test_recipes.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --order."""
    parser.addoption("--order", type=int, metavar="SEED", help="run files, and the tests of each, in a random order")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; other workers take the rest over (`--dist worksteal`), and all end together.

    With ``--order SEED``, files come in a random order, and so do the tests of each: no test may need another one.
    """
    if (seed := config.getoption("--order")) is None:
        items.sort(key=lambda item: item.path.name not in LONGEST)
        return
    items.sort(key=lambda item: [random.Random(f"{seed} {name}").random() for name in _names(item)])


def _names(item: pytest.Item) -> tuple[str, str]:
    """Return the file of a test, below the root, and the test."""
    return item.nodeid.partition("::")[0], item.nodeid


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for libedgetpu as a file."""
    return build(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def standin(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in in this process, with usb:0, pci:0 and usb:1."""
    standin = StandIn(library, tmp_path / "standin", monkeypatch)
    yield standin
    standin.close()
