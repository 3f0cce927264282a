"""`clo plan` and `clo judge` from the command line, their trainings pretended: what is true is known."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import optuna
import pytest

from harness import report
from harness.ablation import run as ablation_run
from harness.ablation import train_chosen
from harness.common import last_control
from harness.jobs.base import RANDOM_WEIGHTS
from harness.jobs.trial import Job, Measured
from harness.judge import pilot
from harness.search import loop as search_loop
from harness.search import run as search_run
from tests.cli.command_line import Clo, read, sentence
from tests.cli.pretended import Trainings, measured

GAIN = {"block": 0.0, "placebo": 0.0}


def draw(*parts: object) -> float:
    """A number from −0.5 to 0.5 that the parts decide."""
    return zlib.crc32(json.dumps(parts).encode()) / 2**32 - 0.5


def trained(job: Job) -> Measured:
    """An accuracy of the truth in `GAIN`, and a scatter of 0.001."""
    config = json.dumps(job.training.config)
    kind = (
        "placebo"
        if job.training.widened
        else "block"
        if any(name in config for name in ("Clo", "Inserted", "Registered"))
        else "baseline"
    )
    found = measured(job)
    accuracy = 0.5 + GAIN.get(kind, 0.0) + draw(config, job.training.seed, job.training.schedule.epochs) / 300
    object.__setattr__(found.accuracy, "map50_95", accuracy)
    object.__setattr__(found.accuracy, "train_seconds", 60.0)
    object.__setattr__(found, "memory_bytes", 8e8 if kind == "block" else 7e8)
    if job.training.save_to:
        job.training.save_to.parent.mkdir(parents=True, exist_ok=True)
        job.training.save_to.write_text("weights")
    return found


@pytest.fixture(autouse=True)
def _pretended(trainings: Trainings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No base is trained, no step timed, no server started; nothing is kept of other tests' controls."""
    trainings.outcome = trained
    for module in (search_run, ablation_run):
        monkeypatch.setattr(module, "common_base", lambda *_, **__: RANDOM_WEIGHTS)
    for module in (ablation_run, train_chosen, pilot):
        monkeypatch.setattr(module, "start_server", lambda: None)
    monkeypatch.setattr(pilot, "_seconds_an_image", lambda *_: 0.01)
    monkeypatch.setattr(report, "write_report", lambda *_, **__: None)  # it has tests of its own
    sampler = optuna.samplers.RandomSampler(seed=0)  # the default one would time the whole space's blocks
    monkeypatch.setattr(search_loop, "informed_sampler", lambda *_, **__: sampler)
    monkeypatch.setattr(last_control, "cache_folder", lambda: tmp_path)


@pytest.fixture
def judged(clo: Clo, data: Path) -> tuple[str, ...]:
    return (
        "judge",
        "se",
        "--data",
        str(data),
        "--imgsz",
        "64",
        "--epochs",
        "2",
        "--workers",
        "1",
        "--hours",
        "0.5",
        "--quiet",
    )


def test_a_block_that_gains_more_than_its_size_pays(
    clo: Clo, judged: tuple[str, ...], trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GAIN, "block", 0.05)
    said = read(clo(*judged, "--json"))
    assert said["verdict"] == "pays" and said["gain"] == pytest.approx(0.05, abs=0.004)
    assert said["ci95"][0] < said["gain"] < said["ci95"][1]
    assert {each["over"].rpartition(": ")[2] for each in said["comparisons"]} >= {"base widened to its params"}
    assert set(said["price"]) == {"latency_ratio", "macs_ratio", "params_ratio"}
    assert said["card"]["seeds"]["comparison"][0] >= 100, "of seeds that chose nothing"
    page = Path(said["page"]).read_text(encoding="utf-8")
    assert "se pays on these data." in page and said["card"]["id"] in page
    count = len(trainings.asked)
    again = read(clo(*judged, "--json"))
    assert len(trainings.asked) == count, "nothing is trained twice"
    assert (again["verdict"], again["gain"], again["card"]) == ("pays", said["gain"], said["card"])


@pytest.mark.parametrize("placebo", [0.0, 0.05])
def test_what_gains_nothing_or_no_more_than_size_does_not_pay(
    clo: Clo, judged: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, placebo: float
) -> None:
    monkeypatch.setitem(GAIN, "block", placebo)
    monkeypatch.setitem(GAIN, "placebo", placebo)
    said = read(clo(*judged, "--json"))
    assert said["verdict"] == "does not pay"
    assert ("size gives as much" in said["why"]) == bool(placebo)


@pytest.mark.parametrize("at", [9, 24])
def test_ctrl_c_leaves_a_page_or_a_study_and_the_same_command_goes_on(
    clo: Clo, judged: tuple[str, ...], trainings: Trainings, at: int
) -> None:
    trainings.then = {at: KeyboardInterrupt()}
    assert clo(*judged).code == 130
    trained_before = len(trainings.asked)
    trainings.then = {}
    said = read(clo(*judged, "--json"))
    assert said["verdict"] == "does not pay"
    assert len(trainings.asked) > trained_before
    kept = [(json.dumps(each.config), each.seed, each.schedule.epochs) for each in trainings.asked]
    assert len(kept) - len(set(kept)) <= 2, "what was cut short is all that is trained again"


def test_another_block_is_not_judged_in_the_same_study(clo: Clo, judged: tuple[str, ...]) -> None:
    assert clo(*judged, "--study", "mine").code == 0
    said = sentence(clo("judge", "cbam", *judged[2:], "--study", "mine"))
    assert "study mine judges se, not cbam; give another --study" in said


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("judge", "nothing", "--hours", "1"), "BLOCK nothing: neither an architecture file, nor a model"),
        (("judge", "clo", "--hours", "0"), "--hours 0: it is above 0"),
        (("plan", "--hours", "0"), "--hours 0: it is above 0"),
        (("judge", "nobody.py:block", "--hours", "1"), "nobody.py"),
    ],
)
def test_what_cannot_be_judged_gets_one_sentence(clo: Clo, given: tuple[str, ...], message: str) -> None:
    assert message in sentence(clo(*given, "--quiet"))
    assert not Path("results").exists()


def test_hours_below_one_training_are_refused_before_anything_is_trained(
    clo: Clo, data: Path, trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pilot, "_seconds_an_image", lambda *_: 10.0)
    said = sentence(clo("plan", "--hours", "0.01", "--data", str(data), "--imgsz", "64", "--quiet"))
    assert "one training takes about" in said and "give" in said
    assert not trainings.asked


def test_a_plan_names_a_search_that_goes_on_with_the_pilot(clo: Clo, data: Path, trainings: Trainings) -> None:
    asked = ("plan", "--hours", "2", "--data", str(data), "--imgsz", "64", "--epochs", "2", "--workers", "1")
    said = read(clo(*asked, "--json", "--quiet"))
    assert {"steps", "seeds", "candidates", "detectable_gain", "hours"} <= set(said["options"][0])
    assert all(option["hours"] <= 2 for option in said["options"])
    assert "the pilot's" in said["noise"]["2"]["from"] and said["memory_bytes"] == 8e8
    count = len(trainings.asked)
    in_words = clo(*asked, "--quiet")
    assert in_words.code == 0 and f"Go on with: {said['recommended']}" in in_words.out
    assert "Memory: 0.8 GB a training, 0.8 GB of all at once." in in_words.out
    assert "One seed's gain has a standard deviation of" in in_words.out and len(trainings.asked) == count
    command = said["recommended"].split(" search ")[1].split()
    assert clo("search", *command, "--workers", "1", "--quiet").code == 0
    seen = [(json.dumps(each.config), each.seed, each.schedule.epochs) for each in trainings.asked]
    assert len(seen) == len(set(seen)) > count, "the pilot's trainings are the search's"


def test_the_image_size_is_the_largest_that_the_hours_hold(clo: Clo, data: Path) -> None:
    asked = ("plan", "--data", str(data), "--epochs", "2", "--workers", "1", "--json", "--quiet")
    few, many = (read(clo(*asked, "--hours", hours, "--study", f"h{hours}")) for hours in ("0.5", "90"))
    sizes = [int(each["recommended"].split("--imgsz ")[1].split()[0]) for each in (few, many)]
    assert sizes[0] <= sizes[1] == 640


OWN = """
from torch import nn
from harness.blocks import register_block


@register_block("{name}")
class Own(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = {module}

    def forward(self, x):
        return self.conv(x)
"""


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("halves", "nn.Conv2d(channels, channels, 1, stride=2)"),
        ("needs_room", "nn.Conv2d(channels, channels, 5)"),
    ],
)
def test_a_block_that_does_not_fit_is_named_before_anything_is_trained(
    clo: Clo, judged: tuple[str, ...], trainings: Trainings, name: str, module: str
) -> None:
    """One changes its input's shape, one fails on a map that is smaller than its kernel."""
    Path("own.py").write_text(OWN.format(name=name, module=module))
    said = sentence(clo("judge", f"own.py:{name}", *judged[2:]))
    assert name in said and "Traceback" not in said
    assert not trainings.asked
