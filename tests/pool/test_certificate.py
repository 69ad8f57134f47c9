"""A pool's certificate is refused when a number is altered in its favour, whoever signs it anew."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from segsolve.checker.pool.check import check_pool
from segsolve.errors import ExitCode
from segsolve.plan.folder import CERTIFICATE_FILE
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.pool import PoolFile, content_sha256, load_pool

from ..cli.tool import inside

Document = dict[str, Any]


def signed(folder: Path, pool: Document, certificate: Document) -> None:
    """Write files whose hashes fit, as someone would who wants to deceive."""
    pool.pop("digest", None)
    plan = PoolFile.model_validate(pool)
    certificate["binding"]["pool_sha256"] = content_sha256(plan.model_dump(mode="json"))
    content = json.dumps(certificate).encode()
    (folder / CERTIFICATE_FILE).write_bytes(content)
    plan = plan.model_copy(update={"certificate_sha256": hashlib.sha256(content).hexdigest()})
    (folder / "pool.json").write_text(digested_json(plan))


def refusal(shared: Path, tmp_path: Path, change: Callable[[Document, Document], object]) -> str:
    """Return why the check fails after a change of pool.json and certificate.json."""
    copy = shutil.copytree(shared, tmp_path / "plan")
    pool = json.loads((copy / "pool.json").read_text())
    certificate = json.loads((copy / CERTIFICATE_FILE).read_text())
    change(pool, certificate)
    signed(copy, pool, certificate)
    report = check_pool(load_pool(copy))
    assert not report.is_certified
    return report.steps[-1].text


def test_unaltered_it_is_certified(shared: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shared, tmp_path / "plan")
    signed(copy, json.loads((copy / "pool.json").read_text()), json.loads((copy / CERTIFICATE_FILE).read_text()))
    assert check_pool(load_pool(copy)).is_certified


def _bound(pool: Document, certificate: Document) -> None:
    certificate["bound"] = [certificate["bound"][0] + certificate["bound"][1], certificate["bound"][1]]
    pool["solution"]["bound_ns"] += 1


def _proof(pool: Document, certificate: Document) -> None:
    proof = certificate["shared"]
    proof["period_ns"] = int(proof["period_ns"] * 1.1)


def _potential(pool: Document, certificate: Document) -> None:
    certificate["shared"]["nodes"][-1]["potentials"][0][-1] *= 3


def _period(pool: Document, certificate: Document) -> None:
    certificate["value"][0] -= certificate["value"][1]


def _claimed_period(pool: Document, certificate: Document) -> None:
    pool["solution"]["period_ns"] -= 1


def _cost(pool: Document, certificate: Document) -> None:
    for problem in certificate["problems"][0]:
        problem["ops"][3]["compute_ns"] -= 1


def _capacity(pool: Document, certificate: Document) -> None:
    for row in certificate["problems"]:
        for problem in row:
            problem["capacity_bytes"] += 2**20


def _rate(pool: Document, certificate: Document) -> None:
    pool["models"][0]["rate_fps"] *= 1.01


def _latency(pool: Document, certificate: Document) -> None:
    pool["models"][1]["latency_ns"] -= 1


def _load(pool: Document, certificate: Document) -> None:
    pool["devices"][0]["load_ns"] -= 1


def _order(pool: Document, certificate: Document) -> None:
    pool["devices"][0]["residents"].reverse()
    certificate["residents"][0].reverse()


def _sharing(pool: Document, certificate: Document) -> None:
    pool["solution"]["sharing"] = certificate["sharing"] = "never"


def _worth(pool: Document, certificate: Document) -> None:
    for leaf in certificate["shared"]["nodes"]:
        leaf["worths"] = [worth * 9 // 10 for worth in leaf["worths"]]


def _host(pool: Document, certificate: Document) -> None:
    pool["host_load_ns"] -= 1


def _prices(pool: Document, certificate: Document) -> None:
    certificate["prices"] = [2 * price for price in certificate["prices"][:2]] + [0] * (len(certificate["prices"]) - 2)
    certificate["bound"] = certificate["value"]


def _without_copies(pool: Document, certificate: Document) -> None:
    certificate["without_copies"][0] += certificate["without_copies"][1]


def _share(pool: Document, certificate: Document) -> None:
    certificate["pipelines"][0]["share"] = [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        _bound,
        _proof,
        _potential,
        _period,
        _claimed_period,
        _cost,
        _capacity,
        _rate,
        _latency,
        _load,
        _order,
        _sharing,
        _host,
        _prices,
        _without_copies,
        _share,
        _worth,
    ],
)
def test_an_alteration_in_its_favour_is_refused(
    shared: Path, tmp_path: Path, change: Callable[[Document, Document], object]
) -> None:
    assert refusal(shared, tmp_path, change)


@pytest.fixture(scope="module")
def soon(networks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models at the least worst latency, one of which must begin a stage somewhere."""
    folder = tmp_path_factory.mktemp("soon") / "plan"
    asked = ("--objective", "latency", "--rate", "mobilenet=30", "--rate", "squeezenet1.0=10")
    kept = ("--cut-before", "mobilenet=10", "--max-latency", "mobilenet=90ms")
    done = inside("solve", networks[0], networks[2], "--pool", "edgetpu-m2:3", *asked, *kept, "-o", folder)
    assert done.code == ExitCode.OK, done.stderr
    return folder


def _wanted(pool: Document, certificate: Document) -> None:
    certificate["wanted"][0] *= 10**6
    pool["solution"]["scale_fps"] = str(Fraction(*certificate["wanted"]))


def _other_wanted(pool: Document, certificate: Document) -> None:
    certificate["wanted"][0] += certificate["wanted"][1]


def _objective(pool: Document, certificate: Document) -> None:
    certificate["objective"] = "throughput"


def _latency_price(pool: Document, certificate: Document) -> None:
    certificate["prices"][-3:] = [0, 0, 0]  # of the latency of both, and of turns


def _loose(pool: Document, certificate: Document) -> None:
    certificate["models"][0]["constraints"] = {}


def _tight(pool: Document, certificate: Document) -> None:
    for model in (pool["models"][0], certificate["models"][0]):
        model["constraints"] = model["constraints"] | {"max_latency_ns": 1}


def _other_cut(pool: Document, certificate: Document) -> None:
    for model in (pool["models"][0], certificate["models"][0]):
        model["constraints"] = model["constraints"] | {"cut_before": [11]}


@pytest.mark.parametrize(
    "change",
    [
        *(_bound, _period, _claimed_period, _cost, _latency, _load),
        *(_wanted, _other_wanted, _objective, _latency_price, _loose, _tight, _other_cut),
    ],
)
def test_an_alteration_of_a_certified_latency_in_its_favour_is_refused(
    soon: Path, tmp_path: Path, change: Callable[[Document, Document], object]
) -> None:
    assert check_pool(load_pool(soon)).is_certified
    assert refusal(soon, tmp_path, change)


def test_the_checkers_dedicated_optimum_is_the_enumerations() -> None:
    from generators.pools import best_exclusive_rate, random_pool
    from segsolve.checker.pool.dedicated import least_period
    from segsolve.checker.pool.document import PoolCertificate
    from segsolve.pool.certificate import certificate
    from segsolve.pool.solve import solve_pool

    seen = 0
    for seed in range(20):
        problem = random_pool(seed, linked=seed % 2 == 1)
        answer = solve_pool(problem)
        assert answer.plan is not None
        document = certificate(answer, answer.plan)
        assert document is not None
        binding = {"pool_sha256": "0" * 64, "models": []}
        found = least_period(PoolCertificate.model_validate(document | {"binding": binding}))
        rate = best_exclusive_rate(problem)
        assert found == (Fraction(1) / rate if rate else None)
        seen += bool(rate)
    assert seen > 8
