"""`clo leave-one-out`: an architecture without each of its blocks, and the search that measures these."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from harness.architecture import BASELINE, Architecture, LocalGroup, Placement
from harness.constraints import Constraints
from harness.detectors import read_architecture
from harness.records import load_record
from harness.search.leave_one_out import leave_one_out
from harness.search.opening import open_study
from harness.search.outcome import State
from harness.search.study import SearchStudy
from harness.settings import Objective, SearchSettings
from tests.cli.command_line import Clo, run_here

SITES = ("neck.P3", "neck.P4", "neck.P5")
WHOLE = Architecture(
    base="yolov5n",
    placements=tuple(
        Placement(site=site, groups=(LocalGroup(3, 2),), global_heads=2, kv_pool=2, ffn_ratio=2.0) for site in SITES
    ),
)
SPACE = (
    "name: mine\nsites: [neck.P3, neck.P4, neck.P5]\nmax_blocks: 3\nplacement:\n  kind: [block]\n  kernel: [3]\n"
    "  kv_pool: [2]\n  heads: [4]\n  local_share: [0.5]\n  ffn_ratio: [2]\n"
)


def without(*sites: str) -> Architecture:
    return replace(WHOLE, placements=tuple(each for each in WHOLE.placements if each.site not in sites))


@pytest.fixture
def clo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Clo:
    """Run the command in this process, in a folder with a space and no study yet."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(SPACE)
    return partial(run_here, monkeypatch, capsys, "leave-one-out")


def add(study: SearchStudy, name: str, architecture: Architecture, state: State = State.COMPLETE) -> None:
    trial = study.optuna.ask()
    study.begin(trial, architecture, name, "nc: 10\n", {"seed": 0, "epochs": 3, "selected_on": True})
    costs = {"latency_ms_p50": 9.0, "latency_ratio": 1.0, "macs": 100, "flops": 200, "params": 30}
    study.end(trial, state, {"map50_95": 0.5, "map50": 0.7, **costs} if state is State.COMPLETE else {})


def made(*others: tuple[str, Architecture, State], whole: Architecture = WHOLE, **settings: object) -> None:
    """Study `x` with the whole architecture under the name `whole`, and others."""
    chosen = SearchSettings(study="x", space="mine.yaml", **settings)  # type: ignore[arg-type]
    with open_study(chosen, {}) as study:
        study.optuna.set_user_attr("last_run", chosen.model_dump(mode="json"))
        add(study, BASELINE, Architecture(base="yolov5n"))
        add(study, "whole", whole)
        for each in others:
            add(study, *each)


def identity_of(site: str) -> str:
    """The study's own name of the variant without a site."""
    record = load_record("sqlite:///results/x/study.db", "x")
    return next(each.identity for each in leave_one_out(record, "whole") if each.without == site)


def test_each_block_is_left_out_once_and_the_files_are_what_include_takes(clo: Clo) -> None:
    made()
    said = clo("x", "whole", "--out", "loo", "--json")
    plain = json.loads(said.out)
    assert [each["without"] for each in plain["variants"]] == [None, *SITES]
    for each in plain["variants"]:
        assert read_architecture(each["file"]) == (without(each["without"]) if each["without"] else WHOLE)
    assert len({each["architecture"] for each in plain["variants"]}) == 4


def test_the_command_continues_the_study_with_every_new_variant_and_no_more(clo: Clo) -> None:
    made(epochs=5, objectives=("map50_95", "macs"), from_scratch=True, finalists=4)
    objectives = (Objective.MAP50_95, Objective.MACS)
    settings = SearchSettings(study="x", space="mine.yaml", epochs=5, objectives=objectives, from_scratch=True)
    with open_study(settings, {}) as study:
        add(study, identity_of("neck.P4"), without("neck.P4"))
        add(study, "unfinished", without("neck.P3", "neck.P4"), State.INTERRUPTED)
    plain = json.loads(clo("x", "whole", "--out", "my loo", "--json").out)
    status = {each["without"]: each["status"] for each in plain["variants"]}
    assert status["neck.P4"] == "already in the study"
    assert status["neck.P3"] == "to be trained"
    typed = shlex.split(plain["command"])
    # The whole, which the study calls by another name here, and the variants without P3 and P5; one is unfinished.
    assert typed[-2:] == ["--more", "4"]
    assert typed[:4] == ["clo", "search", "--study", "x"]
    for option, value in (("--epochs", "5"), ("--objectives", "map50_95,macs"), ("--finalists", "4")):
        assert typed[typed.index(option) + 1] == value
    assert "--from-scratch" in typed and "--seed" not in typed and "--batch" not in typed
    assert "--learning-rate" not in typed and "--block-rate-factor" not in typed  # those of a start from scratch
    assert str(Path("my loo") / "without-neck.P3.yaml") in typed


def test_of_a_single_block_nothing_but_the_baseline_is_left_and_it_says_so(clo: Clo) -> None:
    single = without("neck.P3", "neck.P4")
    made(whole=single)
    with open_study(SearchSettings(study="x", space="mine.yaml"), {}) as study:
        record = study.record()
        add(study, leave_one_out(record, "whole")[0].identity, single)
    said = clo("x", "whole")
    assert "without neck.P5 (baseline), the baseline, which the study has\n" in said.out
    assert "Nothing is left to be measured" in said.out and "--include" not in said.out
    assert sorted(path.name for path in Path("results/x/leave-one-out/whole").iterdir()) == ["whole.yaml"]


def test_a_block_at_a_required_site_cannot_be_left_out_in_the_study(clo: Clo) -> None:
    made(constraints=Constraints(required_sites=("neck.P4",), max_params=2_600_000))
    plain = json.loads(clo("x", "whole", "--json").out)
    outside = next(each for each in plain["variants"] if each["without"] == "neck.P4")
    assert outside["status"].startswith("outside the study's space") and outside["file"] is None
    typed = shlex.split(plain["command"])
    assert typed[typed.index("--with") + 1] == "neck.P4" and typed[typed.index("--max-params") + 1] == "2600000"


@pytest.mark.parametrize(
    ("study", "identity", "sentence"),
    [
        ("x", "nobody", "study x has no architecture 'nobody'; it has whole, baseline"),
        ("x", "baseline", "has no block that could be left out; name a candidate"),
        ("y", "whole", "studies here: x"),
    ],
)
def test_what_is_wrong_is_one_sentence(clo: Clo, study: str, identity: str, sentence: str) -> None:
    made()
    said = clo(study, identity)
    assert said.code == 2 and said.out == "" and said.err.count("\n") == 1
    assert sentence in said.err


def test_people_get_a_table_and_the_command(clo: Clo) -> None:
    made()
    said = clo("x", "whole")
    assert said.code == 0
    assert said.out.rstrip().splitlines()[-1].startswith("clo search --study x --space mine.yaml --include")
    assert "each gets one seed" in said.out
