"""An ablation by the published recipe: one training at a time on all devices, each resumable, each kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.ablation import run as runner
from harness.ablation.run import ablate
from harness.ablation.setting import prepare_ablation
from harness.architecture.choices import Recipe
from harness.common.errors import UserError
from harness.jobs import trial
from harness.jobs.place import Place
from harness.jobs.trial import Job, train_base
from harness.record.ablation_file import AblationFile, AblationSettings, load_ablation
from harness.record.run_settings import ClusterSettings, ExecutorKind
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy
from harness.training.training import Training
from tests.cli.pretended import Trainings, measured
from tests.coco_data import write_coco


class Watcher:
    """Listens to nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def file(tmp_path: Path) -> AblationFile:
    data = write_coco(tmp_path / "coco", train=8, val=6)
    return load_ablation(
        "reproduce-full",
        {"data": str(data.train), "base": "yolov5n", "models": ("yolov5n-clo-head",), "imgsz": 64, "seeds": 2,
         "placebos": ()},
    )  # fmt: skip


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.jobs.place.resolve_device", lambda device: device)


@contextmanager
def pretend(monkeypatch: pytest.MonkeyPatch, trainings: Trainings) -> Iterator[Trainings]:
    with monkeypatch.context() as patch:
        patch.setattr("harness.jobs.place.Children", trainings)
        patch.setattr(runner, "start_server", lambda: None)
        yield trainings


def test_each_training_takes_all_devices_and_keeps_its_weights(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AblationSettings(file=file, device="0,1,2,3", results=tmp_path / "results")
    ablation = prepare_ablation(settings)
    with pretend(monkeypatch, Trainings(measured)) as trainings:
        ablate(ablation, Watcher(), [])
    assert set(trainings.beside) == {1}
    assert len(trainings.asked) == 2 * 2  # baseline and model, two seeds
    for training in trainings.asked:
        assert (training.recipe, training.device, training.base_weights) == (Recipe.PUBLISHED, "0,1,2,3", None)
        assert training.schedule.epochs == 300
    for place in ("folder", "save_to"):
        assert len({getattr(training, place) for training in trainings.asked} - {None}) == 4
    assert all(str(training.folder).startswith(str(tmp_path / "results/full-protocol")) for training in trainings.asked)


def test_what_failed_is_tried_again_and_what_is_complete_is_not(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(job: Job) -> Any:
        failed = len(first.asked) == 2
        return Failure(state=State.FAILED, reason="a GPU fell off the bus") if failed else measured(job)

    ablation = prepare_ablation(AblationSettings(file=file, device="0,1", results=tmp_path / "results"))
    with pretend(monkeypatch, Trainings(once)) as first:
        ablate(ablation, Watcher(), [])
    with pretend(monkeypatch, Trainings(measured)) as second:
        ablate(ablation, Watcher(), [])
    assert [training.folder for training in second.asked] == [first.asked[1].folder]


def test_a_study_holds_one_recipe(
    file: AblationFile, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare_ablation(AblationSettings(file=file, device="0", results=tmp_path / "results"))

    def run(chosen: AblationFile) -> None:
        ablation = replace(prepared, settings=prepared.settings.model_copy(update={"file": chosen}))
        with pretend(monkeypatch, Trainings(measured)):
            ablate(ablation, Watcher(), [])

    run(file.model_copy(update={"seeds": (0,)}))
    with pytest.raises(UserError, match=r"full-protocol exists with another recipe \(published, now short\)"):
        run(file.model_copy(update={"seeds": (0,), "recipe": Recipe.SHORT}))


def test_several_at_once_are_refused(file: AblationFile, four_gpus: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--workers 4: the published recipe takes all devices for one training"):
        prepare_ablation(AblationSettings(file=file, device="0,1,2,3", workers=4, results=tmp_path))


def on_ray(**cluster: Any) -> dict[str, Any]:
    return {"executor": ExecutorKind.RAY, "cluster": ClusterSettings(**cluster)}


class PretendedCluster:
    """Three nodes of four GPUs, which nobody connects to; its tasks are pretended."""

    kind, device, workers = "NVIDIA H100", "0,1,2,3", 3

    def __init__(self, *_: object) -> None:
        self.conditions = {"nodes": 3, "device": {"name": "NVIDIA H100", "asked": self.device}}
        self.seen: list[Path] = []

    def ask_nodes(self, paths: list[Path], folder: Path) -> None:
        self.seen += [*paths, folder]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> tuple[PretendedCluster, Trainings]:
    pytest.importorskip("ray", reason="needs Ray: pip install 'clo-nas[ray]'")
    cluster, trainings = PretendedCluster(), Trainings(measured)
    trainings.workers = cluster.workers
    monkeypatch.setattr("harness.jobs.ray_cluster.RayCluster", lambda *_: cluster)
    monkeypatch.setattr("harness.jobs.ray_tasks.RayTasks", lambda *_: trainings)
    return cluster, trainings


def test_on_a_cluster_trainings_of_several_gpus_run_side_by_side(
    file: AblationFile, cluster: tuple[PretendedCluster, Trainings], tmp_path: Path
) -> None:
    pretended, trainings = cluster
    asked = on_ray(gpus_per_trial=4, cpus_per_trial=6)
    ablation = prepare_ablation(AblationSettings(file=file, results=tmp_path / "results", **asked))
    assert pretended.seen == [ablation.data.path, tmp_path / "results/full-protocol"]
    record = ablate(ablation, Watcher(), [])
    assert max(trainings.beside) == 3  # as many as there are nodes for
    assert {(each.device, each.threads, each.recipe) for each in trainings.asked} == {("0,1,2,3", 6, Recipe.PUBLISHED)}
    assert all(str(each.folder).startswith(str(tmp_path / "results/full-protocol/runs")) for each in trainings.asked)
    assert len({each.folder for each in trainings.asked}) == 4
    assert record.environment.to_dict()["nodes"] == 3
    assert record.environment.to_dict()["device"]["asked"] == "0,1,2,3"
    assert record.settings.device_kind == "NVIDIA H100"


def test_the_bases_of_a_short_ablation_are_trained_there_and_kept_where_all_nodes_see_them(
    file: AblationFile, cluster: tuple[PretendedCluster, Trainings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Training] = []

    def run_alone(place: Place, _function: object, training: Training, *_: object) -> Accuracy:
        assert place.cluster is not None and training.save_to is not None
        training.save_to.write_bytes(b"weights")
        made.append(training)
        return Accuracy(map50_95=0.5, map50=0.7, evaluator="", train_seconds=1.0, transferred="")

    monkeypatch.setattr(Place, "run_alone", run_alone)
    short = file.model_copy(update={"recipe": Recipe.SHORT, "from_scratch": False, "bases": (0, 7)})
    asked = on_ray(gpus_per_trial=1, cpus_per_trial=6)
    prepared = prepare_ablation(AblationSettings(file=short, results=tmp_path / "results", **asked))
    runner.common_bases(prepared, Watcher())
    assert [(each.seed, each.threads) for each in made] == [(0, 6), (7, 6)]
    assert {each.save_to and each.save_to.parent for each in made} == {tmp_path / "results/.bases"}


def test_a_cluster_that_grows_gets_another_training_before_one_has_ended(
    file: AblationFile, cluster: tuple[PretendedCluster, Trainings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, trainings = cluster
    trainings.workers = 1

    def within(seconds: float | None) -> Any:
        if trainings.workers == 1:
            assert seconds is not None, "it would wait for days"
            trainings.workers = 2
            return None
        return trainings.next()

    monkeypatch.setattr(trainings, "within", within)
    ablate(prepare_ablation(AblationSettings(file=file, results=tmp_path, **on_ray(gpus_per_trial=4))), Watcher(), [])
    assert trainings.beside[:2] == [1, 2]


@pytest.mark.parametrize(
    ("recipe", "given", "said"),
    [
        (Recipe.SHORT, on_ray(gpus_per_trial=3), "--gpus-per-trial 3: a short training has one GPU at most"),
        (Recipe.PUBLISHED, on_ray(gpus_per_trial=3), "--gpus-per-trial 3: they cannot share a batch"),
        (Recipe.PUBLISHED, {**on_ray(gpus_per_trial=2), "device": "0,1"}, "--device 0,1: Ray assigns devices"),
        (Recipe.PUBLISHED, {**on_ray(), "threads": 3}, "--threads 3: with --executor ray say --cpus-per-trial 3"),
        (Recipe.PUBLISHED, {"cluster": ClusterSettings(gpus_per_trial=2)}, "--gpus-per-trial: only a Ray cluster has"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_before_it_is_connected_to(
    file: AblationFile, tmp_path: Path, recipe: Recipe, given: dict[str, Any], said: str
) -> None:
    chosen = file.model_copy(update={"recipe": recipe})
    with pytest.raises(UserError, match=said):
        prepare_ablation(AblationSettings(file=chosen, results=tmp_path, **given))


def test_it_starts_from_random_weights() -> None:
    with pytest.raises(UserError, match=r"--from-scratch: .*from_scratch: true|recipe: published trains every arm"):
        load_ablation("reproduce-full", {"from_scratch": False})


def test_the_recipe_decides_which_trainer_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "train", lambda *_: "short")
    monkeypatch.setattr(trial, "train_published", lambda *_: "published")
    short = Training(
        config={}, base_config={}, base_weights=None, layers={}, data="", classes=1, schedule=SimpleNamespace(),  # type: ignore[arg-type]
        seed=0, device="cpu", threads=1,
    )  # fmt: skip
    report: Any = None
    assert train_base(short, report) == "short"  # type: ignore[comparison-overlap]
    assert train_base(replace(short, recipe=Recipe.PUBLISHED), report) == "published"  # type: ignore[comparison-overlap]
