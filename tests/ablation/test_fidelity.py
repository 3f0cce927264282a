"""A fidelity study trains each architecture by each schedule once, resumes, and refuses a plan that makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from filelock import FileLock

from harness.ablation import fidelity as module
from harness.ablation.fidelity import prepare_fidelity, run_fidelity
from harness.ablation.fidelity_plan import FidelityPlan, check_same, load_plan
from harness.ablation.fidelity_rows import COLUMNS, TRAININGS
from harness.architecture import BASELINE, Init
from harness.common.errors import UserError
from harness.data.digits import DigitsSettings
from harness.jobs.base import CommonBase
from harness.jobs.plan import enough_epochs
from harness.jobs.trial import Job, Measured, run_trial
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy, Training

PLAN: dict[str, Any] = {
    "name": "tiny",
    "base": "yolov5n",
    "data": "digits",
    "imgsz": 64,
    "batch": 8,
    "base_epochs": 1,
    "cohort": {"default": 2, "inside": 1},
    "long": {"name": "long", "epochs": 8, "seeds": [9]},
    "short": [
        {"name": "short", "epochs": 1, "seeds": [0, 1]},
        {"name": "scratch", "epochs": 2, "seeds": [0], "from_scratch": True, "architectures": 2},
    ],
}


def plan(**changes: Any) -> FidelityPlan:
    return FidelityPlan.model_validate(PLAN | changes)


class FakeChildren:
    """Ends trainings at once, the last first; `outcome` decides how."""

    def __init__(self) -> None:
        self.asked: list[Training] = []
        self.functions: set[object] = set()
        self.outcome: Callable[[Training], Any] = lambda _: Measured(accuracy=ACCURACY, latency=None, cpu_seconds=2.51)
        self.stop_after = 10**6
        self.stop_with: BaseException = KeyboardInterrupt()
        self.workers = 1
        self._running: list[tuple[int, Training]] = []

    def __call__(self, _on_progress: object, log: Path, workers: int) -> FakeChildren:
        self.workers = workers
        return self

    def __enter__(self) -> FakeChildren:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()

    def start(self, key: int, function: object, job: Job) -> None:
        self.functions.add(function)
        self.asked.append(job.training)
        self._running.append((key, job.training))

    def within(self, _seconds: float | None) -> tuple[int, Any]:
        if len(self.asked) > self.stop_after:
            raise self.stop_with
        key, training = self._running.pop()
        return key, self.outcome(training)

    def ended(self) -> list[tuple[int, Any]]:
        key, training = self._running.pop()
        return [(key, self.outcome(training))]

    def one_at_a_time(self) -> bool:
        self.workers = 1
        return True

    def stop(self) -> None:
        self._running.clear()


ACCURACY = Accuracy(map50_95=0.4, map50=0.6, evaluator="E", train_seconds=1.0, transferred="")


@pytest.fixture
def bases(monkeypatch: pytest.MonkeyPatch, digits: Path) -> list[CommonBase]:
    """Pretrained baselines that were asked for; none is trained."""
    asked: list[CommonBase] = []

    def make(*_: object, **__: object) -> CommonBase:
        asked.append(CommonBase(weights=digits.parent / "base.pt", origin="trained"))
        return asked[-1]

    monkeypatch.setattr(module, "common_base", make)
    return asked


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch, bases: list[CommonBase]) -> FakeChildren:
    fake = FakeChildren()
    monkeypatch.setattr("harness.jobs.place.Children", fake)
    return fake


@pytest.fixture
def trained(children: FakeChildren) -> list[Training]:
    """Trainings in the order they were asked for; none really happens."""
    return children.asked


def run(
    folder: Path, chosen: FidelityPlan | None = None, *, workers: int = 1, say: Callable[[str], None] = lambda _: None
) -> pd.DataFrame:
    return run_fidelity(prepare_fidelity(chosen or plan(), workers), folder, say=say)


def test_every_training_asks_for_the_data_that_were_checked_and_they_are_named(
    trained: list[Training], tmp_path: Path
) -> None:
    said: list[str] = []
    run(tmp_path, say=said.append)
    fingerprints = {training.data_fingerprint for training in trained}
    assert len(fingerprints) == 1 and "" not in fingerprints
    assert said[0] == "data: 640 training and 800 validation images, at 64 px"


def test_every_schedule_trains_the_baseline_and_its_part_of_the_cohort(trained: list[Training], tmp_path: Path) -> None:
    rows = run(tmp_path)
    counts = rows.groupby(["schedule", "seed"]).size().to_dict()
    assert counts == {("short", 0): 4, ("short", 1): 4, ("long", 9): 4, ("scratch", 0): 3}
    assert (rows.groupby(["schedule", "seed"]).architecture.first() == BASELINE).all()
    assert list(dict.fromkeys(rows.schedule)) == ["short", "long", "scratch"]
    assert [t.schedule.epochs for t in trained] == [1] * 8 + [8] * 4 + [2] * 3
    assert [t.base_weights is None for t in trained] == [False] * 12 + [True] * 3
    assert {t.threads for t in trained} == {1}


def test_spaces_take_turns_and_the_cohort_is_always_the_same(trained: list[Training], tmp_path: Path) -> None:
    first, second = run(tmp_path / "1"), run(tmp_path / "2")
    assert list(first.architecture) == list(second.architecture)
    assert list(first[first.schedule == "long"].space) == ["", "default", "inside", "default"]
    assert first[first.schedule == "long"].architecture.is_unique


def test_what_is_finished_is_not_trained_again(trained: list[Training], tmp_path: Path) -> None:
    whole = run(tmp_path)
    file = tmp_path / "trainings.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:6]))  # as if killed after five
    trained.clear()
    again = run(tmp_path)
    assert len(trained) == len(whole) - 5
    assert list(again.cpu_seconds) == [2.5] * len(whole)
    pd.testing.assert_frame_equal(again, whole)
    assert list(pd.read_csv(file).columns) == list(COLUMNS)


def test_the_base_is_trained_only_where_a_training_that_is_left_starts_from_it(
    trained: list[Training], bases: list[CommonBase], tmp_path: Path
) -> None:
    run(tmp_path)
    assert len(bases) == 1
    run(tmp_path)
    assert len(bases) == 1
    file = tmp_path / TRAININGS
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith("scratch")))
    trained.clear()
    run(tmp_path)
    assert len(trained) == 3 and len(bases) == 1


def test_what_lacks_memory_beside_others_is_no_row_and_trained_again_alone(
    children: FakeChildren, tmp_path: Path
) -> None:
    well, failed = children.outcome, iter([Failure(state=State.OUT_OF_MEMORY, reason="no more")])
    children.outcome = lambda training: next(failed, None) or well(training)
    said: list[str] = []
    rows = run(tmp_path, workers=3, say=said.append)
    assert set(rows.state) == {"complete"} and len(rows) == 15 and len(children.asked) == 16
    assert children.workers == 1 and any("too little memory" in line for line in said)


def test_a_failure_is_a_row_with_its_reason_and_is_tried_again(children: FakeChildren, tmp_path: Path) -> None:
    well = children.outcome
    children.outcome = lambda _: Failure(state=State.FAILED, reason="loss is nan")
    rows = run(tmp_path)
    assert set(rows.state) == {"failed"} and set(rows.reason) == {"loss is nan"} and rows.map50_95.isna().all()
    children.outcome = well
    assert set(run(tmp_path).state) == {"complete"}


def test_ctrl_c_keeps_what_had_ended(children: FakeChildren, tmp_path: Path) -> None:
    children.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, workers=2)
    assert len(pd.read_csv(tmp_path / "trainings.csv")) == 5  # four handed out, and one that ended meanwhile


def test_trainings_that_are_no_longer_planned_stay_in_the_file_and_count_for_nothing(
    trained: list[Training], tmp_path: Path
) -> None:
    run(tmp_path)
    trained.clear()
    fewer = plan(cohort={"default": 1, "inside": 1})
    assert run(tmp_path, fewer).architecture.nunique() == 3
    assert not trained
    assert pd.read_csv(tmp_path / "trainings.csv").architecture.nunique() == 4


def test_a_study_goes_on_only_with_what_it_was_begun_with(tmp_path: Path) -> None:
    before = {"plan": plan().model_dump(mode="json"), "base_fingerprint": "b", "data_fingerprint": "d"}
    more = plan(short=[*PLAN["short"], {"name": "more", "epochs": 3, "seeds": [0]}]).model_dump(mode="json")
    check_same(before | {"plan": more}, before, tmp_path)
    longer = plan(long=PLAN["long"] | {"epochs": 9}).model_dump(mode="json")
    for changed, what in (
        ({"plan": longer}, "schedule 'long'"),
        ({"data_fingerprint": "e"}, "data_fingerprint"),
        ({"plan": plan(base_epochs=2).model_dump(mode="json")}, "base_epochs"),
    ):
        with pytest.raises(UserError, match=f"begun with another {what}"):
            check_same(before | changed, before, tmp_path)


def test_two_programs_never_work_in_one_folder(trained: list[Training], tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(UserError, match="another program is at work"):
        run(tmp_path)


def test_a_foreign_table_is_refused_and_left_alone(trained: list[Training], tmp_path: Path) -> None:
    (tmp_path / "trainings.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"trainings\.csv: its columns are not"):
        run(tmp_path)
    assert (tmp_path / "trainings.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"short": [PLAN["long"]]}, "two schedules are called 'long'"),
        ({"long": PLAN["long"] | {"architectures": 3}}, "leave its `architectures` out"),
        ({"short": []}, "short: "),
        ({"short": [PLAN["short"][0] | {"seeds": [9]}]}, "seed 9 of schedule 'short' is the long one's"),
        ({"long": PLAN["long"] | {"seeds": [9, 9]}}, "schedule 'long' names a seed twice"),
        ({"epochs": 3}, "epochs: "),
        ({"long": PLAN["long"] | {"epochs": 0}}, "long.epochs: "),
    ],
)
def test_a_wrong_plan_is_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(PLAN | changes))
    with pytest.raises(UserError, match=message):
        load_plan(str(file))


def test_a_missing_plan_names_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are: crowd, default, identity"):
        load_plan("nowhere")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    with pytest.raises(UserError, match="not readable as YAML"):
        load_plan(str(broken))


def test_the_shipped_plan_measures_a_searchs_own_default_eight_times_longer() -> None:
    from harness.record.settings import SearchSettings

    shipped, defaults = load_plan("default"), SearchSettings()
    own = shipped.short[0]
    assert own.epochs == enough_epochs(images=DigitsSettings().train_images, batch=defaults.batch)
    assert shipped.init is Init.RESIDUAL
    for name in ("learning_rate", "block_rate_factor", "from_scratch"):
        assert getattr(own, name) == getattr(defaults, name)
    for name in ("base", "data", "imgsz", "batch", "base_epochs"):
        assert getattr(shipped, name) == getattr(defaults, name)
    assert shipped.long.epochs >= 8 * own.epochs
    assert sum(shipped.cohort.values()) >= 24
    assert not set(shipped.long.seeds) & {seed for rung in shipped.short for seed in rung.seeds}


# --- As a search's --------------------------------------------------------------------------------


def test_a_training_is_run_as_those_of_a_search_are(children: FakeChildren, tmp_path: Path) -> None:
    """So it rests while a latency is measured, and notices data that change."""
    run(tmp_path)
    assert children.functions == {run_trial}


def test_what_had_ended_is_kept_where_the_data_change(
    children: FakeChildren, trained: list[Training], tmp_path: Path
) -> None:
    children.stop_after, children.stop_with = 3, UserError("changed")
    with pytest.raises(UserError, match="changed"):
        run(tmp_path, workers=2)
    kept = pd.read_csv(tmp_path / TRAININGS)
    assert len(kept) == 3
