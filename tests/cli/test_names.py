"""Names that files give: what a terminal would obey is shown instead, on a terminal and in what one may be fed with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.streams import visible

from .tool import inside, on_terminal, run

_EVIL = "\x1b[31mred\x1b]0;title\x07\r\x9b2J\u202e[bold]x[/bold]"
_OBEYED = ("\x1b", "\x07", "\x9b", "\u202e", "\x08")


@pytest.fixture
def evil(net: Path, tmp_path: Path) -> Path:
    """A model whose file and tensors have such names."""
    from ai_edge_litert import schema_py_generated as schema

    from segsolve.graph.flatbuffer import normalise, pack

    content = net.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    normalise(model, content)
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"{_EVIL}{number}".encode()
    path = tmp_path / "evil\x1b[32m.tflite"
    path.write_bytes(pack(model))
    return path


@pytest.mark.parametrize("command", [("inspect", "--ops"), ("solve", "--tpus", "2"), ("compare", "--tpus", "2")])
def test_what_is_shown_of_a_name_moves_no_terminal(command: tuple[str, ...], evil: Path) -> None:
    shown = on_terminal(command[0], evil, *command[1:], columns=200)
    done = run(command[0], evil, *command[1:])
    assert done.code == ExitCode.OK, done.stderr
    for text in (shown, done.stdout, done.stderr):
        assert not [code for code in _OBEYED if code in text]
    assert "evil\u241b[32m" in shown and "evil\u241b[32m" in done.stdout


def test_news_and_errors(evil: Path, tmp_path: Path) -> None:
    done = inside("solve", evil, "--tpus", "2", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK
    missing = inside("run", tmp_path / f"no{_EVIL}")
    assert missing.code == ExitCode.BAD_PLAN
    for text in (done.stderr, missing.stderr):
        assert "\u241b" in text and not [code for code in _OBEYED if code in text]


def test_documents_keep_names_as_they_are(evil: Path) -> None:
    document = json.loads(run("inspect", evil, "--json").stdout)
    assert any(_EVIL in str(tensor["name"]) for tensor in document["inputs"])


def test_what_is_no_control_stays() -> None:
    text = "\u2588 3.1 \u00d7 10\u2076 \u4e2d\n\tx"
    assert visible(text) == text
