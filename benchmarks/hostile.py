"""Altered files of every kind that commands read: each is used, or refused in one sentence with a documented code.

A file of a kind is drawn up, one to three of its parts are changed (numbers, types, names, members, bytes; digests are
made anew, so that what lies behind them is reached), and a command reads it in a fork of this process. An exception
that reaches the command line, a code that is not documented, a signal, and an error without its sentence are faults.

    python -m benchmarks.hostile [--record] [FILES [KIND...]]
"""

from __future__ import annotations

import faulthandler
import io
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import standins
from benchmarks.command_lines import command_line, drawn_options
from benchmarks.memory import resident_mib
from benchmarks.slices import Slice, search, show
from generators.command import Done, inside
from generators.documents import by_hand, device_toml, random_placement, random_profile
from generators.pool_files import PoolDocuments
from segsolve.errors import ExitCode

FILES = 10_000
SEED = 14
_SLICE, _GROUP = 1000, 100  # files between records, and those that one fork reads
_NETWORK, _PHOTOS = "synthetic-dense-50", "squeezenet1.1"
_NASTY: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), 10**400),
    *(
        0.0,
        -0.0,
        0.5,
        1e-308,
        1e308,
        -1e308,
        float("nan"),
        float("inf"),
        "",
        "a",
        "\ud800",
        "\0",
        "../x",
        "/",
        "x" * 5000,
    ),
    *([], {}, [[]], [None], {"": None}, "segments", "int8", "1" * 400),
)
_VALUES = ("0", "-1", "1e308", "1e-308", "9223372036854775807", "inf", "nan", '""', "[]", "true", "1e15", "0.5")
_POOL = """[[kind]]
device = "edgetpu-m2"
count = 2
devices = ["pci:0", "pci:1"]
[[kind]]
name = "sticks"
device = "edgetpu-usb-hub"
count = 2
link = "hub"
"""
_TOLD_OTHERWISE = (ExitCode.BAD_PLAN, ExitCode.HARDWARE)  # by --check-coral and doctor, as a table
_LONGEST_S = 100  # of a command; the seconds are real ones, and the machine may be busy
_CHANGING: list[threading.Thread] = []
"""What changes files while the last command reads them."""
Change = Callable[[random.Random, Path], None]
Commands = Sequence[Sequence[str]] | Callable[[random.Random], Sequence[str]]


def main(files: int = FILES, names: Sequence[str] = (), *, record: bool = False) -> bool:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        prepare(root)

        def found() -> Iterator[tuple[str, dict[str, Any]]]:
            for name in names or KINDS:
                attempt = partial(attack, name, root)
                yield name, search(("hostile", "kinds", name), files, attempt, size=_SLICE, record=record)

        return show(found())


def prepare(root: Path) -> None:
    """Write a file of each kind, as the commands write it."""
    os.chdir(root)
    model = f"{_NETWORK}.tflite"
    for command in (
        ("zoo", "build", _NETWORK),
        ("solve", model, "--tpus", "2", "--no-verify", "-o", "plan"),
        ("batch", model, "--tpus", "1..3", "--planners", "uniform,dp", "--processes", "1", "-o", "batch"),
        ("zoo", "build", _PHOTOS),
        ("solve", f"{_PHOTOS}.tflite", "--tpus", "1", "--no-verify", "-o", "photo"),
        ("run", "plan", "--count", "2", "--timeline", "measured.json", "--output", "scores.npz"),
        (
            "solve",
            model,
            f"{_PHOTOS}.tflite",
            "--pool",
            "edgetpu-m2:2",
            "--time-limit",
            "5",
            "--no-verify",
            "-o",
            "pool",
        ),
        ("solve", model, "--tpus", "1", "--no-verify", "-o", "built"),
        ("build", "built", "--compile", "--compiler", str(standins.compiler(root / "compiler"))),
    ):
        done = inside(*command)
        if done.code:
            raise RuntimeError(f"{command}: {done.stderr}")
    shape = json.loads((root / "plan" / "plan.json").read_text(encoding="utf-8"))["tensors"]
    inputs = next(t for t in shape if t["name"] == _plan(root)["inputs"][0])
    np.save(root / "frames.npy", np.zeros(inputs["shape"], inputs["dtype"]))
    with zipfile.ZipFile(root / "frames.npz", "w") as archive:
        archive.write(root / "frames.npy", f"{inputs['name']}.npy")
    from PIL import Image

    Image.new("RGB", (9, 9), (1, 2, 3)).save(root / "frame.png")
    Image.new("RGB", (9, 9), (1, 2, 3)).save(root / "frame.jpg")


def attack(name: str, root: Path, seeds: Sequence[int]) -> Slice:
    """Let commands read altered files of a kind, in forks of a hundred files each."""
    found, left = Slice(), list(seeds)
    while left:
        group, left = left[:_GROUP], left[_GROUP:]
        lines = _group(name, group, root)
        for line in lines:
            found.add(**line)
        if len(lines) < len(group):
            seed = group[len(lines)]
            found.add(seed, "ends the process", "ends the process", 0.0)
            left = group[len(lines) + 1 :] + left
    return found


def _group(name: str, seeds: Sequence[int], root: Path) -> list[dict[str, Any]]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            with os.fdopen(writer, "w", encoding="utf-8") as stream:
                for seed in seeds:
                    stream.write(json.dumps(_try(name, seed, root)) + "\n")
                    stream.flush()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream]
    os.waitpid(child, 0)
    return lines


def _try(name: str, seed: int, root: Path) -> dict[str, Any]:
    rng = random.Random(f"{SEED} {name} {seed}")
    change, commands = KINDS[name]
    work = root / "work"
    while _CHANGING:
        _CHANGING.pop().join()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    change(rng, work)
    command = commands(rng) if callable(commands) else rng.choice(commands)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LONGEST_S)
    faulthandler.dump_traceback_later(2 * _LONGEST_S, exit=True)  # where it does not come back to Python
    try:
        done = inside(*command)
    except Exception as error:
        done = Done(code=-1, stdout="", stderr=f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
    fault = _fault(done)
    said = f"{fault} of {[word[:80] for word in command]}" if fault else ""
    return {"seed": seed, "outcome": f"{command[0]}: {done.code}", "fault": said, "mib": resident_mib()}


def _too_long(*_: object) -> None:
    raise RuntimeError(f"it takes more than {_LONGEST_S} s")


def _fault(done: Done) -> str:
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    if done.code not in (0, *map(int, ExitCode)) or done.code == ExitCode.INTERNAL:
        return f"code {done.code}: {done.stderr[-300:]}"
    if done.code and done.code not in _TOLD_OTHERWISE and len(errors) != 1:
        return f"{len(errors)} sentences for code {done.code}: {done.stderr[-300:]}"
    return ""


def _plan(root: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((root / "plan" / "plan.json").read_text(encoding="utf-8"))
    return document


def altered(rng: random.Random, document: Any) -> Any:
    """Return a document with one to three of its parts changed."""
    made = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 2, 3))):
        places: list[tuple[Any, Any]] = []
        _collect(made, places)
        if not places:
            return made
        holder, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(holder[key])
            case 1:
                holder[rng.choice(("extra", "\ud800", ""))] = holder[key]
            case 2:
                other, there = rng.choice(places)
                if there in other if isinstance(other, dict) else there < len(other):
                    holder[key] = json.loads(json.dumps(other[there]))
            case 3 | 4 if isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = rng.choice((0, 1, 2**20, 2**40, 2**50, 2**59, 2**60, holder[key] + 1, holder[key] - 1))
            case _:
                holder[key] = deepcopy(rng.choice(_NASTY))
    return made


def _collect(document: Any, places: list[tuple[Any, Any]]) -> None:
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        places.append((document, key))
        _collect(document[key], places)


def garbled(rng: random.Random, content: bytes) -> bytes:
    """Return bytes with some changed, cut off, repeated or put in."""
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(made)) if made else 0
        match rng.randrange(5):
            case 0:
                del made[at:]
            case 1:
                made[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
            case 2:
                made[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\0\x80"))
            case _ if made:
                made[at] = rng.randrange(256)
    return bytes(made)


def _text(rng: random.Random, document: Any) -> bytes:
    text = json.dumps(altered(rng, document))
    if rng.random() < 0.1:
        return garbled(rng, text.encode(errors="replace"))
    return text.encode(rng.choice((*["utf-8"] * 20, "utf-16", "utf-8-sig")), errors="replace")


def _with_digest(document: Any) -> Any:
    from segsolve_runtime.contract.digest import digest

    if isinstance(document, dict):
        document.pop("digest", None)
        try:
            return document | {"digest": digest(document)}
        except ValueError:
            return document
    return document


def _change_plan(rng: random.Random, work: Path) -> None:
    shutil.copytree(work.parent / "plan", work / "plan")
    document = altered(rng, _plan(work.parent))
    document = _with_digest(document) if rng.random() < 0.9 else document
    (work / "plan" / "plan.json").write_text(json.dumps(document), encoding="utf-8")


def _change_certificate(rng: random.Random, work: Path) -> None:
    import hashlib

    shutil.copytree(work.parent / "plan", work / "plan")
    path = work / "plan" / "certificate.json"
    path.write_bytes(_text(rng, json.loads(path.read_text(encoding="utf-8"))))
    plan = _plan(work.parent) | {"certificate_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (work / "plan" / "plan.json").write_text(json.dumps(_with_digest(plan)), encoding="utf-8")


def _change_profile(rng: random.Random, work: Path) -> None:
    base = by_hand() if rng.random() < 0.5 else random_profile(rng, rng.randint(2, 7), cpus=1)
    (work / "profile.json").write_bytes(_text(rng, base))


def _change_graph(rng: random.Random, work: Path) -> None:
    (work / "graph.json").write_bytes(_text(rng, random_placement(rng, rng.randint(2, 8))))


def _toml(rng: random.Random, text: str) -> bytes:
    """Return a TOML text with one or two of its lines altered, or some bytes."""
    if rng.random() < 0.2:
        return garbled(rng, text.encode())
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(lines))
        key, sign, _ = lines[at].partition(" = ")
        lines[at] = f"{key}{sign}{rng.choice(_VALUES)}" if sign and rng.random() < 0.8 else rng.choice(lines)
    return "\n".join(lines).encode()


def _change_device(rng: random.Random, work: Path) -> None:
    (work / "device.toml").write_bytes(_toml(rng, device_toml("edgetpu-dev-board", {})))


def _change_settings(rng: random.Random, work: Path) -> None:
    """Settings lie beside a model; values of options stand in them as in command lines."""
    (work / _MODEL).symlink_to(work.parent / _MODEL)
    said = [
        f"{option.lstrip('-')} = {json.dumps(value)}"
        for option, value in drawn_options(rng, "solve", rng.choice((0, 1, 1, 2)))
    ]
    lines = ['device = "edgetpu-usb"', "tpus = 2", "time-limit = 2", "[solve]", 'max-latency = "50ms"', *said]
    (work / "segsolve.toml").write_bytes(_toml(rng, "\n".join(lines)))


def _change_pool_file(rng: random.Random, work: Path) -> None:
    (work / "pool.toml").write_bytes(_toml(rng, _POOL))


def _change_compiled(rng: random.Random, work: Path) -> None:
    """Segments that a compiler made: its stand-in here, or the vendor's of the shared models where these are."""
    shutil.copytree(work.parent / "built", work / "built")
    real = sorted((Path(__file__).parents[2] / "shared" / "models").glob("*_edgetpu.tflite"))
    (own,) = (work / "built").rglob("*_edgetpu.tflite")
    source = rng.choice(real) if real and rng.random() < 0.5 else own
    (work / "one_edgetpu.tflite").write_bytes(garbled(rng, source.read_bytes()[: rng.choice((5000, 10**9))]))
    if rng.random() < 0.5:
        own.write_bytes((work / "one_edgetpu.tflite").read_bytes())
    path = work / "built" / "compile.json"
    path.write_bytes(_text(rng, _with_digest(altered(rng, json.loads(path.read_text(encoding="utf-8"))))))


def _change_measurement(rng: random.Random, work: Path) -> None:
    document = json.loads((work.parent / "measured.json").read_text(encoding="utf-8"))
    (work / "measured.json").write_bytes(_text(rng, document))


def _change_records(rng: random.Random, work: Path) -> None:
    shutil.copytree(work.parent / "batch", work / "batch")
    path = work / "batch" / rng.choice(("results.jsonl", "results.jsonl", "timings.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines()
    at = rng.randrange(len(lines))
    lines[at] = json.dumps(altered(rng, json.loads(lines[at])))
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(errors="replace"))
    if rng.random() < 0.2:
        path.write_bytes(garbled(rng, path.read_bytes()))


def _change_arrays(rng: random.Random, work: Path) -> None:
    (work / "frames.npy").write_bytes(
        garbled(rng, (work.parent / "frames.npy").read_bytes()[: rng.choice((200, 10**9))])
    )
    if rng.random() < 0.5:
        (work / "frames.npz").write_bytes(garbled(rng, (work.parent / "frames.npz").read_bytes()))
        return
    with zipfile.ZipFile(work.parent / "frames.npz") as archive:
        name = archive.namelist()[0]
        content = archive.read(name)
    target = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(target, "w", packing) as archive:
        for member in rng.choice(([name], [name, "note.txt"], ["note.txt"], [f"{name[:-4]}"], [])):
            archive.writestr(member, garbled(rng, content[: rng.choice((128, 10**9))]))
    (work / "frames.npz").write_bytes(target.getvalue())


def _change_pictures(rng: random.Random, work: Path) -> None:
    for name in ("frame.png", "frame.jpg"):
        (work / name).write_bytes(garbled(rng, (work.parent / name).read_bytes()))


def _change_pool(rng: random.Random, work: Path) -> None:
    if rng.random() < 0.5:
        _change_pool_behind_its_hashes(rng, work)
        return
    shutil.copytree(work.parent / "pool", work / "pool")
    path = work / "pool" / rng.choice(("pool.json", "pool.json", "certificate.json"))
    document = altered(rng, json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(_with_digest(document) if path.name == "pool.json" else document), encoding="utf-8")


def _change_pool_behind_its_hashes(rng: random.Random, work: Path) -> None:
    shutil.copytree(work.parent / "pool", work / "pool")
    held = PoolDocuments.of(work / "pool")
    part = rng.choice(("pool", "certificate", "certificate"))
    with suppress(KeyError, TypeError, AttributeError, ValueError, OSError):  # what binds them is gone
        replace(held, **{part: altered(rng, getattr(held, part))}).write(work / "pool")


def _change_while_they_are_read(rng: random.Random, work: Path) -> None:
    """Begin a thread in which files grow, shrink, go and are replaced, in one step or as they are."""
    shutil.copytree(work.parent / "plan", work / "plan")
    for name in (_MODEL, "frames.npy"):
        shutil.copy(work.parent / name, work / name)
    (work / "device.toml").write_text(device_toml("edgetpu-dev-board", {}), encoding="utf-8")
    contents = {path: path.read_bytes() for path in sorted(work.rglob("*")) if path.is_file()}

    def change() -> None:
        for _ in range(rng.randrange(100)):
            path = rng.choice([*contents])
            other = path.with_name("other")
            match rng.randrange(5):
                case 0:
                    os.truncate(path, rng.randrange(len(contents[path])))
                case 1:
                    with path.open("ab") as stream:
                        stream.write(contents[path])
                case 2:
                    path.unlink()
                case 3:
                    other.write_bytes(contents[path][: rng.randrange(len(contents[path]))])
                    other.replace(path)
            time.sleep(rng.uniform(0, 0.01))
            other.write_bytes(contents[path])
            other.replace(path)

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    _CHANGING.append(thread)


def _odd_places(rng: random.Random, work: Path) -> None:
    """Make what `command_lines` names."""
    (work.parent / "profile.json").write_text(json.dumps(by_hand()), encoding="utf-8")
    (work.parent / "device.toml").write_text(device_toml("edgetpu-dev-board", {}), encoding="utf-8")
    (work / "folder").mkdir()
    (work / "loop").symlink_to("loop")
    (work / "dangling").symlink_to("nowhere")
    (work / "empty").touch()
    (work / "a\nb").touch()
    (work / "noise").write_bytes(rng.randbytes(99))
    shutil.copytree(work.parent / "plan", work / "plan")


_MODEL = f"{_NETWORK}.tflite"
KINDS: Mapping[str, tuple[Change, Commands]] = {
    "plan": (
        _change_plan,
        (
            ("check", "work/plan"),
            ("build", "work/plan", "--check-coral"),
            ("run", "work/plan", "--backend", "simulated", "--count", "2"),
            ("run", "work/plan", "--count", "1"),
            ("report", "work/plan", "-o", "page.html"),
            ("verify", "work/plan", _MODEL, "--inputs", "1"),
        ),
    ),
    "certificate": (_change_certificate, (("check", "work/plan"), ("check", "work/plan", "--json"))),
    "profile": (
        _change_profile,
        (
            ("solve", "work/profile.json", "--tpus", "2", "--time-limit", "5", "--json"),
            ("compare", "work/profile.json", "--tpus", "2"),
            ("solve", "work/profile.json", "--tpus", "2", "--cpus", "1", "--time-limit", "5"),
            ("solve", _MODEL, "--tpus", "2", "--device", "work/profile.json"),
        ),
    ),
    "graph": (_change_graph, (("solve", "work/graph.json", "--tpus", "2", "--cpus", "1", "--time-limit", "5"),)),
    "device": (
        _change_device,
        (
            ("devices", "work/device.toml"),
            ("solve", _MODEL, "--tpus", "2", "--device", "work/device.toml", "--planner", "dp", "--time-limit", "5"),
            ("inspect", _MODEL, "--device", "work/device.toml"),
            ("compare", _MODEL, "--tpus", "2", "--device", "work/device.toml", "--json"),
        ),
    ),
    "measurement": (_change_measurement, (("report", "plan", "--measured", "work/measured.json", "-o", "page.html"),)),
    "records": (
        _change_records,
        (("report", "work/batch", "-o", "page.html"), ("export", "work/batch", "work/table.csv")),
    ),
    "arrays": (
        _change_arrays,
        (
            ("run", "plan", "--input", "work/frames.npz", "--output", "work/scores.npz"),
            ("run", "plan", "--input", "work/frames.npy", "--output", "work/scores.jsonl"),
        ),
    ),
    "pictures": (
        _change_pictures,
        (
            ("run", "photo", "--input", "work/frame.png", "--output", "work/scores.jsonl"),
            ("run", "photo", "--input", "work/frame.jpg", "--output", "work/scores.jsonl"),
        ),
    ),
    "pool": (
        _change_pool,
        (
            ("check", "work/pool"),
            ("run", "work/pool", "--backend", "simulated", "--count", "2"),
            ("report", "work/pool", "-o", "page.html"),
            ("diff", "pool", "work/pool"),
        ),
    ),
    "settings": (
        _change_settings,
        (("solve", f"work/{_MODEL}", "--no-verify"), ("inspect", f"work/{_MODEL}"), ("compare", f"work/{_MODEL}")),
    ),
    "pool-file": (
        _change_pool_file,
        (("solve", _MODEL, f"{_PHOTOS}.tflite", "--pool", "work/pool.toml", "--time-limit", "1", "--no-verify"),),
    ),
    "compiled": (
        _change_compiled,
        (
            ("inspect", "work/one_edgetpu.tflite"),
            ("inspect", "work/one_edgetpu.tflite", "--json"),
            ("solve", "work/one_edgetpu.tflite", "--tpus", "2"),
            ("check", "work/built"),
            ("diff", "work/built"),
            ("build", "work/built", "--check-coral"),
            ("report", "work/built", "-o", "page.html"),
        ),
    ),
    "commands": (_odd_places, command_line),
    "changing": (
        _change_while_they_are_read,
        (
            ("run", "work/plan", "--count", "2"),
            ("check", "work/plan"),
            ("report", "work/plan", "-o", "page.html"),
            ("verify", "work/plan", _MODEL, "--inputs", "1"),
            ("build", "work/plan", "--check-coral"),
            ("run", "plan", "--input", "work/frames.npy", "--output", "scores.npz"),
            ("solve", f"work/{_MODEL}", "--tpus", "2", "--planner", "dp", "--no-verify"),
            ("inspect", f"work/{_MODEL}"),
            ("devices", "work/device.toml"),
        ),
    ),
}

if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--record"]
    sys.exit(main(int(words[0]) if words else FILES, words[1:], record="--record" in sys.argv))
