"""Which protocol `clo reproduce` follows."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.architecture.choices import Recipe
from harness.claims import reproduce
from harness.claims.ledger import ReproduceSettings
from harness.claims.reproduce import ablation_files, ledger_of, protocol_of
from harness.common.errors import UserError
from harness.record.run_settings import ClusterSettings, ExecutorKind
from tests.coco_data import write_coco


def on(data: str | Path, **values: object) -> ReproduceSettings:
    settings = {"device": "cpu", "changes": (("data", str(data)),)} | values
    return ReproduceSettings(**settings)  # type: ignore[arg-type]


def test_days_of_training_are_for_coco_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = write_coco(tmp_path / "coco", train=8, val=6)
    assert protocol_of(ReproduceSettings()) is Recipe.SHORT
    assert protocol_of(on("digits")) is Recipe.SHORT
    assert protocol_of(on(small.train)) is Recipe.SHORT  # its files are called as COCO's are
    assert protocol_of(on("coco.yaml")) is Recipe.PUBLISHED
    whole = SimpleNamespace(train_images=118_287, val_images=5_000)
    monkeypatch.setattr(reproduce, "check_dataset", lambda *_args, **_keywords: whole)
    assert protocol_of(on("/data/instances_train2017.json")) is Recipe.PUBLISHED


def test_what_is_asked_for_counts(tmp_path: Path) -> None:
    assert protocol_of(on("coco.yaml", protocol=Recipe.SHORT)) is Recipe.SHORT
    assert protocol_of(on("digits", protocol=Recipe.PUBLISHED)) is Recipe.PUBLISHED


def test_without_a_gpu_the_full_protocol_has_to_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="needs a CUDA GPU, and there is none here: give --device cpu if you mean it"):
        protocol_of(on("coco.yaml", device="auto"))
    assert protocol_of(on("coco.yaml", device="auto", no_training=True)) is Recipe.PUBLISHED  # reads what there is
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert protocol_of(on("coco.yaml", device="auto")) is Recipe.PUBLISHED


def test_on_a_cluster_the_full_protocol_asks_for_its_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # of the machine that only starts it

    def asked(gpus: float) -> ReproduceSettings:
        cluster = ClusterSettings(gpus_per_trial=gpus)
        return on("coco.yaml", device="auto", executor=ExecutorKind.RAY, cluster=cluster)

    with pytest.raises(UserError, match="needs CUDA GPUs: say --gpus-per-trial, or --protocol short"):
        protocol_of(asked(0))
    assert protocol_of(asked(4)) is Recipe.PUBLISHED


def test_a_base_without_a_neck_gets_the_models_that_it_has_places_for_each_once() -> None:
    changes = (("data", "beacon"), ("epochs", 4))
    gains, scratch = ablation_files(
        ReproduceSettings(claims=("head-gain", "backbone-gain"), base="nearsighted", changes=changes)
    )
    assert (gains.name, gains.models) == ("from-the-base-beacon", ("nearsighted-clo-backbone-last",))
    last = "nearsighted-clo-backbone-last"
    assert (scratch.name, scratch.models) == ("from-scratch-beacon", (last, f"{last}-bare"))
    assert ablation_files(ReproduceSettings(claims=("gate-nonlinearity",), base="nearsighted", changes=changes)) == []


def test_a_copy_that_somebody_put_aside_is_none_of_the_ledgers_studies(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "results" / "reference" / "reproduce"
    for name in ("from-the-base-beacon", "from-the-base-bccd"):
        shutil.copytree(source / name, tmp_path / name)
    shutil.copytree(source / "from-the-base-beacon", tmp_path / "from-the-base-old")
    (tmp_path / "from-the-base-nothing").mkdir()
    (tmp_path / "findings.json").write_text((source / "findings.json").read_text(encoding="utf-8"), encoding="utf-8")
    assert [study.name for study in ledger_of(tmp_path).studies] == ["from-the-base-bccd", "from-the-base-beacon"]


def test_the_documented_command_is_the_articles_question_as_detectors_are_published() -> None:
    given = (("data", "coco.yaml"), ("epochs", 300), ("seeds", 3))
    gains, parts = ablation_files(ReproduceSettings(device="0,1,2,3", changes=given))
    for file in (gains, parts):
        assert (file.name, file.recipe, file.from_scratch) == ("full-protocol", Recipe.PUBLISHED, True)
        assert (file.base, file.data, file.imgsz, file.epochs, file.seeds) == (
            "yolov5s",
            "coco.yaml",
            640,
            300,
            (0, 1, 2),
        )
    assert {model.removeprefix("yolov5s-clo-") for model in gains.models} == {
        "head", "head-bare", "backbone-last", "backbone-last-bare",
    }  # fmt: skip
    assert gains.placebos == ("params", "macs")
    assert set(parts.models) < set(gains.models)
    [only] = ablation_files(ReproduceSettings(claims=("head-gain",), device="0", changes=given))
    assert only == gains
