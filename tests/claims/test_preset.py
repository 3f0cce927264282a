"""A preset from the first step to the file that is sent, on a small set in COCO's format."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.ablation import models as arm_models
from harness.ablation import run as runner
from harness.claims import preset as presets
from harness.claims.ledger import ReproduceSettings
from harness.claims.pooled import Preset, judge_results, read_results
from harness.claims.preset import RESULT, run_preset
from harness.claims.verdict import Verdict
from harness.common.errors import UserError
from harness.record.study import StudyRecord
from tests.cli.pretended import Trainings, measured
from tests.cli.test_ablate import cheap_cost
from tests.coco_data import write_coco

SMALL = (("epochs", 1), ("imgsz", 64), ("batch", 4), ("models", ("yolov5n-clo-backbone-last",)), ("seeds", 1),
         ("placebos", ("params",)))  # fmt: skip


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


def settings(folder: Path, *changes: tuple[str, object], **values: Any) -> ReproduceSettings:
    data = folder / "coco"
    if not data.exists():
        write_coco(data, train=8, val=6)
    asked: dict[str, Any] = {"device": "cpu", "threads": 1, "results": folder / "results"} | values
    return ReproduceSettings(changes=(("data", str(data)), *changes), **asked)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    trainings = Trainings(measured)
    monkeypatch.setattr("harness.jobs.place.Children", trainings)
    monkeypatch.setattr(runner, "start_server", lambda: None)
    monkeypatch.setattr(arm_models, "model_cost", cheap_cost)
    monkeypatch.setattr(presets, "plan_of", lambda _: "40 GPU hours")  # measured, and has tests of its own
    return trainings


def run(asked: ReproduceSettings, watcher: Watcher | None = None) -> tuple[Path | None, list[StudyRecord]]:
    records: list[StudyRecord] = []
    return run_preset(Preset.VOC, asked, watcher or Watcher(), [], records.append), records


@pytest.mark.slow
def test_a_small_set_in_cocos_format_is_trained_to_a_result_that_names_nobody(tmp_path: Path) -> None:
    watcher = Watcher()
    path, _ = run(settings(tmp_path, *SMALL), watcher)
    assert path is not None and path.name == RESULT
    before = watcher.notes[: next(n for n, said in enumerate(watcher.notes) if said.startswith("data: "))]
    kinds = [said.partition(":")[0] for said in before]
    assert kinds == ["rule", "trained", "not the rule of preset voc, nor pooled with it", "plan", "disk"]
    assert "CPU hours by the time of the baseline's steps, measured just now" in before[3]
    promised = float(before[4].removeprefix("disk: ").partition(" GB")[0]) * 1e9
    taken = sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file())
    assert 0.5 * promised < taken < promised + 0.05e9  # said to a tenth of a GB

    text = path.read_text(encoding="utf-8")
    for private in (str(tmp_path), str(Path.home()), getpass.getuser() + "/", "coco"):
        assert private not in text.replace("faster-coco-eval", "").replace("COCO annotations", "")
    [result] = read_results([path])
    assert len(result.trainings) == len(result.arms) == 3
    assert all(len(each.image_influence) == 6 for each in result.trainings), "one block an image"
    assert all(each.evaluator.startswith("COCOeval") for each in result.trainings)
    assert (result.data["val_objects"], result.machine.device["name"]) == (16, "cpu")
    assert "epochs 1, not 100" in result.changed
    assert judge_results([result])["yolov5n-clo-backbone-last"].verdict is Verdict.UNDECIDED


def test_the_same_command_trains_what_is_missing_and_only_then_there_is_a_result(
    pretended: Trainings, tmp_path: Path
) -> None:
    asked = settings(tmp_path, ("epochs", 2), ("imgsz", 64))
    pretended.then = {4: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(asked)
    begun = len(pretended.asked)
    watcher = Watcher()
    path, records = run(settings(tmp_path, ("epochs", 2), ("imgsz", 64), no_training=True), watcher)
    assert path is None and len(records) == 1
    assert watcher.notes[-1] == f"no result yet: {21 - begun + 1} of 21 trainings are missing"
    path, _ = run(asked)
    assert path is not None
    assert len(pretended.asked) == 21 + 1, "seven networks, three seeds, and the one that was stopped"
    [result] = read_results([path])
    assert result.seeds == [0, 1, 2]
    assert {(each.map50_95, each.seed) for each in result.trainings} == {(0.5, 0), (0.6, 1), (0.7, 2)}


def test_what_is_changed_is_another_study_and_another_rule_but_the_choice_of_seeds_is_free(
    pretended: Trainings, tmp_path: Path
) -> None:
    def found(*changes: tuple[str, object]) -> tuple[str, str]:
        path, _ = run(settings(tmp_path, *SMALL, *changes))
        assert path is not None
        return path.parent.name, read_results([path])[0].digest

    plain, shorter = found(("seeds", 2)), found(("seeds", 2), ("epochs", 3))
    name, digest = found(("seeds", (3, 4)))
    assert name.endswith("-seeds-3-4") and name != plain[0]
    assert digest == plain[1]
    assert shorter[0] != plain[0] and shorter[1] != plain[1]
    assert presets._file(Preset.VOC, settings(tmp_path)).name == "preset-voc"
    assert presets._file(Preset.VOC, settings(tmp_path, ("seeds", (3, 4, 5)))).name == "preset-voc-seeds-3-4-5"


def test_a_machine_that_does_not_fit_is_told_so_before_anything_is_trained(
    pretended: Trainings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="a preset needs a CUDA GPU, and there is none here: give --device cpu"):
        run(settings(tmp_path, device="auto"))
    with pytest.raises(UserError, match="--device 0,1: a preset is trained on one GPU; give one"):
        run(settings(tmp_path, device="0,1"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Disk", (), {"free": 10**8}))
    with pytest.raises(UserError, match=r"--results .*: the preset takes 0.\d GB of disk at most, and 0.1 GB are free"):
        run(settings(tmp_path, ("imgsz", 64)))
    assert not pretended.asked
