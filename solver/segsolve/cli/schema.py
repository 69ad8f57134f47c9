"""``segsolve schema``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from segsolve.cli.console import show_json
from segsolve.cli.guard import guarded


class Contract(StrEnum):
    """A kind of file whose form is a contract."""

    PLAN = "plan"
    CERTIFICATE = "certificate"
    COMPILE = "compile"
    PROFILE = "profile"


@guarded
def command(
    name: Annotated[Contract, typer.Argument(help="Which kind of file: plan.json, certificate.json, ...")],
) -> None:
    """Print the JSON Schema of a kind of file."""
    show_json(_schema(name))


def _schema(name: Contract) -> dict[str, object]:
    match name:
        case Contract.PLAN:
            from segsolve_runtime.contract.plan import plan_schema

            return plan_schema()
        case Contract.CERTIFICATE:
            from segsolve.checker.document import certificate_schema

            return certificate_schema()
        case Contract.COMPILE:
            from segsolve_runtime.contract.compiled import record_schema

            return record_schema()
        case Contract.PROFILE:
            from segsolve.profile.format import profile_schema

            return profile_schema()
