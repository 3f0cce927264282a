"""The ledger from the command line: what is asked for, what is kept, what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.ablation import models as arm_models
from harness.ablation import run as ablate_module
from harness.claims import preset as presets
from harness.claims.ledger import load_claims
from harness.claims.reproduce import read_findings
from harness.claims.verdict import Verdict
from harness.common.errors import UserError
from harness.jobs.base import CommonBase
from harness.record.settings import data_name
from harness.storage.records import load_record
from tests.claims.results import ARMS, result, sent
from tests.cli.command_line import Clo, read, sentence
from tests.cli.pretended import Trainings, measured
from tests.cli.test_ablate import cheap_cost

COUNTED = ("--claim", "pooling-cuts-params", "--claim", "convffn-downsamples")


@pytest.fixture
def pretended(clo: Clo, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    trainings = Trainings(measured)
    monkeypatch.setattr(ablate_module, "start_server", lambda: None)
    monkeypatch.setattr("harness.jobs.place.Children", trainings)
    monkeypatch.setattr(ablate_module, "common_bases", lambda *_: {0: CommonBase(weights=None, origin="")})
    monkeypatch.setattr(arm_models, "model_cost", cheap_cost)
    monkeypatch.setattr("harness.report.write_report", lambda *_: None)
    return trainings


def test_every_claim_is_listed(clo: Clo) -> None:
    assert [claim["id"] for claim in read(clo("reproduce", "--list", "--json"))] == [c.id for c in load_claims()]
    assert "--epochs: --list has no use for it" in sentence(clo("reproduce", "--list", "--epochs", "3"))
    nothing_trained = ("reproduce", "--claim", "head-gain", "--no-training", "--quiet")
    assert "--epochs: " in sentence(clo(*nothing_trained, "--epochs", "0"))


def test_claims_without_training_are_decided_and_kept(clo: Clo) -> None:
    found = read(clo("reproduce", *COUNTED, "--quiet", "--json"))
    assert {claim["claim"]: claim["verdict"] for claim in found["claims"]} == {
        "pooling-cuts-params": "refuted",
        "convffn-downsamples": "reproduced",
    }
    folder = Path("results/reproduce")
    assert {id_: one.verdict for id_, one in read_findings(folder).items()} == {
        "pooling-cuts-params": Verdict.REFUTED,
        "convffn-downsamples": Verdict.REPRODUCED,
    }
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "对K和V进行了下采样来减少参数量" in text
        assert "2 claims: 1 reproduced, 1 refuted, 0 undecided." in text


def test_findings_of_other_claims_are_kept(clo: Clo) -> None:
    assert clo("reproduce", *COUNTED[:2], "--quiet").code == 0
    assert clo("reproduce", *COUNTED[2:], "--quiet").code == 0
    assert set(read_findings(Path("results/reproduce"))) == {"pooling-cuts-params", "convffn-downsamples"}


def test_a_claim_on_accuracy_is_read_from_trainings_that_are_made_once(
    clo: Clo, pretended: Trainings, data: Path
) -> None:
    asked = (
        "reproduce",
        "--claim",
        "convffn-accuracy",
        "--data",
        str(data),
        "--imgsz",
        "64",
        "--seeds",
        "2",
        "--workers",
        "1",
    )
    found = read(clo(*asked, "--quiet", "--json"))
    assert found["claims"][0]["verdict"] == "undecided", "all pretended arms are alike"
    assert [row["minus"].rpartition(": ")[2] for row in found["claims"][0]["rows"]] == ["ffn plain", "ffn none"]
    arms = 13  # baseline, model, 3 operators, 4 gates, 2 FFNs, SE, CBAM
    assert len(pretended.asked) == 2 * arms
    name = f"from-the-base-{data_name(str(data))}"
    record = load_record(f"sqlite:///results/reproduce/{name}/study.db", name)
    assert len(record.trials) == 2 * arms
    assert clo(*asked, "--quiet").code == 0
    assert len(pretended.asked) == 2 * arms, "nothing is trained twice"


def test_no_training_reads_what_there_is(clo: Clo, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm_models, "model_cost", cheap_cost)
    said = clo("reproduce", "--claim", "gate-nonlinearity", "--data", str(data), "--no-training", "--quiet", "--json")
    claim: Any = read(said)["claims"][0]
    assert (claim["verdict"], claim["sentence"]) == ("undecided", "Nothing has been trained for it yet.")


# --- Presets, and what several people send ----------------------------------------------------------


def test_a_preset_is_trained_judged_and_left_as_a_file_that_can_be_pooled(
    clo: Clo, pretended: Trainings, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "plan_of", lambda _: "40 GPU hours")
    asked = ("reproduce", "--preset", "voc", "--data", str(data), "--imgsz", "64", "--device", "cpu")
    assert clo(*asked, "--no-training").out.endswith("No result yet: the same command goes on.\n")
    assert not pretended.asked
    said = clo(*asked)
    assert said.code == 0
    [place] = Path("results").glob("preset-voc-changed-*/result.json")
    assert said.out.endswith(f"Result, to be sent or pooled: {place}\n")
    assert "undecided: yolov5n-clo-head\n" in said.out
    assert "plan: 40 GPU hours" in said.out + said.err
    own = read(clo(*asked, "--quiet", "--json"))
    assert own == read(clo("reproduce", "--merge", str(place), "--json"))
    assert [claim["verdict"] for claim in own["claims"]] == ["undecided", "undecided"]
    assert "train_images 2, not 16551" in own["changed"]
    assert len(pretended.asked) == 7 * 3, "nothing is trained twice"


def test_several_results_are_judged_together(clo: Clo, tmp_path: Path) -> None:
    files = []
    for number in range(4):
        maps = {arm: [0.40 + number / 1000 + seed / 500 for seed in range(3)] for arm in ARMS}
        maps["head"] = [value + 0.03 + number / 5000 for value in maps["head"]]
        maps["last"] = [value + 0.001 * number / 3 for value in maps["last"]]
        files.append(sent(tmp_path / f"{number}.json", result(maps, first_seed=10 * number)))
    found = read(clo("reproduce", "--merge", *map(str, files), "--json"))
    assert {claim["model"]: claim["verdict"] for claim in found["claims"]} == {
        "yolov5n-clo-head": "reproduced",
        "yolov5n-clo-backbone-last": "refuted",
    }
    assert (found["changed"], found["preset"], len(found["files"])) == ([], "voc", 4)
    assert found["claims"][0]["rows"][0]["readings"] == 4
    said = clo("reproduce", "--merge", *map(str, files))
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("The rule: a model's gain in mAP50-95 is taken, under the same seeds, ")
    assert f"{files[1]}: device NVIDIA X, clo_nas 0.1.0, " in said.out
    assert re.search(
        r"reproduced: yolov5n-clo-head\n.* machines .*\n baseline +\+0.0303 +\+0.0\d+ to \+0.0\d+ +4 ", said.out
    )


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (("--merge",), "--merge: name the result.json files that are to be judged"),
        (("--merge", "none.json"), "none.json: cannot be read (No such file or directory)"),
        (("a.json",), "a.json: files are for --merge"),
        (("--merge", "none.json", "--seeds", "3"), "--seeds: --merge has no use for it; leave it out"),
        (("--preset", "voc", "--claim", "head-gain"), "--claim: --preset has no use for it; leave it out"),
        (("--preset", "voc", "--workers", "2"), "--workers: --preset has no use for it; leave it out"),
        (("--preset", "kitti", "--quiet"), "--preset kitti: choose one of voc, coco"),
        (
            ("--preset", "voc", "--device", "cpu", "--quiet", "--data", "none.yaml"),
            "Data set 'none.yaml' does not exist",
        ),
    ],
)
def test_what_is_wrong_with_a_preset_or_its_results_is_one_sentence(
    clo: Clo, options: tuple[str, ...], right: str
) -> None:
    assert right in sentence(clo("reproduce", *options))


@pytest.mark.parametrize(
    ("options", "right"),
    [
        (("--claim", "it-is-magic"), "claim it-is-magic: there is no such claim; there are: attnconv-equivariance, "),
        (("--claim", "head-gain", "--claim", "head-gain"), "claim head-gain: given 2 times; name each claim once"),
        (("--claim", "head-gain", "--seeds", "0,0"), "--seeds: 0 is given twice"),
        (("--claim", "head-gain", "--base", "yolov99n"), "no such model"),
    ],
)
def test_what_is_wrong_is_one_sentence(clo: Clo, options: tuple[str, ...], right: str) -> None:
    assert right in sentence(clo("reproduce", "--quiet", *options))


def test_a_damaged_file_of_findings_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"findings.json: not a file of findings \(.*\); move it away"):
        read_findings(tmp_path)
    (tmp_path / "findings.json").write_text(json.dumps({"a": {}}), encoding="utf-8")
    with pytest.raises(UserError, match="not a file of findings"):
        read_findings(tmp_path)
