"""The files of a pool's plan as whoever knows how hashes are made would write them: altered, and signed anew."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from segsolve.plan.folder import CERTIFICATE_FILE
from segsolve_runtime.contract.digest import digest
from segsolve_runtime.contract.plan import PLAN_FILE, POOL_FILE

Document = dict[str, Any]


@dataclass(frozen=True)
class PoolDocuments:
    """pool.json, the plan.json of each model, and certificate.json."""

    pool: Document
    plans: list[Document]
    certificate: Document

    @classmethod
    def of(cls, folder: Path) -> PoolDocuments:
        """Return what a folder holds."""
        pool = _read(folder / POOL_FILE)
        plans = [_read(folder / model["folder"] / PLAN_FILE) for model in pool["models"]]
        return cls(pool, plans, _read(folder / CERTIFICATE_FILE))

    def write(self, folder: Path) -> None:
        """Write all, each intact and bound to the others (an exception where what binds them is gone)."""
        pool, certificate = copy.deepcopy(self.pool), copy.deepcopy(self.certificate)
        for name in ("digest", "certificate_sha256"):
            pool.pop(name, None)
        for model, plan in zip(pool["models"], self.plans, strict=True):
            bare = {name: value for name, value in plan.items() if name != "digest"}
            _write(folder / model["folder"] / PLAN_FILE, {**bare, "digest": digest(bare)})
            bare.pop("certificate_sha256", None)
            model["plan_sha256"] = digest(bare)
        models = [plan["model"]["sha256"] for plan in self.plans]
        certificate["binding"] = {"pool_sha256": digest({**pool, "certificate_sha256": None}), "models": models}
        _write(folder / CERTIFICATE_FILE, certificate)
        pool["certificate_sha256"] = sha256((folder / CERTIFICATE_FILE).read_bytes()).hexdigest()
        _write(folder / POOL_FILE, {**pool, "digest": digest(pool)})


def _read(path: Path) -> Document:
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def _write(path: Path, document: Document) -> None:
    path.write_text(json.dumps(document), encoding="utf-8")
