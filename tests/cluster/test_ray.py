"""Trainings on a Ray cluster of two nodes: the same figures as here, and a dead node costs nobody a trial."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from ultralytics.utils.patches import torch_load

from benchmarks.ray_cluster import RayCluster, is_installed
from harness.data.digits import DigitsSettings, ensure_digits
from harness.storage.records import load_record
from tests.coco_data import write_coco

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="needs Ray: pip install 'clo-nas[ray]'"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=2, cpus=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The least after which a detector finds something: an mAP of 0 would equal every other one."""
    easy = DigitsSettings(
        train_images=48, val_images=24, height_min=24, height_max=60, contrast_min=90, contrast_max=140
    )
    data = ensure_digits(tmp_path_factory.mktemp("data"), easy)
    return (
        "search", "--data", str(data), "--imgsz", "64", "--batch", "4", "--base-epochs", "16", "--epochs", "1",
        "--trials", "2", "--seeds", "1", "--finalists", "0", "--latency-seconds", "0.3", "--sampler", "random",
        "--objectives", "map50_95,macs", "--study", "x", "--quiet",
    )  # fmt: skip


def clo(arguments: tuple[str, ...], folder: Path, cache: str | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**os.environ, **({"CLO_NAS_CACHE": cache} if cache else {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ran_on(log: Path) -> list[tuple[int, str]]:
    """The trainings in the order in which they began, each with its node; who began twice is there twice."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return [
        (int(number), node) for number, node in re.findall(r"^training (\d+) runs on node \S+ \((\w+)\)", text, re.M)
    ]


def rows(folder: Path) -> pd.DataFrame:
    record = load_record(f"sqlite:///{folder / 'results' / 'x' / 'study.db'}", "x")
    return record.trials.sort_values("trial").reset_index(drop=True)


def until(is_so: Callable[[], Any], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_a_node_killed_in_mid_trial_costs_no_trial_and_changes_no_figure(
    cluster: RayCluster, search: tuple[str, ...], tmp_path: Path
) -> None:
    on_ray, here = tmp_path / "ray", tmp_path / "here"
    on_ray.mkdir()
    here.mkdir()
    log, victim = on_ray / "results" / "x" / "trainings.log", cluster.nodes[1]
    running = clo((*search, "--executor", "ray", "--address", cluster.address), on_ray)

    def on_victim() -> list[int]:  # a candidate begins beside the baseline, so that each of two nodes has one
        return [number for number, node in ran_on(log) if node == victim.identity]

    until(lambda: on_victim() or running.poll() is not None, 240)
    assert on_victim(), running.communicate()
    (number,) = on_victim()
    cluster.kill(victim)
    said, errors = running.communicate(timeout=240)
    assert running.returncode == 0, said + errors
    assert [node for each, node in ran_on(log) if each == number] == [victim.identity, cluster.nodes[0].identity]

    found = rows(on_ray)
    assert list(found.state) == ["complete"] * 3
    assert not found.duplicated(["architecture", "seed", "epochs"]).any()

    shutil.copytree(on_ray / "results" / ".bases", here / "cache" / "bases")  # trained by a task
    local = clo((*search, "--workers", "2", "--threads", "1"), here, str(here / "cache"))
    said, errors = local.communicate(timeout=240)
    assert local.returncode == 0, said + errors
    same = ["architecture", "map50_95", "map50", "macs", "params"]
    pd.testing.assert_frame_equal(found[same], rows(here)[same], check_exact=True)
    assert found.map50_95.min() > 0
    cluster.add()


def test_every_end_of_a_task_is_a_value_with_its_reason(cluster: RayCluster, tmp_path: Path) -> None:
    found = ends(cluster, tmp_path, "ends")
    assert found["workers"] == 2, "a training a node"
    assert found["double"] == 42
    assert ["double", "half"] in found["said"]
    assert found["memory"] == ["out_of_memory", "MemoryError: no more"]
    assert found["error"] == ["failed", "ValueError: a shape does not fit"]
    assert found["killed"] == ["failed", "its process or its node died twice; not run again"]
    begun = {name: len((tmp_path / name).read_text().split()) for name in ("double", "memory", "error", "killed")}
    assert begun == {"double": 1, "memory": 1, "error": 1, "killed": 2}


def test_a_wrong_input_found_in_a_task_stops_the_search(cluster: RayCluster, tmp_path: Path) -> None:
    assert ends(cluster, tmp_path, "wrong input") == {"user error": "the data are wrong"}


def test_a_node_of_another_kind_trains_nothing(cluster: RayCluster, tmp_path: Path) -> None:
    said = ends(cluster, tmp_path, "other kind")["user error"]
    assert "cpu of another make (the others)" in said
    assert "choose one kind with --resource" in said
    assert not (tmp_path / "user").exists()


@pytest.mark.parametrize("what", ["stopped", "hangs"])
def test_a_task_ends_with_the_search_that_stops_or_is_killed(cluster: RayCluster, tmp_path: Path, what: str) -> None:
    driver = start_ends(cluster, tmp_path, what)
    until((tmp_path / "sleep").exists, 60)
    if what == "hangs":
        driver.kill()
    driver.communicate(timeout=60)
    (pid,) = (tmp_path / "sleep").read_text().split()
    until(lambda: not psutil.pid_exists(int(pid)), 30)


def test_a_gpu_where_there_is_none_is_said_before_anything_is_trained(
    cluster: RayCluster, search: tuple[str, ...], tmp_path: Path
) -> None:
    asked = clo((*search, "--executor", "ray", "--address", cluster.address, "--gpus-per-trial", "1"), tmp_path)
    _, said = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert "a training asks for 1 CPU, 1 GPU, which none of the cluster's 2 nodes has" in " ".join(said.split())
    assert "has 1 CPU, 0 GPU" in " ".join(said.split())
    assert not (tmp_path / "results").exists()


def start_ends(cluster: RayCluster, folder: Path, what: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("ray_ends.py")), cluster.address, str(folder), what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        text=True,
    )


def ends(cluster: RayCluster, folder: Path, what: str) -> dict[str, Any]:
    said, _ = start_ends(cluster, folder, what).communicate(timeout=240)
    found: dict[str, Any] = json.loads(said)  # and nothing of Ray's beside it
    return found


def test_a_published_training_whose_node_dies_goes_on_elsewhere_from_its_last_whole_epoch(
    cluster: RayCluster, tmp_path: Path
) -> None:
    epochs = 8
    data = write_coco(tmp_path / "coco", train=8, val=6)
    file = {
        "name": "x", "base": "yolov5n", "data": str(data.train), "imgsz": 64, "epochs": epochs, "batch": 2,
        "recipe": "published", "from_scratch": True, "models": ["yolov5n-clo-head"], "without": False, "factors": {},
        "controls": [], "placebos": [], "seeds": 1,
    }  # fmt: skip
    (tmp_path / "ablation.yaml").write_text(json.dumps(file), encoding="utf-8")  # which is YAML
    study, victim, survivor = tmp_path / "results" / "x", cluster.nodes[1], cluster.nodes[0]
    running = clo(("ablate", "ablation.yaml", "--quiet", "--executor", "ray", "--address", cluster.address), tmp_path)

    def of_victim() -> tuple[int, Path] | None:
        """Its training, and where that one's checkpoints lie."""
        for number, node in ran_on(study / "trainings.log"):
            for folder in (study / "runs").glob("*"):
                if node == victim.identity and folder.name.startswith("baseline-") == (number == 0):
                    return number, folder / "run"
        return None

    def has_an_epoch_behind() -> bool:
        found = of_victim()
        return found is not None and (found[1] / "weights" / "last.pt").is_file()

    until(lambda: has_an_epoch_behind() or running.poll() is not None, 240)
    assert running.poll() is None, running.communicate()
    cluster.kill(victim)
    found = of_victim()
    assert found is not None
    number, run = found
    behind = torch_load(run / "weights" / "last.pt", map_location="cpu")["epoch"] + 1
    assert 1 <= behind < epochs, "it was killed in the middle"
    before = pd.read_csv(run / "results.csv").head(behind)

    said, errors = running.communicate(timeout=240)
    assert running.returncode == 0, said + errors
    cluster.add()
    nodes = [node for each, node in ran_on(study / "trainings.log") if each == number]
    assert nodes == [victim.identity, survivor.identity]
    after = pd.read_csv(run / "results.csv")
    assert sorted(set(after.epoch)) == list(range(1, epochs + 1))
    pd.testing.assert_frame_equal(after.head(behind), before, check_exact=True)  # their clock too: not made again
    trials = rows(tmp_path)
    assert list(trials.state) == ["complete"] * 2
    assert trials.train_seconds[number] > before.time.iloc[-1], "what was behind counts"
