"""`clo export`: a folder to take home, or one sentence."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.architecture import BASELINE, Architecture
from harness.cli import studies as cli_studies
from harness.common.errors import UserError
from harness.detectors import find_detector, load_model, resolve_base
from harness.export import export as export_module
from harness.export.exported import Form
from harness.export.verify import Compared
from harness.training.accuracy import save_checkpoint
from tests.cli.command_line import Clo, read, sentence
from tests.export.exportable import BLOCK, IDENTITY, begun_with, keep_weights


@pytest.fixture(scope="module")
def begun_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with study `x`; to be copied."""
    results = tmp_path_factory.mktemp("export") / "results"
    begun_with(results, seeds={3: (0,), 100: (5,)})
    return results


@pytest.fixture
def study(clo: Clo, begun_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of study `x`; the fresh process, which has tests of its own, is pretended."""
    compared = Compared(engine="torch 9", output_shape=(1, 6, 84), max_difference=0.0)
    monkeypatch.setattr(export_module, "compare_in_fresh_process", lambda *_: compared)
    shutil.copytree(begun_once, "results")
    return Path("results/x")


def test_a_folder_has_the_model_a_card_and_a_script(clo: Clo, study: Path) -> None:
    said = read(clo("export", "x", IDENTITY, "--json"))
    assert said == {
        "study": "x", "architecture": IDENTITY, "to": "yaml", "folder": f"results/x/export/{IDENTITY}",
        "files": [f"{IDENTITY}.yaml", "README.md", "load.py"],
        "verified": {"max_difference": 0.0, "engine": "torch 9"},
    }  # fmt: skip
    folder = study / "export" / IDENTITY
    assert {path.name for path in folder.iterdir()} == set(said["files"])
    assert "CloBlock" in {type(module).__name__ for module in load_model(str(folder / f"{IDENTITY}.yaml")).modules()}
    assert f"# Model card: {IDENTITY}" in (folder / "README.md").read_text()


def test_people_read_where_it_is_and_that_it_was_verified(clo: Clo, study: Path) -> None:
    said = clo("export", "x", BASELINE, "--out", "deep/down")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "deep/down: README.md, baseline.yaml, load.py",
        "verified: loaded in a fresh process (torch 9), outputs identical",
        "Load it: python deep/down/load.py",
    ]


def test_weights_go_along_where_they_are_wanted(clo: Clo, study: Path) -> None:
    keep_weights(Path("results"), 100, 5)
    said = read(clo("export", "x", IDENTITY, "--to", "pt", "--json"))
    assert f"{IDENTITY}.pt" in said["files"]
    card = (study / "export" / IDENTITY / "README.md").read_text()
    assert "mAP50-95 of these weights, seed 5 | 0.5000 (mAP50 0.7000)" in card


def test_without_weights_it_says_how_to_get_them(clo: Clo, study: Path) -> None:
    for form in ("pt", "onnx"):
        said = sentence(clo("export", "x", IDENTITY, "--to", form))
        assert f"study x has no trained weights of {IDENTITY}" in said
        assert f"run `clo train x {IDENTITY}` first" in said
    assert not (study / "export").exists()


def test_without_onnx_it_says_what_to_install(clo: Clo, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = sentence(clo("export", "x", IDENTITY, "--to", "onnx"))
    assert "--to onnx needs the package onnxruntime; pip install 'clo-nas[onnx]'" in said


def test_an_architecture_is_one_file(clo: Clo, study: Path) -> None:
    said = read(clo("export", "x", IDENTITY, "--to", "architecture", "--out", "deep/mine.yaml", "--json"))
    assert said == {"study": "x", "architecture": IDENTITY, "file": "deep/mine.yaml"}
    plain = yaml.safe_load(Path("deep/mine.yaml").read_text())
    assert Architecture.from_dict(plain) == Architecture(base="yolov5n", placements=(BLOCK,))
    there = Path("results/x/export").absolute()
    assert f"clo train {there}" in clo("export", "x", IDENTITY, "--to", "architecture").out


def test_an_architecture_of_a_checkpoint_is_built_from_any_folder(
    clo: Clo, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file said `base: plain16.pt`, and `clo train` of it found no such checkpoint."""
    Path("ck").mkdir()
    save_checkpoint(resolve_base("yolov5n").build(2), Path("ck/plain16.pt"))
    read_it = cli_studies.study_record

    def with_checkpoint(*where: Any) -> Any:
        record, folder = read_it(*where)
        return replace(record, settings=record.settings | {"base": "ck/plain16.pt"}), folder

    monkeypatch.setattr(cli_studies, "study_record", with_checkpoint)
    written = Path(read(clo("export", "x", IDENTITY, "--to", "architecture", "--json"))["file"]).absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    detector = find_detector(str(written))
    assert detector.base.checkpoint == Path("../ck/plain16.pt").resolve()
    assert [row[2] for row in detector.config()["head"]].count("CloBlock") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((BASELINE, "--to", "tflite"), f"--to tflite: choose one of {', '.join(Form)}"),
        (("nobody",), f"study x has no architecture 'nobody'; it has {IDENTITY}, baseline"),
        (("nobody", "--to", "architecture"), "study x has no architecture 'nobody'"),
        ((BASELINE, "--out", "file"), "--out file: is a file; name a folder"),
        ((BASELINE, "--out", "file/below"), "file: cannot be written (File exists); name another folder with --out"),
        ((BASELINE, "--out", "results"), "results: holds x, which is not of an export of baseline"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    clo: Clo, study: Path, arguments: tuple[str, ...], reason: str
) -> None:
    Path("file").touch()
    assert reason in sentence(clo("export", "x", *arguments))


def test_a_study_without_a_model_description_says_so(clo: Clo, begun: Path) -> None:
    assert "what it has of baseline is no model description" in sentence(clo("export", "x", BASELINE))


def test_an_earlier_export_stays_where_a_later_one_fails(
    clo: Clo, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clo("export", "x", IDENTITY)
    folder = study / "export"
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}

    def differs(*_: object) -> Compared:
        raise UserError("it says something else")

    monkeypatch.setattr(export_module, "compare_in_fresh_process", differs)
    assert "it says something else" in sentence(clo("export", "x", IDENTITY))
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before
    assert [path.name for path in folder.iterdir()] == [IDENTITY]


def test_an_earlier_export_is_replaced_whole(clo: Clo, study: Path) -> None:
    keep_weights(Path("results"), 100, 5)
    clo("export", "x", IDENTITY, "--to", "pt")
    clo("export", "x", IDENTITY)
    assert {path.name for path in (study / "export" / IDENTITY).iterdir()} == {
        f"{IDENTITY}.yaml", "README.md", "load.py",
    }  # fmt: skip
