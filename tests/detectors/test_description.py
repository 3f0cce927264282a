"""What names and files mean, and one sentence for each that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.common.errors import UserError
from harness.detectors import resolve_base

DETECTOR = """
nc: 80
scales: {n: [0.33, 0.25, 1024]}
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
head:
  - [[0], 1, Detect, [nc]]
"""


@pytest.mark.parametrize("spec", ["yolov7", "yolov7.yaml", "yolov7-tiny", "cloformer-xxs", "cloformer-xxs.yaml"])
def test_our_own_names_work_with_and_without_the_suffix(spec: str) -> None:
    base = resolve_base(spec)
    assert base.name == spec.removesuffix(".yaml")
    assert base.config["head"][-1][2] == "Detect"
    assert base.fingerprint == resolve_base(spec).fingerprint


def test_each_of_our_names_is_another_base() -> None:
    names = ["yolov7", "yolov7-tiny", "cloformer-xxs", "cloformer-xs", "cloformer-s", "cloformer-global"]
    assert len({resolve_base(name).fingerprint for name in names}) == len(names)


def test_a_file_of_ones_own_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("yolov7-tiny.yaml").write_text(DETECTOR)
    assert len(resolve_base("yolov7-tiny.yaml").config["backbone"]) == 1


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m.yaml", DETECTOR.replace("Detect", "Segment"), "ends in Segment, not in a Detect head"),
        ("m.yaml", DETECTOR.replace("Detect", "Classify"), "ends in Classify, not in a Detect head"),
        ("m.yaml", DETECTOR.replace("Detect", "WorldDetect"), "ends in WorldDetect, which takes embeddings of a text"),
        ("m.yaml", DETECTOR.replace("Detect", "YOLOEDetect"), "ends in YOLOEDetect, which takes embeddings of a text"),
        ("m.yaml", "backbone: []\nhead: []\n", "ends in nothing, not in a Detect head"),
        ("m.yaml", "", "its 'backbone' is not a list of rows"),
        ("m.yaml", "backbone: 3\nhead: []\n", "its 'backbone' is not a list of rows"),
        ("m.yaml", "backbone: [[-1, 1]]\nhead: []\n", "its 'backbone' is not a list of rows"),
        ("m.yaml", "- a\n- b\n", "not a readable model YAML"),
        ("m.yaml", "nc: [80\n", "not a readable model YAML"),
        ("m.yaml", DETECTOR.replace("{n: [0.33, 0.25, 1024]}", "3"), "its 'scales' is 3; expected {n: "),
        ("yolo11x.yaml", DETECTOR, "has no scale 'x'; it has n"),
    ],
)
def test_a_file_that_describes_no_detector_is_refused_in_one_sentence(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        resolve_base(str(path))
    assert str(refused.value).startswith(f"base {path}: ")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="not a readable model YAML"):
        resolve_base(str(path))


@pytest.mark.parametrize("spec", ["yolov7x", "yolov8q", "cloformer", "no/such/folder/m.yaml"])
def test_a_name_that_means_nothing_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match=f"base {spec}: no such model; give a name such as yolov5n"):
        resolve_base(spec)


@pytest.mark.parametrize("files", ["600.0", "10", "[3]", "[true]", "[[a.py]]", "x.py"])
def test_files_of_blocks_are_a_list_of_paths(tmp_path: Path, files: str) -> None:
    (tmp_path / "m.yaml").write_text(f"nc: 1\nblocks: {files}\nbackbone: []\nhead: [[-1, 1, Detect, [nc]]]\n")
    with pytest.raises(UserError, match=r"its 'blocks' is .*; expected a list of files"):
        resolve_base(str(tmp_path / "m.yaml"))


def test_a_file_that_has_a_models_name_and_no_suffix_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("yolov5n").write_text("a report")
    assert resolve_base("yolov5n").config["nc"] == 80
