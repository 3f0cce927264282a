"""A whole ablation, and an architecture's long training, their trainings pretended."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from harness.ablation import models as arm_models
from harness.ablation import run as ablate_module
from harness.ablation import train_chosen as train_module
from harness.cli import studies as cli_studies
from harness.jobs.progress import Work
from harness.jobs.trial import Job
from harness.record.state import Failure, State
from harness.storage.records import load_record
from harness.terminal.lines import Lines
from tests.cli.command_line import Clo, read, sentence, write
from tests.cli.pretended import Trainings, measured

FILE = {
    "name": "parts",
    "from_scratch": True,
    "imgsz": 64,
    "models": ["yolov5n-clo-backbone-last"],
    "factors": {"gate": ["none"]},
    "controls": ["se"],
    "placebos": ["params"],
    "seeds": 2,
}
ARMS = ["baseline", "yolov5n-clo-backbone-last", *(f"yolov5n-clo-backbone-last: {what}" for what in (
    "gate none", "se", "base widened to its params"))]  # fmt: skip


@pytest.fixture
def pretended(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    trainings = Trainings(measured)
    for module in (ablate_module, train_module):
        monkeypatch.setattr(module, "start_server", lambda: None)
    monkeypatch.setattr("harness.jobs.place.Children", trainings)
    monkeypatch.setattr(arm_models, "model_cost", cheap_cost)  # counting MACs takes a while and has tests of its own
    return trainings


def cheap_cost(model: nn.Module, _imgsz: int) -> Any:
    params = sum(parameter.numel() for parameter in model.parameters())
    return SimpleNamespace(params=params, macs=50.0 * params)


@pytest.fixture
def ablation(tmp_path: Path, data: Path) -> tuple[str, ...]:
    file = write(tmp_path / "parts.yaml", {**FILE, "data": str(data)})
    return ("ablate", str(file), "--workers", "1")


def rows(name: str = "parts") -> Any:
    return load_record(f"sqlite:///results/{name}/study.db", name).trials


def test_the_plan_names_every_arm_and_its_cost_and_trains_nothing(clo: Clo, ablation: tuple[str, ...]) -> None:
    found = read(clo(*ablation, "--plan", "--json", "--quiet"))
    assert [arm["name"] for arm in found["arms"]] == ARMS
    assert found["plan"].startswith("5 arms, 10 trainings, 30 epochs in all, 1 at once; ")
    model, widened = found["arms"][1], found["arms"][4]
    assert widened["params"] == pytest.approx(model["params"], rel=0.001)
    assert model["params"] > found["arms"][0]["params"]
    assert not Path("results").exists()


def test_every_arm_is_trained_under_every_seed_and_nothing_twice(
    clo: Clo, pretended: Trainings, ablation: tuple[str, ...]
) -> None:
    found = read(clo(*ablation, "--json", "--quiet"))
    assert [seed for _, seed in pretended.trained] == [0] * 5 + [1] * 5, "seed by seed, so that a stop leaves pairs"
    assert found["finished"] == 10
    assert [each["name"] for each in found["gains"]] == ARMS[1:]
    assert clo(*ablation, "--quiet").code == 0
    assert len(pretended.asked) == 10
    assert clo(*ablation, "--quiet", "--seeds", "3").code == 0
    assert [seed for _, seed in pretended.trained[10:]] == [2] * 5, "another seed takes only its own trainings"


def test_the_widened_base_is_trained_as_one(clo: Clo, pretended: Trainings, ablation: tuple[str, ...]) -> None:
    assert clo(*ablation, "--quiet", "--seeds", "1").code == 0
    assert [training.widened for training in pretended.asked] == [False] * 4 + [True]


def test_a_failed_arm_is_a_row_with_its_reason_and_the_others_go_on(
    clo: Clo, pretended: Trainings, ablation: tuple[str, ...]
) -> None:
    def outcome(job: Job) -> Any:
        lost = Failure(state=State.FAILED, reason="loss is nan")
        return lost if "RegisteredBlock" in json.dumps(job.training.config) else measured(job)

    pretended.outcome = outcome
    found = read(clo(*ablation, "--json", "--quiet"))
    assert (found["finished"], found["failed"]) == (8, 2)
    assert set(rows().query("state == 'failed'").reason) == {"loss is nan"}
    assert {each["name"]: each["verdict"] for each in found["gains"]}[ARMS[3]] == "unmeasured"
    assert clo(*ablation, "--quiet").code == 0
    assert len(pretended.asked) == 10, "a failure is an answer"


def test_ctrl_c_leaves_a_report_and_the_same_command_goes_on(
    clo: Clo, pretended: Trainings, ablation: tuple[str, ...]
) -> None:
    pretended.then = {3: KeyboardInterrupt()}
    assert clo(*ablation, "--quiet").code == 130
    assert list(rows().state) == ["complete", "complete", "interrupted"]
    assert Path("results/parts/report.html").is_file()
    assert clo(*ablation, "--quiet").code == 0
    assert len(pretended.asked) == 11
    assert rows().query("state == 'complete'").groupby("architecture").size().tolist() == [2] * 5


def test_a_report_is_made_again_from_storage_alone(clo: Clo, pretended: Trainings, ablation: tuple[str, ...]) -> None:
    assert clo(*ablation, "--quiet", "--seeds", "1").code == 0
    first = Path("results/parts/report.html").read_text(encoding="utf-8")
    Path("results/parts/report.html").unlink()
    assert clo("report", "parts").code == 0
    assert Path("results/parts/report.html").read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (("--seeds", "0,0"), "--seeds: 0 is given twice"),
        (("--seeds", "many"), "--seeds many: neither a number of seeds (5) nor a list of them (0,3,7)"),
        (("--model", "nothing"), "--model nothing: neither an architecture file, nor a model of the article such as"),
        (("--model", "yolov8n-clo-head"), "this model's base is yolov8n, not yolov5n; name yolov5n-clo-head"),
        (("--bases", "3"), "from_scratch trains no base"),
        (("--study", "a/b"), "--study: expected a name of letters"),
        (("--model", "yolov5n-clo-head", "--model", "yolov5n-clo-head"), "--model: yolov5n-clo-head is given twice"),
        (("--seeds", "0"), "--seeds 0: at least one"),
        (("--executor", "slurm"), "--executor slurm: Input should be 'local' or 'ray'"),
        (("--gpus-per-trial", "2"), "--gpus-per-trial: only a Ray cluster has that; add --executor ray"),
        (("--executor", "ray", "--gpus-per-trial", "1.5"), "--gpus-per-trial 1.5: a training shares one GPU"),
        (("--executor", "ray", "--gpus-per-trial", "3"), "--gpus-per-trial 3: a short training has one GPU"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    clo: Clo, ablation: tuple[str, ...], options: tuple[str, ...], right: str
) -> None:
    assert right in sentence(clo(*ablation, "--quiet", *options))


def test_an_arm_that_makes_no_difference_is_one_sentence(clo: Clo, tmp_path: Path, data: Path) -> None:
    file = write(tmp_path / "idle.yaml", {**FILE, "data": str(data), "factors": {"gate": ["swish_tanh"]}})
    assert "'yolov5n-clo-backbone-last: gate swish_tanh' makes no difference to" in sentence(
        clo("ablate", str(file), "--quiet")
    )


def test_a_chosen_architecture_is_trained_with_the_baseline_under_new_seeds(
    clo: Clo, pretended: Trainings, ablation: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert clo(*ablation, "--quiet", "--seeds", "1").code == 0
    chosen = rows().architecture[1]
    monkeypatch.setattr(cli_studies, "write", lambda _record, folder: folder)
    found = json.loads(clo("train", "parts", chosen, "--epochs", "7", "--seeds", "2", "--workers", "1", "--json").out)
    assert [(t.seed, t.schedule.epochs) for t in pretended.asked[5:]] == [(1, 7), (1, 7), (2, 7), (2, 7)]
    assert all(training.save_to for training in pretended.asked[5:])
    assert (found["seeds"], found["gain_map50_95"], found["verdict"]) == (2, 0.0, "undecided")
    long = rows()[rows().epochs == 7]
    assert long.groupby("architecture").size().to_dict() == {chosen: 2, "baseline": 2}
    assert long.gain_map50_95.tolist() == [0.0] * 4
    assert clo("train", "parts", chosen, "--epochs", "7", "--seeds", "2", "--workers", "1", "--json").code == 0
    assert len(pretended.asked) == 9, "nothing is trained twice"


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (("deadbeef",), "study x has no architecture 'deadbeef'; it has baseline"),
        (("baseline", "--epochs", "3"), "--epochs 3: the study's own trainings have so many; give another number"),
        (("baseline", "--epochs", "0"), "--epochs 0: Input should be greater than or equal to 1"),
        (("baseline", "--data", "x.yaml"), "--data x.yaml: an architecture of a study has the study's; leave it out"),
    ],
)
def test_a_wrong_choice_is_one_sentence(
    clo: Clo, begun: Path, pretended: Trainings, options: tuple[str, ...], right: str
) -> None:
    said = clo("train", "x", *options, "--json")
    assert (said.code, said.out, pretended.asked) == (2, "", [])
    assert said.err.splitlines()[-1].startswith(f"error: {right}")


def test_what_is_for_studies_is_refused_for_a_model(clo: Clo) -> None:
    assert "--seeds 3: it is for STUDY ARCHITECTURE; leave it out" in sentence(clo("train", "yolov5n", "--seeds", "3"))


def test_what_is_left_is_told_with_every_training(
    clo: Clo, pretended: Trainings, ablation: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Work] = []
    monkeypatch.setattr(Lines, "plan", lambda _, work: told.append(work))
    clo(*ablation)
    assert [work.trainings for work in told] == list(range(2 * len(ARMS) - 1, -1, -1))
    assert all(work.epochs == work.trainings * pretended.asked[0].schedule.epochs for work in told)
    assert not any(work.timed for work in told)  # without --latency-seconds
