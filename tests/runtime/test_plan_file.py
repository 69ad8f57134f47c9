"""The plan folder: what is written can be read, and nothing else can."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from generators.runtime_plans import Sketch, make_plan, write_folder
from segsolve_runtime.contract.compiled import (
    CompiledSegment,
    CompileRecord,
    MappedOperations,
    check_compiled,
    read_record,
    record_schema,
)
from segsolve_runtime.contract.digest import digest, digested_json
from segsolve_runtime.contract.plan import (
    PLAN_FILE,
    Confirmation,
    Plan,
    PlanPipeline,
    content_sha256,
    file_sha256,
    load_plan,
    plan_schema,
)
from segsolve_runtime.errors import PlanError

SKETCHES = [
    Sketch(takes=["x"], makes=["y"], content=b"first segment"),
    Sketch(takes=["y"], makes=["z"], content=b"second segment"),
]


def small_plan() -> Plan:
    return make_plan(SKETCHES, inputs=["x"], outputs=["z"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "plan", small_plan(), SKETCHES)


def stages(document: dict[str, Any], pipeline: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["pipelines"][pipeline]["stages"]
    return found


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Edit plan.json by hand, as an editor would: the digest stays."""
    path = folder / PLAN_FILE
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def move_first_segment(folder: Path, file: str) -> None:
    """Write a plan, with a correct digest, that names `file` as its first segment."""
    plan = small_plan()
    first, second = plan.all_stages
    stages = [first.model_copy(update={"file": file}), second]
    (folder / PLAN_FILE).write_text(digested_json(plan.model_copy(update={"pipelines": [PlanPipeline(stages=stages)]})))


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(PlanError) as caught:
        load_plan(folder)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_written_plan_is_read_back(folder: Path) -> None:
    for path in (folder, folder / PLAN_FILE):
        loaded = load_plan(path)
        assert loaded.plan == small_plan()
        assert [p.read_bytes() for p in loaded.segment_paths()] == [s.content for s in SKETCHES]


def test_a_folder_without_plan_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), PLAN_FILE)
    refused(tmp_path / "nowhere", "nowhere", PLAN_FILE)


def test_a_folder_of_plans_names_one(tmp_path: Path) -> None:
    for name in ("02", "01"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PlanError, match=f"name one that is in it: {tmp_path / '01'}"):
        load_plan(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"\x00" * 40, b"[" * 100_000])
def test_a_plan_that_is_not_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / PLAN_FILE).write_bytes(content)
    refused(folder, PLAN_FILE, "cannot be read")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"segsolve-plan"', "{}", '{"format": "other"}'])
def test_json_that_is_no_plan_is_refused(folder: Path, content: str) -> None:
    (folder / PLAN_FILE).write_text(content)
    refused(folder, PLAN_FILE, "is not a segsolve plan")


@pytest.mark.parametrize("version", [0, 1, 3, "2", None])
def test_another_version_is_refused(folder: Path, version: object) -> None:
    rewrite(folder, lambda document: document.update(version=version))
    refused(folder, PLAN_FILE, f"version {version}", "reads version 2")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["solution"].update(objective_ns=1),
        lambda d: stages(d)[0].update(bytes=14),
        lambda d: d["tensors"].reverse(),
        lambda d: d.pop("digest"),
        lambda d: d.update(digest="0" * 64),
        lambda d: d.update(digest=None),
    ],
)
def test_an_edited_plan_is_refused(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    rewrite(folder, change)
    refused(folder, PLAN_FILE, "was altered")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("pipelines"), "pipelines"),
        (lambda d: d.update(pipelines=[]), "pipelines"),
        (lambda d: stages(d).clear(), "pipelines.0.stages"),
        (lambda d: d.update(extra=1), "extra"),
        (lambda d: stages(d)[0].update(sha256="x"), "pipelines.0.stages.0.sha256"),
        (lambda d: stages(d)[0].update(replicas=0), "pipelines.0.stages.0.replicas"),
        (lambda d: stages(d)[0].update(processor="gpu"), "pipelines.0.stages.0.processor"),
        (lambda d: stages(d)[0]["prediction"].update(time_ns=-1), "stages.0.prediction.time_ns"),
        (lambda d: stages(d)[0]["prediction"].update(time_ns=1.5), "stages.0.prediction.time_ns"),
        (lambda d: stages(d)[0].update(op_ranges=[]), "pipelines.0.stages.0.op_ranges"),
        (lambda d: stages(d)[0].update(op_ranges=[[0]]), "pipelines.0.stages.0.op_ranges.0"),
        (lambda d: stages(d)[0].update(op_ranges=[[1, 0]]), "a range of operations ends before it begins"),
        (lambda d: stages(d)[0].update(op_ranges=[[0, 0], [1, 1]]), "must ascend, with a gap between them"),
        (lambda d: stages(d)[0].update(op_ranges=[[2, 2], [0, 0]]), "must ascend, with a gap between them"),
        (lambda d: stages(d)[0].update(last_op=1), "first_op and last_op must be 0 and 0"),
        (lambda d: stages(d)[0].update(last_op=1, op_ranges=[[0, 1]]), "operation 1 is in stages 0 and 1"),
        (lambda d: stages(d)[1].update(last_op=2, op_ranges=[[1, 2]]), "stage 1 ends at operation 2 of 2"),
        (lambda d: stages(d).pop(), "operation 1 is in no stage"),
        (lambda d: stages(d).pop(0), "operation 0 is in no stage"),
        (lambda d: stages(d).reverse(), "stage 0 takes 'y', which no earlier stage makes"),
        (lambda d: stages(d)[0].update(inputs=["z"]), "stage 0 takes 'z', which no earlier stage makes"),
        (lambda d: stages(d)[1].update(outputs=["y"]), "stage 1 makes 'y', which is already there"),
        (lambda d: stages(d)[1].update(outputs=[]), "no stage makes the output 'z'"),
        (lambda d: d["pipelines"].append({"stages": stages(d)[:1]}), "operation 1 is in no stage of pipeline 1"),
        (
            lambda d: d["pipelines"].append({"stages": [stages(d)[0] | {"bytes": 1}, stages(d)[1]]}),
            "two stages describe the segment 'segments/0.tflite' in different ways",
        ),
        (lambda d: d["tensors"].pop(), "tensor 'y' is used but not described"),
        (lambda d: d["tensors"].append(d["tensors"][0]), "two tensors have the same name"),
    ],
)
def test_a_plan_that_is_not_consistent_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    rewrite(folder, change)
    refused(folder, PLAN_FILE, "is not valid", words)


@pytest.mark.parametrize(
    "file",
    [
        *("../x", "segments/../../x", "..", "/etc/hostname", "..\\x", "C:\\x", "C:/x", "//host/x", "", "."),
        *("./segments/0.tflite", "segments//0.tflite", "segments/./0.tflite"),
    ],
)
def test_a_path_that_leaves_the_folder_or_is_not_plain_is_refused(folder: Path, file: str) -> None:
    (folder.parent / "x").write_bytes(SKETCHES[0].content)
    move_first_segment(folder, file)
    refused(folder, repr(file) if file != "." else str(folder))


def test_an_absolute_path_to_the_segment_itself_is_refused(folder: Path) -> None:
    path = str(folder / "segments" / "0.tflite")
    move_first_segment(folder, path)
    refused(folder, path, "leaves the plan's folder")


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside.tflite"
    outside.write_bytes(SKETCHES[0].content)
    segment = folder / "segments" / "0.tflite"
    segment.unlink()
    segment.symlink_to(outside)
    refused(folder, "0.tflite", "link that leaves the plan's folder")


def test_a_linked_folder_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "segments").rename(folder.parent / "elsewhere")
    (folder / "segments").symlink_to(folder.parent / "elsewhere")
    refused(folder, "0.tflite", "link that leaves the plan's folder")


def test_a_link_within_the_folder_is_fine(folder: Path) -> None:
    segment = folder / "segments" / "0.tflite"
    segment.rename(folder / "kept.tflite")
    segment.symlink_to(folder / "kept.tflite")
    load_plan(folder)


def test_a_plan_folder_can_itself_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert load_plan(link).plan == small_plan()


@pytest.mark.parametrize("content", [b"", b"first segmenT", b"first segment."])
def test_an_altered_segment_is_refused(folder: Path, content: bytes) -> None:
    (folder / "segments" / "0.tflite").write_bytes(content)
    refused(folder, "0.tflite", "was altered")


def test_swapped_segments_are_refused(folder: Path) -> None:
    for k, sketch in enumerate(reversed(SKETCHES)):
        (folder / "segments" / f"{k}.tflite").write_bytes(sketch.content)
    refused(folder, "0.tflite", "was altered")


def test_pipelines_share_files_that_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small_plan()
    twice = plan.model_copy(update={"pipelines": [*plan.pipelines, *plan.pipelines]})
    (folder / PLAN_FILE).write_text(digested_json(twice))
    hashed: list[str] = []

    def digest(path: Path) -> str:
        hashed.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr("segsolve_runtime.contract.plan.file_sha256", digest)
    loaded = load_plan(folder)
    assert hashed == ["0.tflite", "1.tflite"]
    assert [path.name for path in loaded.segment_paths()] == hashed * 2


def test_a_stage_of_several_ranges_beside_another_is_read_back(folder: Path) -> None:
    plan = make_plan(SKETCHES, inputs=["x"], outputs=["z"])
    first, second = plan.all_stages
    stages = [
        first.model_copy(update={"last_op": 2, "op_ranges": [[0, 0], [2, 2]], "replicas": 3}),
        second.model_copy(update={"processor": "cpu"}),
    ]
    model = plan.model.model_copy(update={"operations": 3})
    changed = plan.model_copy(update={"pipelines": [PlanPipeline(stages=stages)], "model": model})
    (folder / PLAN_FILE).write_text(digested_json(changed))
    loaded = load_plan(folder).plan
    assert loaded == changed
    assert [stage.ops for stage in loaded.all_stages] == [(0, 2), (1,)]


def test_a_missing_segment_is_refused(folder: Path) -> None:
    (folder / "segments" / "1.tflite").unlink()
    refused(folder, "1.tflite", "is missing")
    (folder / "segments" / "1.tflite").mkdir()
    refused(folder, "1.tflite", "is missing")


def test_the_published_schema_is_that_of_the_code() -> None:
    published = files("segsolve_runtime.contract").joinpath("plan.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(plan_schema(), indent=2) + "\n"


def test_a_written_plan_fits_the_schema_and_an_edited_one_does_not(folder: Path) -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads((folder / PLAN_FILE).read_text())
    validator.validate(document)
    for member in document:
        if member not in {"format", "version", "certificate_sha256"}:
            lacking = copy.copy(document)
            del lacking[member]
            assert not validator.is_valid(lacking), member
    assert not validator.is_valid({**document, "extra": 1})
    assert not validator.is_valid({**document, "version": 1})


def test_the_confirmations_of_a_plan_are_read_back(folder: Path) -> None:
    confirmed = [Confirmation(by="cp-sat", claim="no bottleneck below 5 ns", strength="exact", seconds=0.25)]
    plan = small_plan()
    told = {"found_by": "dynamic program", "confirmed_by": confirmed, "best_over": "execution order"}
    changed = plan.model_copy(update={"solution": plan.solution.model_copy(update=told)})
    (folder / PLAN_FILE).write_text(digested_json(changed))
    assert load_plan(folder).plan == changed


def test_the_certificate_knows_a_plan_by_all_but_the_certificates_own_digest(folder: Path) -> None:
    plan, content = small_plan(), load_plan(folder).content_sha256
    assert content == content_sha256(plan)
    named = plan.model_copy(update={"certificate_sha256": "f" * 64})
    (folder / PLAN_FILE).write_text(digested_json(named))
    assert load_plan(folder).content_sha256 == content


LONG = "n" * 5000
HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "lone surrogate in a name": (lambda d: d["tensors"][0].update(name="\ud800"), "tensors.0.name"),
    "lone surrogate in a member": (lambda d: d["provenance"].update({"\udfff": "1"}), "surrogate"),
    "lone surrogate as a member": (lambda d: d.update({"\ud800": 1}), "is not valid"),
    "long tensor": (lambda d: stages(d)[1].update(inputs=[LONG]), "is used but not described"),
    "long file": (lambda d: stages(d)[0].update(file=LONG), "cannot be a file's name"),
    "long path": (lambda d: stages(d)[0].update(file="/".join(["n" * 200] * 30)), "cannot be read"),
    "file of two lines": (lambda d: stages(d)[0].update(file="a\nb"), "cannot be a file's name"),
    "file with a zero": (lambda d: stages(d)[0].update(file="a\0b"), "cannot be a file's name"),
    "10^18 operations": (
        lambda d: (
            d["model"].update(operations=10**18),
            stages(d)[1].update(last_op=10**18 - 1, op_ranges=[[1, 10**18 - 1]]),
        ),
        "less than",
    ),
    "2^31 replicas": (lambda d: stages(d)[0].update(replicas=2**31), "replicas"),
    "2^16 replicas twice": (lambda d: [s.update(replicas=2**16) for s in stages(d)], "131072 devices"),
    "2^63 ns": (lambda d: stages(d)[0]["prediction"].update(time_ns=2**63), "time_ns"),
    "10^400 ns": (lambda d: stages(d)[0]["prediction"].update(time_ns=10**400), "time_ns"),
    "1e308 ns": (lambda d: stages(d)[0]["prediction"].update(time_ns=1e308), "time_ns"),
    "no number": (lambda d: d["solution"].update(gap=float("nan")), "gap"),
    "infinite": (lambda d: d["tensors"][0].update(scale=float("inf")), "scale"),
    "2^63 as a seed": (lambda d: d["solution"].update(seed=2**63), "seed"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_values_end_in_a_sentence(folder: Path, kind: str) -> None:
    """Also where the digest was made anew, as far as there is one."""
    change, words = HOSTILE[kind]
    path = folder / PLAN_FILE
    document = json.loads(path.read_text())
    del document["digest"]
    change(document)
    with suppress(UnicodeEncodeError):
        document["digest"] = digest(document)
    path.write_text(json.dumps(document))
    with pytest.raises(PlanError) as caught:
        load_plan(folder)
    said = str(caught.value).replace(str(folder), "")
    assert words in said and "\n" not in said and len(said) < 7000
    assert said.encode().decode() == said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
@pytest.mark.parametrize("name", [PLAN_FILE, "segments/0.tflite", "compile.json"])
def test_a_fifo_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(PlanError, match=r"not a regular file|is missing"):
        check_compiled(load_plan(folder))


@pytest.mark.parametrize("name", [PLAN_FILE, "compile.json"])
def test_a_file_of_gigabytes_is_not_read(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as stream:
        stream.truncate(5 * 2**30)  # a hole, which takes no room
    with pytest.raises(PlanError, match="larger than 64 MiB"):
        check_compiled(load_plan(folder))


COMPILED = CompileRecord(
    compiler="16.0",
    segments=[
        CompiledSegment(
            segment="segments/0.tflite",
            segment_sha256=sha256(SKETCHES[0].content).hexdigest(),
            file="segments/0_edgetpu.tflite",
            sha256=sha256(b"compiled").hexdigest(),
            onchip_bytes=10,
            onchip_free_bytes=None,
            offchip_bytes=0,
            subgraphs=1,
            operations=[MappedOperations(kind="CONV_2D", count=3, status="Mapped to Edge TPU", on_tpu=True)],
        )
    ],
)


def test_a_record_of_compiled_segments(folder: Path) -> None:
    assert check_compiled(load_plan(folder)) is None
    (folder / "segments" / "0_edgetpu.tflite").write_bytes(b"compiled")
    path = folder / "compile.json"
    path.write_text(digested_json(COMPILED))
    jsonschema.validate(json.loads(path.read_text()), record_schema())
    assert (read_record(folder), check_compiled(load_plan(folder))) == (COMPILED, 1)
    older = json.loads(path.read_text()) | {"version": 1}
    del older["digest"]
    path.write_text(json.dumps(older))
    assert check_compiled(load_plan(folder)) == 1
    jsonschema.validate(older, record_schema())
    assert not jsonschema.Draft202012Validator(record_schema()).is_valid(older | {"version": 2})


RECORDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "count": (lambda d: d["segments"][0]["operations"][0].update(count=4), "was altered"),
    "no digest": (lambda d: d.pop("digest"), "was altered"),
    "absurd": (lambda d: d["segments"][0].update(onchip_bytes=2**63), "segments.0.onchip_bytes"),
    "surrogate": (lambda d: d.update(compiler="\ud800"), "surrogate"),
    "extra": (lambda d: d.update({LONG: 1}), "Extra inputs"),
    "version": (lambda d: d.update(version=3), "version"),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_records_that_are_refused(folder: Path, kind: str) -> None:
    change, words = RECORDS[kind]
    document = json.loads(digested_json(COMPILED))
    change(document)
    (folder / "compile.json").write_text(json.dumps(document))
    with pytest.raises(PlanError, match=words) as caught:
        read_record(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_record_of_another_folder_is_refused(folder: Path) -> None:
    """The compiled file is missing, altered, or of another segment."""
    path, compiled = folder / "compile.json", folder / "segments" / "0_edgetpu.tflite"
    path.write_text(digested_json(COMPILED))
    for content in (None, b"other"):
        if content is not None:
            compiled.write_bytes(content)
        with pytest.raises(PlanError, match=r"missing|altered"):
            check_compiled(load_plan(folder))
    compiled.write_bytes(b"compiled")
    for change in ({"segment": "segments/9.tflite"}, {"file": "x.tflite"}, {"segment_sha256": "0" * 64}):
        segments = [COMPILED.segments[0].model_copy(update=change)]
        path.write_text(digested_json(COMPILED.model_copy(update={"segments": segments})))
        with pytest.raises(PlanError, match=r"not the plan's|another segment"):
            check_compiled(load_plan(folder))


def test_the_published_schema_of_the_record_is_that_of_the_code() -> None:
    published = files("segsolve_runtime.contract").joinpath("compile.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(record_schema(), indent=2) + "\n"
