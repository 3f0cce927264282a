"""`clo train MODEL` is the training of a search's candidate: one recipe, in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.ablation.fidelity_plan import Rung
from harness.ablation.train_model import TrainOptions, train_model
from harness.architecture import Architecture, Kind, LocalGroup, Placement
from harness.common.errors import UserError
from harness.data.check import DatasetInfo
from harness.detectors import build, find_detector, index_map, insert, load_model, resolve_base
from harness.jobs import setting as setting_module
from harness.jobs.place import Place
from harness.record.ablation_file import AblationFile
from harness.record.rates import FROM_BASE, FROM_SCRATCH
from harness.record.settings import SearchSettings
from harness.search.setting import prepare_search
from harness.training.accuracy import Accuracy, Schedule, Trainer, Training, initial_model, save_checkpoint

DATA = DatasetInfo(path=Path("d.yaml"), names={0: "a", 1: "b"}, train_images=8, val_images=4, fingerprint="feed")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting_module, "check_dataset", lambda *_, **__: DATA)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, data: None) -> Callable[..., Training]:
    """Asks `clo train` for a training, which does not happen."""

    def ask(tmp_path: Path, **changes: Any) -> Training:
        asked: list[Training] = []

        def pretend(_place: Place, _function: object, training: Training, *_: object) -> Accuracy:
            asked.append(training)
            return Accuracy(map50_95=0.5, map50=0.7, evaluator="E", train_seconds=1.0, transferred="")

        monkeypatch.setattr(Place, "run_alone", pretend)
        options: dict[str, Any] = {
            "model": "yolov5n-clo-head", "data": "d.yaml", "weights": None, "epochs": 3, "imgsz": 64, "batch": 4,
            "learning_rate": None, "block_rate_factor": None, "seed": 0, "device": "cpu", "threads": 1,
            "loader_workers": 0, "out": tmp_path / "out.pt",
        }  # fmt: skip
        train_model(TrainOptions(**options | changes), lambda _: None)
        return asked[0]

    return ask


def checkpoint(folder: Path, classes: int = 2) -> Path:
    torch.manual_seed(0)
    save_checkpoint(build(resolve_base("yolov5n").config, classes), folder / "base.pt")
    return folder / "base.pt"


def candidate(weights: Path | None) -> Training:
    """The same detector as a search trains it."""
    settings = SearchSettings(
        imgsz=64, batch=4, epochs=3, device="cpu", workers=1, threads=1, from_scratch=weights is None
    )
    found = prepare_search(settings)
    detector = find_detector("yolov5n-clo-head")
    return Training(
        config=insert(found.base, detector.architecture, sites=found.sites, classes=2),
        base_config=found.base.config,
        base_weights=weights,
        layers=index_map(found.base, detector.architecture, found.sites),
        data="d.yaml",
        classes=2,
        schedule=found.schedule,
        seed=0,
        device="cpu",
        threads=1,
    )


def groups(training: Training) -> list[tuple[float, float, list[tuple[int, ...]]]]:
    """Rate, decay and shapes of each of the optimiser's groups; nothing is trained."""
    model, moved = initial_model(training)
    trainer: Any = Trainer.__new__(Trainer)
    trainer._training, trainer._moved = training, moved
    return [
        (group["lr"], group["weight_decay"], [tuple(parameter.shape) for parameter in group["params"]])
        for group in trainer.build_optimizer(model).param_groups
    ]


@pytest.mark.parametrize("from_scratch", [False, True])
def test_the_optimiser_has_the_groups_of_a_searchs_candidate(
    tmp_path: Path, trained: Callable[..., Training], from_scratch: bool
) -> None:
    weights = None if from_scratch else checkpoint(tmp_path)
    ours, searchs = trained(tmp_path, weights=weights), candidate(weights)
    assert groups(ours) == groups(searchs)
    assert ours.schedule == searchs.schedule
    rates = {rate for rate, _, _ in groups(ours)}
    learning_rate, factor = FROM_SCRATCH if from_scratch else FROM_BASE
    assert rates == {learning_rate, learning_rate * factor}


def test_of_weights_with_other_classes_all_but_the_class_outputs_arrive(
    tmp_path: Path, trained: Callable[..., Training]
) -> None:
    training = trained(tmp_path, weights=checkpoint(tmp_path, classes=80))
    _, moved = initial_model(training)
    assert (moved.total - moved.arrived, training.config["nc"]) == (6, 2)


def test_the_rates_can_be_chosen(tmp_path: Path, trained: Callable[..., Training]) -> None:
    schedule = trained(tmp_path, learning_rate=3e-4, block_rate_factor=2.0).schedule
    assert (schedule.learning_rate, schedule.block_rate_factor) == (3e-4, 2.0)


@pytest.mark.parametrize("make", [
    SearchSettings,
    lambda **given: AblationFile(name="a", models=("yolov5n-clo-head",), **given),
    lambda **given: Rung(name="r", epochs=3, seeds=(0,), **given),
])  # fmt: skip
def test_searches_ablations_and_fidelity_plans_have_the_same_rates(make: Callable[..., Any]) -> None:
    for from_scratch, rates in ((False, FROM_BASE), (True, FROM_SCRATCH)):
        made = make(from_scratch=from_scratch)
        assert (made.learning_rate, made.block_rate_factor) == rates
        chosen = make(from_scratch=from_scratch, learning_rate=7e-4)
        assert (chosen.learning_rate, chosen.block_rate_factor) == (7e-4, rates[1])


def test_weights_of_a_network_that_differs_before_its_head_are_refused(
    tmp_path: Path, trained: Callable[..., Training]
) -> None:
    """More than half of its tensors would have fitted."""
    block = Placement(site="neck.P3", kind=Kind.BARE, groups=(LocalGroup(3, 2),), global_heads=2)
    base = resolve_base("yolov5n")
    config = insert(base, Architecture(base="yolov5n", placements=(block,)))
    save_checkpoint(build(config, 2), tmp_path / "with_block.pt")
    with pytest.raises(UserError, match=r"with_block\.pt: .* fit yolov5n; give a checkpoint of that model"):
        trained(tmp_path, weights=tmp_path / "with_block.pt")


def test_weights_with_other_classes_are_taken(tmp_path: Path, trained: Callable[..., Training]) -> None:
    weights = checkpoint(tmp_path, classes=5)
    assert trained(tmp_path, weights=weights).base_weights == weights


def test_a_fused_checkpoint_is_no_start(tmp_path: Path, trained: Callable[..., Training]) -> None:
    save_checkpoint(load_model(str(checkpoint(tmp_path))).fuse(verbose=False), tmp_path / "fused.pt")
    with pytest.raises(UserError, match="it is fused"):
        trained(tmp_path, weights=tmp_path / "fused.pt")


def test_a_schedule_names_no_rate_of_its_own() -> None:
    with pytest.raises(TypeError):
        Schedule(epochs=1, batch=1, imgsz=64)  # type: ignore[call-arg]
