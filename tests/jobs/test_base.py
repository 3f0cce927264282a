"""The pretrained baseline is trained once for all that determines it, and a checkpoint that fits is taken as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.common.errors import UserError
from harness.data.check import DatasetInfo, check_dataset
from harness.data.digits import DigitsSettings, ensure_digits
from harness.detectors import Base, build, resolve_base
from harness.jobs import base as module
from harness.jobs.base import CommonBase, base_notes, base_schedule, common_base
from harness.jobs.place import Place
from harness.jobs.progress import Step
from harness.jobs.setting import Prepared
from harness.jobs.trial import train_base
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy, Schedule, Training, save_checkpoint

SCHEDULE = Schedule(epochs=2, batch=16, imgsz=64, learning_rate=2e-3)
DATA = DatasetInfo(
    path=Path("data.yaml"), names={n: str(n) for n in range(10)}, train_images=48, val_images=24, fingerprint="feed"
)
PLACE = Place(devices=("cpu",), workers=1, threads=1, threads_alone=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache where nothing is trained yet."""
    monkeypatch.setenv("CLO_NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Training]:
    """Trainings asked for; none really happens."""
    asked: list[Training] = []

    def pretend(_place: Place, function: Callable[..., Any], training: Training, *_: object) -> Accuracy:
        assert function is train_base
        assert training.save_to is not None
        asked.append(training)
        training.save_to.write_bytes(b"weights")
        return Accuracy(map50_95=0.5 + len(asked) / 100, map50=0.7, evaluator="E", train_seconds=1.0, transferred="")

    monkeypatch.setattr(Place, "run_alone", pretend)
    return asked


def find(
    base: Base | None = None, data: DatasetInfo = DATA, schedule: Schedule = SCHEDULE, **others: Any
) -> CommonBase:
    device, threads = others.pop("device", "cpu"), others.pop("threads", 1)
    place = Place(devices=(device,), workers=1, threads=threads, threads_alone=threads)
    prepared = Prepared(**vars(place), base=base or resolve_base("yolov5n"), sites={}, data=data)
    options: dict[str, Any] = {"seed": 0, "loader_workers": 0, "results": Path("results")}
    return common_base(prepared, schedule, **(options | others))


def checkpoint(folder: Path, classes: int) -> Base:
    torch.manual_seed(classes)
    path = folder / f"of{classes}.pt"
    save_checkpoint(build(resolve_base("yolov5n").config, classes), path)
    return resolve_base(str(path))


# --- Once -----------------------------------------------------------------------------------------


def test_the_base_is_trained_once(trained: list[Training]) -> None:
    first, second = find(), find()
    assert len(trained) == 1
    assert first == second
    assert first.weights == trained[0].save_to
    assert first.map50_95 == 0.51
    assert first.origin == "yolov5n, trained 2 epochs"


def test_only_a_base_that_is_trained_is_said_to_be(trained: list[Training], tmp_path: Path) -> None:
    said: list[str] = []
    find(checkpoint(tmp_path, 10), on_phase=said.append)  # trained already
    assert (said, trained) == ([], [])
    for _ in range(2):  # the second is found
        find(on_phase=said.append)
    assert said == ["training the pretrained baseline yolov5n, seed 0 (2 epochs, kept)"]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"threads": 2},
        {"device": "0"},
        {"schedule": replace(SCHEDULE, epochs=3)},
        {"schedule": replace(SCHEDULE, imgsz=96)},
        {"schedule": replace(SCHEDULE, learning_rate=1e-3)},
        {"schedule": replace(SCHEDULE, augmentation={"fliplr": 0.5})},
        {"data": replace(DATA, fingerprint="beef")},
        {"base": resolve_base("yolov8n")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_determines_the_weights_makes_another_base(trained: list[Training], change: dict[str, Any]) -> None:
    assert find().weights != find(**change).weights
    assert len(trained) == 2


@pytest.mark.parametrize("change", [{"loader_workers": 3}, {"data": replace(DATA, path=Path("moved/data.yaml"))}])
def test_what_does_not_determine_them_does_not(trained: list[Training], change: dict[str, Any]) -> None:
    assert find().weights == find(**change).weights
    assert len(trained) == 1


def test_another_version_trains_its_own(trained: list[Training], monkeypatch: pytest.MonkeyPatch) -> None:
    find()
    monkeypatch.setattr(module, "version", lambda: "99.0")
    find()
    assert len(trained) == 2


def test_gpus_share_a_base(trained: list[Training]) -> None:
    assert find(device="0").weights == find(device="1").weights


def test_the_training_is_the_bases_own(trained: list[Training], cache: Path) -> None:
    base = resolve_base("yolov5n")
    found = find(base)
    (training,) = trained
    assert training.config == training.base_config == base.config
    assert training.layers == {n: n for n in range(len(base.config["backbone"]) + len(base.config["head"]))}
    assert (training.base_weights, training.classes, training.schedule, training.seed) == (None, 10, SCHEDULE, 0)
    assert found.weights is not None
    assert found.weights.parent == cache / "bases"
    assert found.weights.name.startswith("yolov5n-")


# --- Whole or not at all --------------------------------------------------------------------------


def test_weights_without_their_note_are_of_a_killed_run_and_trained_again(trained: list[Training]) -> None:
    weights = find().weights
    assert weights is not None
    weights.with_suffix(".json").unlink()
    assert find().map50_95 == 0.52
    assert len(trained) == 2


def test_weights_that_were_damaged_later_are_trained_again(trained: list[Training]) -> None:
    weights = find().weights
    assert weights is not None
    weights.write_bytes(weights.read_bytes()[:-1])
    assert find().map50_95 == 0.52
    assert find().map50_95 == 0.52
    assert len(trained) == 2


def test_a_note_from_before_there_were_digests_is_believed(trained: list[Training]) -> None:
    weights = find().weights
    assert weights is not None
    note = weights.with_suffix(".json")
    note.write_text(json.dumps({key: value for key, value in json.loads(note.read_text()).items() if key != "sha256"}))
    weights.write_bytes(b"others")
    assert find().map50_95 == 0.51
    assert len(trained) == 1


def test_a_base_that_fails_is_the_users_to_know_and_not_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    failure = Failure(state=State.OUT_OF_MEMORY, reason="MemoryError: no more")
    monkeypatch.setattr(Place, "run_alone", lambda *_: failure)
    with pytest.raises(UserError, match="base yolov5n cannot be trained: MemoryError: no more"):
        find()
    assert not [*cache.glob("bases/*.pt"), *cache.glob("bases/*.json")]


# --- Checkpoints ----------------------------------------------------------------------------------


def test_a_checkpoint_with_the_datas_classes_is_taken_as_it_is(trained: list[Training], tmp_path: Path) -> None:
    base = checkpoint(tmp_path, classes=10)
    found = find(base)
    assert trained == []
    assert found.weights == tmp_path / "of10.pt"
    tensors = len(base.load().state_dict())
    assert found.origin == f"of10.pt, {tensors} of {tensors} base tensors transferred"
    assert found.map50_95 is None


def test_a_checkpoint_with_other_classes_is_trained_on(trained: list[Training], tmp_path: Path) -> None:
    found = find(checkpoint(tmp_path, classes=3))
    (training,) = trained
    assert training.base_weights == tmp_path / "of3.pt"
    assert found.weights == training.save_to
    assert found.origin == (
        "421 of 427 tensors from of3.pt; 6 of the class outputs start anew: 3 classes → 10; trained 2 epochs"
    )


def test_a_plan_says_what_of_a_checkpoint_with_other_classes_starts_anew_and_for_how_long_it_is_trained(
    tmp_path: Path,
) -> None:
    def notes(base: Base, *epochs: int) -> list[str]:
        return base_notes(Prepared(**vars(PLACE), base=base, sites={}, data=DATA), *epochs)

    assert notes(checkpoint(tmp_path, classes=80), 20, 60) == [
        "base: 421 of 427 tensors from of80.pt; 6 of the class outputs start anew: 80 classes → 10; trained on these "
        "data for 20 epochs, 25% of all epochs, before anything is compared"
    ]
    assert notes(checkpoint(tmp_path, classes=10), 20, 60) == []
    assert notes(resolve_base("yolov5n"), 20) == []


def test_studies_of_a_checkpoint_whose_class_branches_were_once_narrower_are_not_continued(tmp_path: Path) -> None:
    def comparable(classes: int) -> dict[str, object]:
        return Prepared(**vars(PLACE), base=checkpoint(tmp_path, classes), sites={}, data=DATA).comparable({})

    assert comparable(80)["class_width"] == 80
    assert "class_width" not in comparable(10) | comparable(3)


def test_other_weights_under_the_same_name_make_another_base(trained: list[Training], tmp_path: Path) -> None:
    first = find(checkpoint(tmp_path, classes=3)).weights
    torch.manual_seed(0)
    save_checkpoint(build(resolve_base("yolov5n").config, 3).float(), tmp_path / "of3.pt")
    assert find(resolve_base(str(tmp_path / "of3.pt"))).weights != first
    assert len(trained) == 2


# --- The schedule ---------------------------------------------------------------------------------


def test_the_base_starts_from_nothing_so_its_rate_is_its_own() -> None:
    candidates = Schedule(epochs=3, batch=8, imgsz=128, learning_rate=5e-5, block_rate_factor=20.0)
    own = base_schedule(candidates, 25)
    assert (own.epochs, own.block_rate_factor) == (25, 1.0)
    assert own.learning_rate > candidates.learning_rate
    assert (own.batch, own.imgsz, own.warmup) == (candidates.batch, candidates.imgsz, candidates.warmup)


# --- For real -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_base_is_trained_in_a_process_of_its_own_and_can_be_a_base_itself(tmp_path: Path) -> None:
    few = DigitsSettings(train_images=16, val_images=8, height_min=24, height_max=60)
    data = check_dataset(str(ensure_digits(tmp_path, few)), 64)
    told: list[Any] = []
    first = find(data=data, schedule=replace(SCHEDULE, epochs=1), on_progress=told.append)
    assert first.weights is not None
    assert told == [Step("training", 1, 1, 1)]
    note = json.loads(first.weights.with_suffix(".json").read_text())
    assert note["map50_95"] == first.map50_95
    assert note["key"]["data"] == data.fingerprint
    again = find(resolve_base(str(first.weights)), data, on_progress=told.append)
    assert again.weights == first.weights
    assert "left behind" not in again.origin
    assert told == [Step("training", 1, 1, 1)]
