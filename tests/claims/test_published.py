"""What is published for a detector, and how a study's own baseline is held against it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.contrasts import Pair
from harness.architecture import BASELINE
from harness.claims import accuracy
from harness.claims.accuracy import Evidence, head_gain
from harness.claims.ledger import choose_claims
from harness.claims.published import COCO_2017, is_coco2017, published_baseline, published_tables
from harness.record.form import AblationRecord
from harness.record.study import StudyRecord
from harness.record.surroundings import Environment
from harness.report.ledger import write_ledger
from tests.report.example import frame, record, row

MODEL = "0123abcd"


def study(**environment: int) -> StudyRecord:
    """The full protocol, finished: two trainings of the baseline with 0.41 and 0.43, and of a model."""
    rows = [row(BASELINE, 0), row(BASELINE, 1), row(MODEL, 0), row(MODEL, 1)]
    for each, value in zip(rows, (0.41, 0.43, 0.44, 0.45), strict=True):
        each |= {"map50_95": value, "base_seed": 0, "epochs": 300}
    arms: list[dict[str, Any]] = [
        {"identity": BASELINE, "name": BASELINE, "role": "baseline", "model": "", "params": 9_150_000, "macs": 12.1e9},
        {"identity": MODEL, "name": "yolov5s-clo-head", "role": "model", "model": "yolov5s-clo-head",
         "params": 9_900_000, "macs": 13e9},
    ]  # fmt: skip
    for arm in arms:
        arm["starts_as_base"] = True
    made = record(frame(rows), name="full-protocol")
    return replace(
        made,
        settings=made.settings | {"base": "yolov5s", "data": "coco.yaml"},
        environment=Environment.of({"train_images": COCO_2017[0], "val_images": COCO_2017[1]} | environment),
        ablation=AblationRecord.of(
            {
                "file": {"from_scratch": True, "epochs": 300, "imgsz": 640, "recipe": "published"},
                "arms": arms,
                "left_out": [],
            }
        ),
    )


def test_what_is_published_is_cited() -> None:
    models = {name: model for table in published_tables() for name, model in table.models.items()}
    assert (models["yolov5s"].map50_95, models["yolov5s"].params_m, models["yolov5s"].gflops) == (0.430, 9.1, 24.0)
    assert models["anchor-based yolov5s"].map50_95 == 0.374
    assert all(table.source.startswith("https://") for table in published_tables())


def test_published_parameters_are_those_of_the_bases_here() -> None:
    from harness.detectors import resolve_base

    for table in published_tables():
        for name in ("yolov5n", "yolov5s", "yolov8n", "yolov8s"):
            if name in table.models:
                own = sum(each.numel() for each in resolve_base(name).build(80).parameters()) / 1e6
                assert own == pytest.approx(table.models[name].params_m, abs=0.06), name


def test_the_baselines_mean_is_held_against_what_is_published() -> None:
    found = published_baseline(study())
    assert found is not None
    assert found.difference == pytest.approx((0.41 + 0.43) / 2 - 0.430)
    assert str(found) == (
        "the baseline yolov5s has 0.4200 mAP50-95 (mean of 2 trainings, 300 epochs by Ultralytics' recipe), "
        "-0.0100 from the 0.430 published as yolov5su"
    )
    assert "at 320 px, published at 640 px" in str(replace(found, imgsz=320))


def test_other_data_and_other_bases_have_nothing_published() -> None:
    assert published_baseline(study(val_images=4_999)) is None
    mine = study()
    assert published_baseline(replace(mine, settings=mine.settings | {"base": "mine.yaml"})) is None
    assert is_coco2017(118_287, 5_000)
    assert not is_coco2017(5_000, 118_287)


@pytest.fixture
def one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(name="gain", minuend=MODEL, subtrahend=BASELINE, kind="gain")
    monkeypatch.setattr(accuracy, "model_pairs", lambda _record: [pair])


def test_the_difference_stands_beside_the_verdict_and_first_in_the_ledger(one_pair: None, tmp_path: Path) -> None:
    evidence = Evidence([study()])
    finding = head_gain(evidence)
    assert "-0.0100 from the 0.430 published as yolov5su" in finding.sentence
    assert finding.figures[0].name == "The protocol's own yolov5s minus the published yolov5su"
    assert finding.figures[0].value == pytest.approx(-0.01)
    shown = [cells["baseline minus published"] for cells in finding.rows if "baseline minus published" in cells]
    assert shown and shown == pytest.approx([-0.01] * len(shown))
    entries = [(claim, finding) for claim in choose_claims(["head-gain"])]
    write_ledger(entries, Environment(), "clo reproduce", tmp_path, [*evidence.baselines.values()])
    text = (tmp_path / "report.md").read_text()
    assert 0 < text.index("The baseline against what is published") < text.index("All claims")
    assert "https://docs.ultralytics.com/models/yolov5/" in text
    assert "The baseline against what is published" in (tmp_path / "report.html").read_text()


def test_on_other_data_the_ledger_speaks_of_no_published_figure(one_pair: None, tmp_path: Path) -> None:
    evidence = Evidence([study(val_images=60)])
    finding = head_gain(evidence)
    assert evidence.baselines == {}
    assert "published as" not in finding.sentence
    write_ledger([(choose_claims(["head-gain"])[0], finding)], Environment(), "clo reproduce", tmp_path)
    assert "The baseline against what is published" not in (tmp_path / "report.md").read_text()
