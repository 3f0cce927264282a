"""What is included in a search, or ablated, is of its base."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from harness.architecture import Architecture, Placement
from harness.common.errors import UserError
from harness.detectors import Base, build, resolve_base
from harness.jobs import setting as module
from harness.jobs.setting import find_architecture
from harness.record.form import StudySettings
from harness.training.accuracy import save_checkpoint

SE = (Placement(site="neck.P4", kind="se"),)


def checkpoint(folder: Path, name: str, like: str = "yolov5n", seed: int = 0) -> Path:
    torch.manual_seed(seed)
    folder.mkdir(exist_ok=True)
    save_checkpoint(build(resolve_base(like).config, 2), folder / name)
    return folder / name


def file_of(folder: Path, base: str) -> str:
    path = folder / "a.yaml"
    path.write_text(yaml.safe_dump(Architecture(base=base, placements=SE).to_dict()))
    return str(path)


def find(spec: str, base: Base, folder: Path) -> Architecture:
    return find_architecture(spec, base, folder, option="--include")


def test_a_file_of_another_base_is_refused_by_its_base(tmp_path: Path) -> None:
    for other in ("yolov8n", "yolo26n", "plain16.pt"):
        with pytest.raises(UserError, match=rf"a\.yaml: this model's base is {other}, not yolov5n; only architectures"):
            find(file_of(tmp_path, other), resolve_base("yolov5n"), tmp_path)


def test_a_file_of_the_base_is_taken(tmp_path: Path) -> None:
    base = resolve_base("yolov5n")
    for name in ("yolov5n", "yolov5n.yaml"):
        assert find(file_of(tmp_path, name), base, tmp_path) == Architecture(base="yolov5n", placements=SE)


def test_a_checkpoint_base_is_found_beside_the_file_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = checkpoint(tmp_path / "ck", "plain.pt")
    base = resolve_base(str(weights))
    spec = file_of(tmp_path, "ck/plain.pt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert find(spec, base, tmp_path) == Architecture(base="plain.pt", placements=SE)


def test_another_checkpoint_of_the_same_name_is_another_base(tmp_path: Path) -> None:
    checkpoint(tmp_path / "ck", "plain.pt", seed=1)
    other = resolve_base(str(checkpoint(tmp_path / "other", "plain.pt", seed=2)))
    with pytest.raises(UserError, match=r"base is another plain\.pt, with other layers or weights"):
        find(file_of(tmp_path, "ck/plain.pt"), other, tmp_path)


def test_a_checkpoint_that_is_not_there_any_more_is_known_by_its_name(tmp_path: Path) -> None:
    base = resolve_base(str(checkpoint(tmp_path / "ck", "plain.pt")))
    assert find(file_of(tmp_path, "gone/plain.pt"), base, tmp_path).placements == SE


def test_an_articles_model_of_another_base_says_which_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="base is yolov5s, not yolov5n; name yolov5n-clo-head"):
        find("yolov5s-clo-head", resolve_base("yolov5n"), tmp_path)


@pytest.mark.parametrize(
    ("fingerprint", "named", "why"),
    [
        ("of another", "yolov5n", "base is another yolov5n, with other layers or weights"),
        ("of another", "yolo26n", "base is yolo26n, not yolov5n"),
        (None, "yolo26n", "base is yolo26n, not yolov5n"),
    ],
)
def test_a_studys_architecture_is_of_the_studys_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fingerprint: str | None, named: str, why: str
) -> None:
    record = SimpleNamespace(
        architectures={"ab": Architecture(base=named, placements=SE)},
        settings=StudySettings(base_fingerprint=fingerprint),
    )
    monkeypatch.setattr(module, "study_names", lambda _: ["s"])
    monkeypatch.setattr(module, "load_record", lambda *_: record)
    base = resolve_base("yolov5n")
    asked: dict[str, Any] = {"option": "--include", "storage": "sqlite:///s.db"}
    with pytest.raises(UserError, match=f"--include s/ab: this model's {why}"):
        find_architecture("s/ab", base, tmp_path, **asked)
    record.settings = StudySettings(base_fingerprint=base.fingerprint)
    assert find_architecture("s/ab", base, tmp_path, **asked).placements == SE
