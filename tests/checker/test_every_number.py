"""Every number of a plan's folder, altered by one: the verdict is another, the folder is refused, or it is listed."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from segsolve.checker.check import check_folder
from segsolve.checker.document import CERTIFICATE_FILE
from segsolve_runtime.contract.compiled import COMPILE_FILE, CompiledSegment, CompileRecord, MappedOperations
from segsolve_runtime.contract.digest import digest, digested_json
from segsolve_runtime.contract.plan import PLAN_FILE, file_sha256, load_plan
from segsolve_runtime.errors import PlanError

from .folders import QUESTIONS, Documents, branching_net, documents, make_folder

UNSPOKEN = {
    PLAN_FILE: {
        "solution.wall_s",  # how it was found
        "solution.seed",
        "solution.confirmed_by.*.seconds",
        "model.bytes",  # the model itself, which the check does not see; `verify` does
        "tensors.*.shape.*",
        "tensors.*.scale",
        "tensors.*.zero_point",
        "device.start.open_ns",  # what comes before the first result
        "device.start.load_ns",
        "device.start.load_ns_per_mib",
        "device.start.at_once",
        "device.memory_bytes",  # the verdict is under the certificate's memory; the device has that much at least
    },
    CERTIFICATE_FILE: {
        "question.batch",  # where the objective is another
        "claims.*",  # what proves: any numbers that keep the inequalities and leave no room prove the same
    },
    COMPILE_FILE: {
        "segments.*.onchip_bytes",  # the compiler's word, which is kept intact and not judged
        "segments.*.onchip_free_bytes",
        "segments.*.offchip_bytes",
        "segments.*.subgraphs",
        "segments.*.operations.*.count",
    },
}
"""What the verdict does not speak of; solver/README.md has the same list."""

Path_ = tuple[Any, ...]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    loaded = branching_net().load(root)
    for number, kind in enumerate(QUESTIONS):
        make_folder(root / str(number), loaded, kind)
    return {kind: root / str(number) for number, kind in enumerate(QUESTIONS)}


def verdict(folder: Path) -> Any:
    """Return what is said of a folder, without the sentence of a refusal."""
    try:
        report = check_folder(load_plan(folder))
    except PlanError:
        return "refused"
    return asdict(report.verdict) if report.verdict else "not certified"


def numbers(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from numbers(part, (*path, key))
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def some_potentials(certificate: Any, most: int = 60) -> Iterator[Path_]:
    """Yield all numbers but the potentials, which prove and are not spoken of, and some of those."""
    paths = list(numbers(certificate))
    potentials = [path for path in paths if "potentials" in path]
    yield from (path for path in paths if "potentials" not in path)
    yield from potentials[:: 1 + len(potentials) // most]


def altered(document: Any, path: Path_, by: int) -> Any:
    made = copy.deepcopy(document)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] += by
    return made


def name_of(path: Path_) -> str:
    return ".".join("*" if isinstance(part, int) else part for part in path)


def is_listed(name: str, file: str) -> bool:
    return any(name == one or (one == "claims.*" and name.startswith("claims.")) for one in UNSPOKEN[file])


@pytest.mark.parametrize("kind", QUESTIONS)
def test_the_folders_are_certified_and_say_what_for(kind: str, folders: dict[str, Path]) -> None:
    found = verdict(folders[kind])
    assert isinstance(found, dict) and found["is_bound"] and found["claim"]
    assert found["is_optimal"] == (kind != "best of its order")
    assert bool(found["constraints"]) == (QUESTIONS[kind].constraints != QUESTIONS["throughput"].constraints)


def test_the_folders_differ(folders: dict[str, Path]) -> None:
    """Replicas, several pipelines, stages with gaps, a link: what there is to alter."""
    plans = [load_plan(folder).plan for folder in folders.values()]
    stages = [stage for plan in plans for stage in plan.all_stages]
    assert any(stage.replicas > 1 for stage in stages) and any(len(stage.op_ranges) > 1 for stage in stages)
    assert any(len(plan.pipelines) > 1 for plan in plans) and any(plan.device.link_ns_per_mib for plan in plans)
    assert any(stage.prediction.offchip_bytes for stage in stages)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_an_altered_number_breaks_what_binds(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Whoever alters a number and nothing else is found out, whichever it is."""
    folder = tmp_path / "plan"
    shutil.copytree(folders[kind], folder)
    for file in (PLAN_FILE, CERTIFICATE_FILE):
        text = (folder / file).read_text()
        document = json.loads(text)
        paths = list(numbers(document))
        for path in paths[:: 1 + len(paths) // 100]:
            (folder / file).write_text(json.dumps(altered(document, path, 1)))
            assert verdict(folder) in ("refused", "not certified"), (file, path)
        (folder / file).write_text(text)


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_number_altered_with_all_hashes_made_anew(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    shutil.copytree(folders[kind], folder)
    held = documents(folder)
    held.write(folder)
    before = verdict(folder)
    assert isinstance(before, dict)
    unnoticed: set[tuple[str, str]] = set()
    for by in (-1, 1):
        for path in numbers(held.plan):
            Documents(altered(held.plan, path, by), held.certificate).write(folder)
            if verdict(folder) == before:
                unnoticed.add((PLAN_FILE, name_of(path)))
        for path in some_potentials(held.certificate):
            Documents(held.plan, altered(held.certificate, path, by)).write(folder)
            if verdict(folder) == before:
                unnoticed.add((CERTIFICATE_FILE, name_of(path)))
    assert {(file, name) for file, name in unnoticed if not is_listed(name, file)} == set()
    assert (PLAN_FILE, "solution.seed") in unnoticed  # the list is not longer than need be
    claims = [name for file, name in unnoticed if file == CERTIFICATE_FILE]
    assert all(name != "question.batch" for name in claims) == (kind == "batch")


def test_the_compilers_record(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    shutil.copytree(folders["throughput"], folder)
    file = load_plan(folder).plan.all_stages[0].file
    compiled = file.replace(".tflite", "_edgetpu.tflite")
    (folder / compiled).write_bytes(b"compiled")
    operations = [MappedOperations(kind="CONV_2D", count=2, status="Mapped to Edge TPU", on_tpu=True)]
    segment = CompiledSegment(
        segment=file,
        segment_sha256=file_sha256(folder / file),
        file=compiled,
        sha256=file_sha256(folder / compiled),
        onchip_bytes=1,
        onchip_free_bytes=2,
        offchip_bytes=3,
        subgraphs=1,
        operations=operations,
    )
    path = folder / COMPILE_FILE
    path.write_text(digested_json(CompileRecord(compiler="16.0", segments=[segment])))
    before = verdict(folder)
    assert isinstance(before, dict)
    document = json.loads(path.read_text())
    unnoticed = set()
    for place in numbers(document):
        changed = altered(document, place, 1)
        path.write_text(json.dumps(changed))
        assert verdict(folder) == "not certified"
        del changed["digest"]
        path.write_text(json.dumps(changed | {"digest": digest(changed)}))
        if verdict(folder) == before:
            unnoticed.add(name_of(place))
    assert unnoticed == UNSPOKEN[COMPILE_FILE]
    (folder / compiled).write_bytes(b"another")
    path.write_text(json.dumps(document))
    assert verdict(folder) == "not certified"


def test_the_list_is_documented() -> None:
    readme = (Path(__file__).parents[2] / "solver" / "README.md").read_text()
    chapter = readme[readme.index("## The certificate") :]
    for names in UNSPOKEN.values():
        for name in names:
            assert f"`{name}`" in chapter, name


def test_swapped_certificates(folders: dict[str, Path], tmp_path: Path) -> None:
    """Of plans of one model: each as it lies there, and with all hashes made anew."""
    held = {kind: documents(folder) for kind, folder in folders.items()}
    folder = tmp_path / "plan"
    for kind in QUESTIONS:
        for other in set(QUESTIONS) - {kind}:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(folders[kind], folder)
            shutil.copy(folders[other] / CERTIFICATE_FILE, folder)
            assert verdict(folder) == "not certified"
            Documents(held[kind].plan, held[other].certificate).write(folder)
            assert verdict(folder) == "not certified", (kind, other)
