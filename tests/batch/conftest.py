"""Three small networks, one of which has many places to cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.zoo.files import write_network
from tests.models import residual_net


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_network("synthetic-dense-100", folder)
    write_network("synthetic-conv-16", folder)
    residual_net().write(folder, name="residual")
    return folder
