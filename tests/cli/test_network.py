"""No command opens a connection by itself: a guard on sockets ends whatever tries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = """
import socket, sys

def hear(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        is_local = event == "socket.connect" and getattr(args[0], "family", None) == socket.AF_UNIX
        if not is_local and args[0] not in ("127.0.0.1", "::1"):  # numbers that need no one to be asked
            sys.stderr.write(f"NETWORK {event} {args!r}\\n")
            sys.stderr.flush()
            import os
            os._exit(99)
    elif event == "socket.bind" and getattr(args[0], "family", None) != socket.AF_UNIX:
        sys.stderr.write(f"LISTENS {args[1]!r}\\n")

sys.addaudithook(hear)
"""


def guarded(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command whose Python processes, its children's too, end at their first connection."""
    (folder / "guard").mkdir(exist_ok=True)
    (folder / "guard" / "sitecustomize.py").write_text(GUARDED)
    return subprocess.run(
        [sys.executable, "-m", "segsolve", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "guard")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_no_command_uses_the_network(net: Path, tmp_path: Path) -> None:
    for words in (
        ("solve", net, "--tpus", "2", "-o", "plan"),
        ("compare", net, "--tpus", "2"),
        ("check", "plan"),
        ("verify", "plan", net),
        ("run", "plan", "--count", "2"),
        ("report", "plan", "--model", net, "-o", "page.html"),
        ("profile", net, "--runs", "1", "-o", "profile.json"),
        ("batch", net, "--tpus", "1..2", "--planners", "dp", "--processes", "1", "-o", "out"),
        ("zoo", "list"),
        ("devices",),
    ):
        done = guarded(tmp_path, *words)
        assert done.returncode == 0, (words, done.stderr)
        assert "NETWORK" not in done.stderr and "LISTENS" not in done.stderr, words


def test_the_guard_sees_a_connection(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARDED)
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 99 and "NETWORK" in done.stderr


def test_metrics_are_offered_on_loopback_unless_told_otherwise(plan: Path, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    from .test_run_watch import free_port

    done = guarded(tmp_path, "run", plan, "--count", "2", "--metrics-port", str(free_port()))
    assert done.returncode == 0, done.stderr
    listens = [line for line in done.stderr.splitlines() if line.startswith("LISTENS")]
    assert listens and all("'127.0.0.1'" in line for line in listens)
