"""A pool's models served side by side, by a real server to real clients."""

from __future__ import annotations

from pathlib import Path
from urllib.request import urlopen

import numpy as np
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from segsolve.errors import ExitCode
from segsolve_runtime import Pipeline, random_frames
from segsolve_runtime.contract.pool import load_pool

from ..cli.test_serve import serving
from ..cli.tool import error, inside
from .conftest import MODELS


def test_every_model_answers_under_its_name(shared: Path) -> None:
    folder = load_pool(shared)
    with serving(shared, "--grpc") as (_, up):
        assert up["models"] == list(MODELS)
        for name in MODELS:
            with Pipeline.load(shared / folder.pool.model(name).folder) as alone:
                (frame,) = random_frames(alone.plan, 1, seed=5)
                (expected,) = alone.map([frame])
            for module, port in ((http_client, up["http"]), (grpc_client, up["grpc"])):
                with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
                    given = []
                    for tensor, array in frame.items():
                        given.append(module.InferInput(tensor, list(array.shape), "INT8"))
                        given[-1].set_data_from_numpy(array)
                    result = client.infer(name, given)
                    for output, array in expected.items():
                        np.testing.assert_array_equal(result.as_numpy(output), array, strict=True)
        with urlopen(f"http://127.0.0.1:{up['http']}/metrics", timeout=60) as answer:
            metrics = answer.read().decode()
    busy = dict.fromkeys(MODELS, 0.0)
    for device in folder.pool.devices:
        for resident in device.residents:
            line = f'segsolve_device_busy_seconds_total{{device="{device.name}",model="{resident.model}"}}'
            (value,) = [float(text.split()[-1]) for text in metrics.splitlines() if text.startswith(line)]
            busy[resident.model] += value
    assert all(busy.values()), busy  # of copies, some may have had no request


def test_a_name_goes_before_those_of_the_models(shared: Path) -> None:
    model = shared / load_pool(shared).pool.models[0].folder
    with serving(f"here={shared}", model) as (_, up):
        assert up["models"] == [f"here.{name}" for name in MODELS] + [MODELS[0]]


def test_what_makes_no_sense_is_said(shared: Path) -> None:
    model = shared / load_pool(shared).pool.models[0].folder
    error(inside("serve", shared, model), ExitCode.USAGE, f"two models are called '{MODELS[0]}'")
    error(inside("serve", shared, shared), ExitCode.USAGE, "two pools have no name")
    error(inside("serve", shared, "--backend", "simulated"), ExitCode.USAGE, "no results to give")
