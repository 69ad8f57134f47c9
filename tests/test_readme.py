"""README's blocks are run as they stand there, in its order, on the models that `make demo` makes."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import av
import numpy as np
import pytest
from PIL import Image

import segsolve
from generators.graphs import graph
from segsolve.cli.commands import COMMANDS
from segsolve.errors import ExitCode
from segsolve.library.solving import solve
from segsolve.zoo.files import write_network
from tests.cli.tool import limited
from tests.models import Net

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(
    r"^```(?P<kind>\w+)\n(?P<code>(?:(?!```).*\n)*)```$|^    (?P<line>\S.*)$|^\|[^`\n]*\| (?P<cells>`segsolve .*`) \|$",
    re.MULTILINE,
)
_NEEDS_EDGE_TPUS = re.compile(r"segsolve doctor|--(co-)?compile|--attached|--guess|--backend edgetpu")
_LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class Step:
    """What README shows: a line for a shell, or a block of another kind."""

    kind: str
    text: str


def steps() -> Iterator[Step]:
    for found in _BLOCK.finditer(README):
        if found["kind"]:
            yield Step(found["kind"], found["code"])
        elif found["line"]:
            yield Step("shell", re.split(r"\s+# ", found["line"])[0])
        else:
            yield from (Step("shell", text) for text in re.findall(r"`(segsolve [^`]+)`", found["cells"]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what README's commands take: models, pictures, labels, arrays, a film, a graph, a token."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(write_network("resnet101", folder / "made"), folder / "MODEL.tflite")
    shutil.copy(write_network("ssd-mobilenetv1", folder / "made"), folder / "DETECTOR.tflite")
    rng = np.random.default_rng(0)
    for images in (folder / "images", folder / "a"):
        images.mkdir()
        for k in range(2):
            Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(images / f"{k}.jpg")
    np.save(folder / "frames.npy", rng.integers(-128, 128, (2, 224, 224, 3), dtype=np.int8))
    np.save(folder / "b.npy", rng.integers(-128, 128, (2, 32, 32, 3), dtype=np.int8))
    (folder / "labels.txt").write_text("".join(f"kind {k}\n" for k in range(1000)))
    (folder / "coco.txt").write_text("".join(f"thing {k}\n" for k in range(91)))
    (folder / "token").write_text("secret\n")
    (folder / "graph.json").write_text(json.dumps(graph("resnet50-like")))
    segsolve.build(segsolve.solve(folder / "MODEL.tflite", tpus=2), folder / "measured", verify=False)
    _film(folder / "clip.mp4", rng)
    _two_images(folder)
    return folder


def _film(path: Path, rng: np.random.Generator) -> None:
    with av.open(path, "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())


def _two_images(folder: Path) -> None:
    """Write a plan of a model with the inputs left and right."""
    net = Net()
    left, right = net.input((1, 32, 32, 3)), net.input((1, 32, 32, 3))
    for tensor, name in ((left, b"left"), (right, b"right")):
        net.graph.tensors[tensor].name = name
    model = net.write(folder, net.add(net.conv(left), net.conv(right)), name="stereo")
    segsolve.build(solve(model, tpus=1), folder / "stereo")


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": "100"}


def test_blocks_run_as_they_are_written(
    place: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    tried, failed = 0, []
    for step in steps():
        if step.kind == "shell" and "segsolve " not in step.text:
            continue
        tried += 1
        try:
            _run(step, place, environment)
        except Exception as error:
            failed.append(f"{step.text}\n{error}")
    assert tried > 40
    assert not failed, "\n\n".join(failed)


def _run(step: Step, place: Path, environment: dict[str, str]) -> None:
    match step.kind:
        case "pycon":
            _doctest(step.text)
        case "toml":
            tomllib.loads(step.text)
        case "python":
            exec(compile(step.text, "README.md", "exec"), {})
        case "shell" if step.text.startswith("segsolve serve"):
            _serve(step.text, place, environment)
        case _:
            _shell(step.text, place, environment)


def _shell(line: str, place: Path, environment: dict[str, str]) -> None:
    if line.startswith("ffmpeg") and shutil.which("ffmpeg") is None:
        return
    if "--metrics-port" in line:
        line += f" --metrics-port {_free_port()}"  # the one in README may be another's here
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
        check=False,
    )
    expected = {ExitCode.OK}
    if _NEEDS_EDGE_TPUS.search(line):
        expected = {ExitCode.HARDWARE, ExitCode.BAD_PLAN}  # nothing is attached, nothing is compiled
    elif "--check-coral" in line:
        expected |= {ExitCode.BAD_PLAN}
    assert done.returncode in expected, f"exit code {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-1500:]}"
    assert "Traceback" not in done.stderr


def _serve(line: str, place: Path, environment: dict[str, str]) -> None:
    port, rpc_port = _free_port(), _free_port()
    words = [*line.split(), "--port", str(port), *(["--grpc-port", str(rpc_port)] if "--grpc" in line else [])]
    log = place / "serve.log"
    with log.open("w") as said, subprocess.Popen(words, cwd=place, env=environment, stderr=said) as server:
        try:
            assert _answers(f"http://127.0.0.1:{port}/v2/health/ready", server), log.read_text()
        finally:
            server.send_signal(signal.SIGTERM)
        with limited(server):
            assert server.wait(_LONGEST_S) == ExitCode.OK, log.read_text()


def _answers(url: str, server: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until and server.poll() is None:
        try:
            with urlopen(url, timeout=60):
                return True
        except HTTPError:  # it wants a token
            return True
        except OSError:
            time.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def _doctest(text: str) -> None:
    known: dict[str, object] = {}
    for example in doctest.DocTestParser().get_examples(text):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            exec(compile(example.source, "README.md", "single"), known)
        if example.want:
            assert doctest.OutputChecker().check_output(example.want, said.getvalue(), doctest.ELLIPSIS), (
                said.getvalue()
            )


def test_extras_and_targets_in_readme_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = set(re.findall(r"pip install '\.\[(\w+)\]'", README))
    assert extras and extras <= set(project["optional-dependencies"])
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^    make (\w+)", README, re.MULTILINE)
    assert targets and all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_command_is_in_readme() -> None:
    for name in COMMANDS:
        assert f"segsolve {name}" in README, name
