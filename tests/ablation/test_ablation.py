"""A real ablation: trained in processes of their own, resumed, and the same again elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from harness.storage.records import load_record
from harness.training.curve import curve_path
from tests.search.conftest import Clo

pytestmark = pytest.mark.slow
FILE = {
    "name": "real",
    "imgsz": 64,
    "epochs": 1,
    "base_epochs": 2,
    "models": ["yolov5n-clo-backbone-last"],
    "factors": {"ffn": ["none"]},
    "controls": [],
    "placebos": ["params"],
    "seeds": 1,
}


@pytest.fixture(scope="module")
def ablation(clo: Clo, small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which an ablation of one seed was run, and then one of two."""
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "real.yaml").write_text(yaml.safe_dump({**FILE, "data": str(small_data)}), encoding="utf-8")
    for seeds in ("1", "2"):
        run = clo(["ablate", "real.yaml", "--seeds", seeds, "--bases", "0,5", "--keep-weights", "--json"], folder)
        assert run.returncode == 0, run.stderr
    (folder / "said.json").write_text(run.stdout, encoding="utf-8")
    return folder


def test_every_arm_is_trained_from_every_base_under_every_seed_once(ablation: Path) -> None:
    trials = load_record(f"sqlite:///{ablation}/results/real/study.db", "real").trials
    assert set(trials.state) == {"complete"}
    assert trials.groupby("architecture").size().tolist() == [4] * 4
    assert not trials.duplicated(["architecture", "base_seed", "seed"]).any()
    assert set(zip(trials.base_seed, trials.seed, strict=True)) == {(0, 0), (5, 0), (0, 1), (5, 1)}


def test_a_difference_is_one_of_the_same_base_and_seed(ablation: Path) -> None:
    trials = load_record(f"sqlite:///{ablation}/results/real/study.db", "real").trials
    levels = trials[trials.architecture == "baseline"].set_index(["base_seed", "seed"]).map50_95
    for row in trials.to_dict("records"):
        own = levels[row["base_seed"], row["seed"]]
        assert row["gain_map50_95"] == pytest.approx(row["map50_95"] - own)
    said = json.loads((ablation / "said.json").read_text(encoding="utf-8"))
    assert [each["readings"] for each in said["gains"]] == [2, 2, 2], "bases, not seeds"


def test_all_of_the_base_arrives_in_every_arm(ablation: Path) -> None:
    trials = load_record(f"sqlite:///{ablation}/results/real/study.db", "real").trials
    arrived = trials.transferred.str.extract(r"(\d+) of (\d+) base tensors transferred$").astype(int)
    assert (arrived[0] == arrived[1]).all() and (arrived[0] > 100).all()


def test_the_placebo_has_its_models_parameters(ablation: Path) -> None:
    record = load_record(f"sqlite:///{ablation}/results/real/study.db", "real")
    params = {arm.name: arm.params for arm in record.arms}
    model = params["yolov5n-clo-backbone-last"]
    assert params["yolov5n-clo-backbone-last: base widened to its params"] == pytest.approx(model, rel=1e-3)


def test_models_and_baseline_leave_their_weights(ablation: Path) -> None:
    kept = sorted(path.name.split("-")[0] for path in (ablation / "results" / "real" / "trained").glob("*.pt"))
    assert kept.count("baseline") == 4 and len(kept) == 8


def test_every_training_leaves_its_learning_curve(ablation: Path) -> None:
    trials = load_record(f"sqlite:///{ablation}/results/real/study.db", "real").trials
    folder = ablation / "results" / "real" / "curves"
    for row in trials.to_dict("records"):
        path = curve_path(folder, row["architecture"], row["epochs"], row["base_seed"], row["seed"])
        assert pd.read_parquet(path).epoch.iloc[-1] == row["epochs"]
    assert len([*folder.iterdir()]) == len(trials)


def test_the_report_is_there_with_its_picture(ablation: Path) -> None:
    folder = ablation / "results" / "real"
    for name in ("report.html", "report.md", "forest.png", "contrasts.csv", "trials.csv", "environment.json"):
        assert (folder / name).stat().st_size > 100, name
