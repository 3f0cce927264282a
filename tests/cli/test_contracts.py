"""What scripts read is JSON alone."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from harness.cli.search import duration
from harness.data.check import check_dataset
from harness.detectors import find_sites, load_model, resolve_base
from harness.jobs.place import Place
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy, Training, save_checkpoint
from tests.cli.command_line import Clo, read, sentence, write


def test_sites_is_a_list_of_places(clo: Clo) -> None:
    found = read(clo("sites", "yolov8n", "--json"))
    assert [list(site) for site in found] == [
        ["site", "layer", "channels", "stride", "modes", "inside_channels"]
    ] * len(found)
    assert found == [site.to_dict() for site in find_sites(resolve_base("yolov8n")).values()]


def test_model_is_a_description_that_ultralytics_reads(clo: Clo, tmp_path: Path) -> None:
    said = clo("model", "yolov5n-clo-head", "--classes", "3")
    assert (said.code, said.err) == (0, "")
    printed = yaml.safe_load(said.out)
    assert printed["nc"] == 3
    assert [row[2] for row in printed["head"]].count("CloBlock") == 3
    written = read(clo("model", "yolov5n-clo-head", "--classes", "3", "--out", "new/m.yaml", "--json"))
    assert written["file"] == "new/m.yaml"
    assert (tmp_path / "new" / "m.yaml").read_text() == said.out
    assert len(list(load_model(str(tmp_path / "new" / "m.yaml")).model)) == len(printed["backbone"] + printed["head"])


def test_model_of_a_plain_base_reads_back_as_that_base(clo: Clo, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(clo("model", "yolo11n").out)
    again, base = (load_model(name).state_dict() for name in (str(tmp_path / "m.yaml"), "yolo11n"))
    assert {name: tensor.shape for name, tensor in again.items()} == {n: t.shape for n, t in base.items()}


def test_train_says_what_it_yields(clo: Clo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Training] = []

    def trained(_place: Place, _function: object, training: Training, *_: object) -> Accuracy:
        seen.append(training)
        return Accuracy(
            map50_95=0.5, map50=0.7, evaluator="E 1", per_class={"cat": 0.5}, train_seconds=2.0,
            transferred="trained from scratch",
        )  # fmt: skip

    monkeypatch.setattr(Place, "run_alone", trained)
    said = clo(
        "train", "yolov5n-clo-head", "--data", str(data), "--imgsz", "64", "--epochs", "2", "--seed", "3", "--json"
    )
    assert said.code == 0
    assert json.loads(said.out) == {
        "model": "yolov5n-clo-head", "weights": "results/train/yolov5n-clo-head.pt", "seed": 3, "epochs": 2,
        "map50_95": 0.5, "map50": 0.7, "evaluator": "E 1", "per_class": {"cat": 0.5}, "train_seconds": 2.0,
        "transferred": "trained from scratch",
    }  # fmt: skip
    [training] = seen
    assert (training.seed, training.schedule.epochs, training.schedule.imgsz) == (3, 2, 64)
    assert [row[2] for row in training.config["head"]].count("CloBlock") == 3
    assert training.data_fingerprint == check_dataset(str(data), 64).fingerprint
    people = clo("train", "yolov5n", "--data", str(data), "--imgsz", "64")
    assert f"data: {data.parent}, 2 training and 2 validation images, at 64 px" in people.out
    clo("train", "yolov5n", "--data", str(data))
    clo("train", "yolov5n")
    assert [each.schedule.imgsz for each in seen] == [64, 64, 640, 128]
    assert "mAP50-95 0.5000, mAP50 0.7000 (E 1; one seed, 0)" in people.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("yolov5n", "--imgsz", "70"), "--imgsz 70: a multiple of the detector's stride, 32, is wanted"),
        (("yolov8n-p6", "--imgsz", "96"), "--imgsz 96: a multiple of the detector's stride, 64, is wanted"),
        (("yolov5n", "--weights", "absent.pt"), "base absent.pt: no such checkpoint"),
        (("yolov5q",), "base yolov5q: no such model"),
        (("yolov5n", "--data", "absent.yaml"), "absent.yaml"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(clo: Clo, arguments: tuple[str, ...], reason: str) -> None:
    said = clo("train", *arguments)
    assert said.code == 2
    assert reason in said.err and "Traceback" not in said.err


def test_weights_of_another_model_are_refused(clo: Clo, data: Path, tmp_path: Path) -> None:
    save_checkpoint(resolve_base("yolov8n").build(3), tmp_path / "other.pt")
    said = clo("train", "yolov5n-clo-head", "--data", str(data), "--imgsz", "64", "--weights", "other.pt")
    assert said.code == 2
    assert re.search(
        r"--weights other.pt: \d+ of its \d+ tensors fit yolov5n; give a checkpoint of that model", said.err
    )


def test_a_model_is_not_overwritten_by_its_own_training(clo: Clo, data: Path, tmp_path: Path) -> None:
    save_checkpoint(resolve_base("yolov5n").build(3), tmp_path / "m.pt")
    said = clo("train", "m.pt", "--data", str(data), "--imgsz", "64", "--out", "m.pt")
    assert said.code == 2
    assert "--out m.pt: this is the model that is trained from; name another file" in said.err


def test_a_training_that_fails_says_why(clo: Clo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Failure(state=State.FAILED, reason="loss is nan at iteration 3")
    monkeypatch.setattr(Place, "run_alone", lambda *_: failed)
    said = clo("train", "yolov5n", "--data", str(data), "--imgsz", "64")
    assert said.code == 2
    assert "error: yolov5n cannot be trained: loss is nan at iteration 3" in said.err


def test_cost_names_parameters_macs_and_flops(clo: Clo) -> None:
    cost = read(clo("cost", "yolov5n", "--imgsz", "64", "--json"))
    assert {"params", "macs", "flops", "by_operator", "uncounted"} <= set(cost)
    assert cost["params"] == sum(parameter.numel() for parameter in load_model("yolov5n").parameters())
    assert cost["flops"] == 2 * cost["macs"]
    assert sum(cost["by_operator"].values()) == cost["macs"]
    assert cost["elementwise"]["silu"] > 0 and cost["ignored"] and not cost["uncounted"]
    assert sum(layer["macs"] for layer in cost["layers"]) == cost["macs"]
    assert cost["peak_activation_bytes"] > 0 and cost["not_counted"]


def test_cost_names_the_form_that_is_trained_and_the_one_that_is_deployed(clo: Clo) -> None:
    cost = read(clo("cost", "yolo26n", "--imgsz", "64", "--json"))
    fused = cost["fused"]
    assert (cost["form"], fused["form"]) == ("as trained: eval mode, unfused", "as deployed: eval mode, fused")
    assert set(fused) == set(cost) - {"model", "imgsz", "fused"}
    assert fused["params"] < cost["params"] and fused["macs"] < cost["macs"]


def test_cost_of_an_architecture_file_is_more_than_its_bases(clo: Clo, tmp_path: Path) -> None:
    placement = {"site": "neck.P4", "groups": [[3, 2]], "global_heads": 2, "kv_pool": 2}
    path = write(tmp_path / "mine.yaml", {"base": "yolov5n", "placements": [placement]})
    ours, base = (read(clo("cost", model, "--imgsz", "64", "--json")) for model in (str(path), "yolov5n"))
    assert ours["params"] > base["params"] and ours["macs"] > base["macs"]
    assert set(ours["by_operator"]) > set(base["by_operator"])  # attention's products


def test_latency_is_a_ratio_of_a_over_b_with_its_interval(clo: Clo) -> None:
    found = read(clo("latency", "yolov8n", "yolov5n", "--imgsz", "64", "--seconds", "0.5", "--json"))
    low, high = found["ratio_ci95"]
    assert 0 < low <= found["ratio"] <= high
    assert set(found["latency_ms_p50"]) == {"a", "b"}
    assert all(time > 0 for time in found["latency_ms_p50"].values())
    assert (found["a"]["model"], found["b"]["model"]) == ("yolov8n", "yolov5n")
    assert found["imgsz"] == 64


def test_latency_is_measured_as_asked_and_keeps_every_pass(clo: Clo) -> None:
    how = ("--dtype", "bf16", "--memory-format", "channels_last", "--no-fuse", "--batch", "2", "--precision", "50")
    small = ("yolov5n", "yolov5n", "--imgsz", "32", "--seconds", "2", "--samples", "deep/passes.parquet")
    found = read(clo("latency", *small, *how, "--json"))
    assert (found["dtype"], found["memory_format"], found["fused"]) == ("bfloat16", "channels_last", False)
    assert (found["batch"], found["target_half_width"]) == (2, 0.5)
    assert {"affinity", "threads", "engine", "before", "after", "l2_cache"} <= set(found)
    rows = pd.read_parquet("deep/passes.parquet")
    assert (rows["model"] == "candidate").sum() == found["a"]["repetitions"]


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--mode", "quick", "--mode quick: choose one of eager, compile, cuda_graphs, onnxruntime"),
        ("--dtype", "fp8", "--dtype fp8: choose one of fp32, fp16, bf16"),
        ("--memory-format", "nhwc", "--memory-format nhwc: choose one of contiguous, channels_last"),
        ("--precision", "0", "--precision 0.0: Input should be greater than 0"),
    ],
)
def test_a_way_to_measure_latency_that_does_not_exist(clo: Clo, option: str, value: str, reason: str) -> None:
    assert reason in sentence(clo("latency", "yolov5n", "yolov5n", option, value))


def test_people_read_under_which_conditions_latency_was_measured(clo: Clo) -> None:
    said = clo("latency", "yolov5n", "yolov5n", "--imgsz", "32", "--seconds", "0.1").out
    assert "(asked: ±1.0%, 0.1 s)" in said
    assert f"eager (torch {torch.__version__}), float32, contiguous, fused, batch 1 at 32 px, NMS not included" in said
    assert "L2 warm" in said


def test_report_ends_with_the_closing_object(clo: Clo, begun: Path) -> None:
    closing_object = read(clo("report", "x", "--json"))
    assert closing_object | {"study": "x", "folder": "results/x", "finished": 0, "failed": 0} == closing_object
    assert {"front", "answer"} <= set(closing_object)


@pytest.mark.parametrize("command", [("sites", "yolov5n"), ("cost", "yolov5n", "--imgsz", "64")])
def test_people_get_a_table(clo: Clo, command: tuple[str, ...]) -> None:
    said = clo(*command)
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) > 3


# --- Outside this process -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["90", "90s", "1.5m", "0.025h"])
def test_times_have_units(text: str) -> None:
    assert duration(text) == pytest.approx(90)


@pytest.mark.slow
def test_nothing_is_written_outside_the_given_folders_and_a_report_needs_no_torch(tmp_path: Path, begun: Path) -> None:
    script = (
        "import sys; from harness.cli.app import main\n"
        "for command in (['report', 'x', '--json'], ['sites', 'yolov5n'], ['cost', 'yolov5n', '--imgsz', '64']):\n"
        "    sys.argv = ['clo', *command]\n"
        "    try: main()\n"
        "    except SystemExit as ended: assert not ended.code, command\n"
        "    if command[0] == 'report': assert not {'torch', 'ultralytics'} & set(sys.modules)\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    ours = {"YOLO_CONFIG_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env |= {"HOME": str(home), "CLO_NAS_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "home", "results"]


def test_several_studies_are_put_on_one_page(clo: Clo, begun: Path) -> None:
    folder = begun.parent.parent / "y"
    folder.mkdir()
    with closing(sqlite3.connect(begun)) as source, closing(sqlite3.connect(folder / "study.db")) as copy:
        source.backup(copy)
        copy.execute("UPDATE studies SET study_name = 'y'")
        copy.commit()
    found = read(clo("report", "x", "y", "--json"))
    assert found == {"studies": ["x", "y"], "folder": "results/x+y"}
    assert "2 studies side by side." in Path("results/x+y/report.html").read_text(encoding="utf-8")
    assert "study x: given 2 times" in sentence(clo("report", "x", "x"))
