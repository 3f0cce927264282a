"""`clo simulate`: JSON alone for scripts, a table for people, one sentence for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.command_line import Clo, Said, run_here
from tests.search.tiny import TINY


@pytest.fixture
def clo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clo:
    """Run `clo simulate` in this process, in a folder with a small table."""
    monkeypatch.chdir(tmp_path)
    TINY.parameters.assign(score=TINY.accuracy, ms=TINY.cost).to_csv("tiny.csv", index=False)

    def run(*options: str, parameters: str = "depth,kind", table: str = "tiny.csv", budget: int = 3) -> Said:
        always = ["--parameters", parameters, "--maximize", "score", "--minimize", "ms", "--seeds", "2", "--jobs", "1"]
        return run_here(monkeypatch, capsys, "simulate", table, *always, "--budget", str(budget), *options)

    return run


def results(said: Said) -> dict[str, dict[str, Any]]:
    assert said.code == 0 and said.err == "", said
    return {each["sampler"]: each for each in json.loads(said.out)["results"]}


def test_json_is_one_object_with_a_result_for_each_sampler(clo: Clo) -> None:
    said = clo("--json", "--known-cost", "ms")
    plain = json.loads(said.out)
    assert plain["parameters"] == ["depth", "kind"] and plain["models"] == 5 and plain["known_cost"] == "ms"
    assert plain["budget"] == 3 and plain["noise"] == plain["cost_error"] == 0 and plain["workers"] == 1
    found = results(said)
    assert list(found) == ["cost-aware", "tpe", "nsga2", "random"]
    for each in found.values():
        assert each["seeds"] == 2 and list(each["hypervolume"]) == ["3"] and 0 <= each["hypervolume"]["3"] <= 1
        assert list(each["evaluations_to"]) == ["0.95", "0.98", "0.99"]
        assert each["distinct"] <= 3 and each["seconds_per_suggestion"] > 0
        assert {"hypervolume_quartiles", "reached", "asks", "stalled", "final_share", "confirmations"} <= each.keys()


def test_when_every_model_can_be_trained_the_front_is_whole(clo: Clo) -> None:
    found = results(clo("--json", "--sampler", "cost-aware", budget=5))["cost-aware"]
    assert found["hypervolume"]["5"] == 1 and found["reached"] == {"0.95": 2, "0.98": 2, "0.99": 2}
    assert found["evaluations_to"]["0.99"] <= 5 and found["stalled"] == 0


def test_samplers_are_taken_once_and_in_their_order(clo: Clo) -> None:
    assert list(results(clo("--json", "--sampler", "random, tpe,random"))) == ["random", "tpe"]


def test_noise_has_confirmations_and_seeds_make_the_search(clo: Clo) -> None:
    options = ("--json", "--sampler", "random", "--noise", "0.05", "--cost-error", "0.1", "--workers", "2")
    first, again, other = (
        {**results(clo(*options, "--seed", seed))["random"], "seconds_per_suggestion": 0} for seed in ("0", "0", "9")
    )
    assert first["confirmations"] > 0
    assert first == again != other


def test_people_get_a_table(clo: Clo) -> None:
    said = clo("--sampler", "cost-aware,random", budget=12)
    assert said.code == 0 and said.err == ""
    for text in ("tiny.csv: 5 models, score against ms, 2 seeds", "after 10", "after 12", "to 99%", "0 of 2"):
        assert text in said.out
    assert "confirmations" not in said.out
    assert "confirmations" in clo("--sampler", "random", "--noise", "0.1").out


def test_a_studys_own_trials_are_a_table(clo: Clo, tmp_path: Path) -> None:
    trials = pd.DataFrame(
        [
            ("baseline", 0, 0.4, 4.0),
            ("baseline", 1, 0.6, None),
            ("a1", 0, 0.7, 5.0),
            ("a2", 0, 0.9, 9.0),
            ("b2", 0, None, None),
        ],
        columns=["architecture", "seed", "score", "ms"],
    )
    trials.to_csv(tmp_path / "trials.csv", index=False)
    said = clo("--json", "--sampler", "cost-aware", table="trials.csv", parameters="architecture")
    assert json.loads(said.out)["models"] == 3 and results(said)["cost-aware"]["hypervolume"]["3"] == 1


@pytest.mark.parametrize(("name", "start"), [("a/curves.png", b"\x89PNG"), ("curves.SVG", b"<?xml")])
def test_a_picture_is_written_where_it_is_asked_for(clo: Clo, tmp_path: Path, name: str, start: bytes) -> None:
    assert json.loads(clo("--json", "--sampler", "random", "--plot", name).out)["plot"] == name
    assert (tmp_path / name).read_bytes().startswith(start)


def test_nothing_is_written_unless_asked(clo: Clo, tmp_path: Path) -> None:
    assert clo("--sampler", "random").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--known-cost", "score"], "--known-cost score: what is known beforehand is the cost that is minimised, ms"),
        (["--sampler", "tpe,best"], "--sampler best: choose one of cost-aware, tpe, nsga2, nsga3, gp, random"),
        (["--plot", "curves.pdf"], "--plot curves.pdf: a picture is written there; end its name in .png or .svg"),
        (["--noise", "inf"], "--noise inf: Input should be a finite number"),
        (["--noise", "-1"], "--noise -1.0: Input should be greater than or equal to 0"),
        (["--seed", "-1"], "--seed -1: Input should be greater than or equal to 0"),
        (["--cost-error", "nan"], "--cost-error nan: Input should be a finite number"),
        (["--minimize", "size"], "table tiny.csv: no column size; its columns: depth, kind, score, ms"),
        (["--parameters", "kind"], "table tiny.csv: two rows have kind a; name all columns that tell models apart"),
    ],
)
def test_what_is_wrong_is_one_sentence_before_anything_runs(clo: Clo, options: list[str], said: str) -> None:
    assert clo(*options) == Said(2, "", f"error: {said}\n")


def test_a_table_that_is_not_there_is_one_sentence(clo: Clo) -> None:
    assert clo(table="none.csv") == Said(2, "", "error: table none.csv: no such file\n")


@pytest.mark.parametrize("option", ["--budget", "--seeds", "--workers", "--jobs"])
def test_none_of_something_is_one_sentence(clo: Clo, option: str) -> None:
    assert clo(option, "0") == Said(2, "", f"error: {option} 0: Input should be greater than or equal to 1\n")
