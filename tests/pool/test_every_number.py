"""Every number of a pool's files, altered by one with all hashes made anew: another verdict, a refusal, or listed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from generators.documents import device_toml
from generators.pool_files import PoolDocuments
from segsolve.checker.pool.check import check_pool
from segsolve.errors import ExitCode
from segsolve_runtime.contract.pool import load_pool
from segsolve_runtime.errors import PlanError

from ..checker.test_every_number import Path_, altered, name_of, numbers
from ..cli.tool import inside
from ..models import Net, residual_net

QUESTIONS = {
    "copies": ("edgetpu-m2:2",),
    "shared": ("roomy.toml:2", "--sharing", "co-compiled"),
    "several kinds": ("edgetpu-m2:1,edgetpu-usb:1", "--weights", "net=3,one=2"),
    "alone, on a link": ("edgetpu-usb-hub:3", "--sharing", "never"),
    "latency": ("edgetpu-m2:2", "--objective", "latency", "--rate", "net=300", "--rate", "one=300"),
}
UNSPOKEN = {
    "pool.json": {
        "solution.wall_s",  # how it was found
        "solution.seed",
        "solution.confirmed_by.*.seconds",
        "kinds.*.memory_bytes",  # the verdict is under the certificate's memory
        "kinds.*.optimistic",
    },
    "models/*/plan.json": {
        "solution.wall_s",
        "solution.seed",
        "solution.confirmed_by.*.seconds",
        "model.bytes",  # the model itself, which the check does not see; `verify` does
        "tensors.*.shape.*",
        "tensors.*.scale",
        "tensors.*.zero_point",
        "device.memory_bytes",
        "device.start.*",
    },
    "certificate.json": {
        "prices.*",  # what proves: any numbers that leave the bound where it is prove the same
        "shared.period_ns",
        "shared.nodes.*.potentials.*.*",
        "shared.nodes.*.worths.*",
        "bound.*",  # less than is proven may be claimed; the gap in words is the same
        "without_copies.*",  # said where the plan is not optimal over all
    },
}
"""What the verdict does not speak of; solver/README.md has the same list."""
_EACH = 4  # numbers of a name that are altered


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("pools")
    residual_net().write(root)
    one = Net()
    one.write(root, one.conv(one.input()), name="one")
    (root / "roomy.toml").write_text(
        device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8"
    )
    for number, asked in enumerate(QUESTIONS.values()):
        models = ("net.tflite", "one.tflite")
        done = inside(
            "solve", *models, "--pool", *asked, "--time-limit", "60", "--no-verify", "-o", str(number), cwd=root
        )
        assert done.code == ExitCode.OK, done.stderr
    return {kind: root / str(number) for number, kind in enumerate(QUESTIONS)}


def verdict(documents: PoolDocuments, folder: Path) -> tuple[str, bool] | None:
    """Return what is said of documents that are signed anew; None if they are refused or not certified."""
    try:
        documents.write(folder)
        report = check_pool(load_pool(folder))
    except (PlanError, KeyError):
        return None
    return None if report.claim is None else (report.claim, report.is_optimal)


def some(document: Any) -> Iterator[Path_]:
    """Yield the places of numbers, the first few of each name."""
    seen: Counter[str] = Counter()
    for path in numbers(document):
        seen[name_of(path)] += 1
        if seen[name_of(path)] <= _EACH:
            yield path


def alterations(held: PoolDocuments, by: int) -> Iterator[tuple[str, str, PoolDocuments]]:
    """Yield file and name of each number, and the documents with that one altered."""
    for path in some(held.pool):
        yield "pool.json", name_of(path), replace(held, pool=altered(held.pool, path, by))
    for number, plan in enumerate(held.plans):
        for path in some(plan):
            plans = [*held.plans[:number], altered(plan, path, by), *held.plans[number + 1 :]]
            yield "models/*/plan.json", name_of(path), replace(held, plans=plans)
    for path in some(held.certificate):
        yield "certificate.json", name_of(path), replace(held, certificate=altered(held.certificate, path, by))


def is_listed(file: str, name: str) -> bool:
    return any(name == one or (one == "device.start.*" and name.startswith("device.start.")) for one in UNSPOKEN[file])


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_number_altered_with_all_hashes_made_anew(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / "plan"))
    held = PoolDocuments.of(folder)
    before = verdict(held, folder)
    assert before is not None
    unnoticed = {
        (file, name)
        for by in (-1, 1)
        for file, name, documents in alterations(held, by)
        if verdict(documents, folder) == before
    }
    assert {(file, name) for file, name in unnoticed if not is_listed(file, name)} == set()
    assert ("pool.json", "solution.seed") in unnoticed  # the list is not longer than need be


def test_swapped_certificates(folders: dict[str, Path], tmp_path: Path) -> None:
    """Of pools of the same models: as they lie there, and with all hashes made anew."""
    held = {kind: PoolDocuments.of(folder) for kind, folder in folders.items()}
    for kind, own in held.items():
        for other in set(held) - {kind}:
            folder = Path(shutil.copytree(folders[kind], tmp_path / f"{kind}, {other}"))
            shutil.copy(folders[other] / "certificate.json", folder)
            assert not check_pool(load_pool(folder)).is_certified
            assert verdict(replace(own, certificate=held[other].certificate), folder) is None, (kind, other)


def test_what_proves_periods_is_no_proof_of_latencies(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["latency"], tmp_path / "plan"))
    held, other = PoolDocuments.of(folder), PoolDocuments.of(folders["copies"])
    assert other.certificate["shared"] is not None
    forged = held.certificate | {"shared": other.certificate["shared"]}
    assert verdict(held, folder) is not None
    assert verdict(replace(held, certificate=forged), folder) is None


def test_the_verdict_names_the_costs(folders: dict[str, Path], tmp_path: Path) -> None:
    for kind, path in folders.items():
        folder = Path(shutil.copytree(path, tmp_path / kind))
        held = PoolDocuments.of(folder)
        said = verdict(held, folder)
        costlier = altered(held.certificate, ("problems", 0, 0, "ops", 0, "parameter_bytes"), 1)
        assert said is not None and "the costs that the certificate states (" in said[0]
        assert verdict(replace(held, certificate=costlier), folder) not in (None, said)


@pytest.mark.parametrize(
    ("document", "path", "value"),
    [
        ("pool", ("solution", "status"), "optimal"),
        ("pool", ("kinds", 0, "link"), "none"),
        ("pool", ("solution", "gap"), 0.0),
        ("pool", ("solution", "scale_fps"), "7"),
        ("certificate", ("pipelines", 0, "model"), 2),
        ("certificate", ("pipelines", 0, "stages", 0, "devices"), [7]),
        ("certificate", ("residents",), []),
        ("certificate", ("residents", 0), [[0, 99]]),
        ("certificate", ("problems", 0, 0, "capacity_bytes"), 1),
    ],
)
def test_what_is_more_than_a_number(
    document: str, path: Path_, value: object, folders: dict[str, Path], tmp_path: Path
) -> None:
    """What is claimed beyond the proof, and places that do not exist, are refused, and nothing is raised."""
    folder = Path(shutil.copytree(folders["copies"], tmp_path / "plan"))
    held = PoolDocuments.of(folder)
    made = _with(getattr(held, document), path, value)
    assert verdict(replace(held, **{document: made}), folder) is None


@pytest.mark.parametrize("kind", ["copies", "shared"])
def test_what_is_said_of_plans_without_copies_is_held_to_the_proof(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / "plan"))
    held = PoolDocuments.of(folder)
    before, path = verdict(held, folder), ("solution", "best_without_copies")
    assert before is not None
    made = _with(held.pool, path, not held.pool["solution"]["best_without_copies"])
    assert verdict(replace(held, pool=made), folder) != before


def _with(document: Any, path: Path_, value: object) -> Any:
    if not path:
        return value
    made = document.copy()
    made[path[0]] = _with(document[path[0]], path[1:], value)
    return made


def test_the_list_is_documented() -> None:
    readme = (Path(__file__).parents[2] / "solver" / "README.md").read_text(encoding="utf-8")
    chapter = readme[readme.index("## The certificate") :]
    for names in UNSPOKEN.values():
        for name in names:
            assert f"`{name}`" in chapter, name
